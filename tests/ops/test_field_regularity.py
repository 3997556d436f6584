import json
import pathlib

import numpy as np
import tensorflow as tf

from lcn_tf.ops.field_regularity import alignment_of_rows, uniformity_of_rows
from tests.layers.batches import TOLERANCE

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "objectives.json").read_text())
NUMBERS, FIELDS = GOLDEN["vectors"]["fields"], tf.constant(GOLDEN["fixture"]["fields"]["X"])


def test_golden_fields():
    alignment = alignment_of_rows(FIELDS, tf.reduce_mean(FIELDS, 0), tf.constant(3.0))
    np.testing.assert_allclose(np.mean(alignment), NUMBERS["alignment"], **TOLERANCE)
    np.testing.assert_allclose(np.mean(uniformity_of_rows(FIELDS)), NUMBERS["uniformity"], **TOLERANCE)


def test_gradients_are_those_of_the_pairs():
    """The closed form's gradient, through the mean too, is that of the sum over pairs."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(FIELDS)
        closed = tf.reduce_mean(alignment_of_rows(FIELDS, tf.reduce_mean(FIELDS, 0), tf.constant(3.0)))
        pairs = [tf.reduce_sum(tf.square(FIELDS[i] - FIELDS[j])) / 2.0 for i in range(3) for j in range(i)]
        brute = tf.add_n(pairs) / 3.0
    np.testing.assert_allclose(tape.gradient(closed, FIELDS), tape.gradient(brute, FIELDS), **TOLERANCE)


def test_one_row_is_in_line():
    assert float(alignment_of_rows(FIELDS[:1], FIELDS[0], tf.constant(1.0))[0]) == 0.0
