import json
import pathlib

import numpy as np
import tensorflow as tf

from lcn_tf.ops.double_q import double_q_target
from tests.layers.batches import TOLERANCE

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "objectives.json").read_text())
NUMBERS, STEP = GOLDEN["vectors"]["steps"], GOLDEN["fixture"]["steps"]


def test_golden_targets():
    selector, evaluator = (tf.constant([STEP[name]] * 2) for name in ("next_selector", "next_evaluator"))
    with tf.GradientTape() as tape:
        tape.watch(evaluator)
        target = double_q_target(tf.fill([2], STEP["reward"]), tf.constant([False, True]), STEP["gamma"], selector,
                                 evaluator)
    np.testing.assert_allclose(target, [NUMBERS["target"], NUMBERS["last_target"]], **TOLERANCE)
    assert tape.gradient(target, evaluator) is None
    temporal = 0.5 * (float(target[0]) - STEP["values"][STEP["action"]]) ** 2
    np.testing.assert_allclose(temporal, NUMBERS["temporal"], **TOLERANCE)
    entropy = GOLDEN["vectors"]["sampled_softmax"]["ce"]
    np.testing.assert_allclose(entropy + temporal, NUMBERS["sqn"], **TOLERANCE)
    np.testing.assert_allclose(STEP["values"][STEP["action"]] * entropy + temporal, NUMBERS["sac"], **TOLERANCE)
