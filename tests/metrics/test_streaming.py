import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from lcn_tf.metrics.auc import exact_auc
from lcn_tf.metrics.calibration import calibration_ratio, logloss_from_logits
from lcn_tf.metrics.streaming import StreamingAUC, StreamingCalibration, StreamingLogLoss

ROOT = pathlib.Path(__file__).resolve().parents[2]
METRICS = (StreamingAUC, StreamingLogLoss, StreamingCalibration)


def _rows(rows, seed=29):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-3, 1.2, size=rows).astype(np.float32)
    labels = (rng.random(rows) < expit(logits)).astype(np.float32)
    return labels, logits


def _exact(metric, labels, logits):
    if metric is StreamingAUC:
        return exact_auc(labels, logits)
    if metric is StreamingLogLoss:
        return logloss_from_logits(labels, logits)
    return calibration_ratio(labels, expit(logits))


@pytest.mark.parametrize("metric", METRICS)
def test_close_to_the_exact_metric(metric):
    labels, logits = _rows(50_021)
    stream = metric()
    stream.update_state(labels, logits)
    # Pairs of one bin count half: at 10^4 bins that moves the AUC by about 1e-5.
    tolerance = {"abs": 2e-5} if metric is StreamingAUC else {"rel": 2e-6}
    assert float(stream.result()) == pytest.approx(_exact(metric, labels, logits), **tolerance)
    stream.reset_state()
    assert np.isnan(float(stream.result()))


@given(st.lists(st.integers(0, 211), max_size=5))
def test_splitting_into_batches_changes_nothing(cuts):
    labels, logits = _rows(211)
    whole, parts = StreamingAUC(), StreamingAUC()
    whole.update_state(labels, logits)
    for rows in np.split(np.arange(211), sorted(cuts)):
        parts.update_state(labels[rows], logits[rows])
    assert float(parts.result()) == float(whole.result())
    assert np.array_equal(parts.sums.numpy(), whole.sums.numpy())


@pytest.mark.parametrize("metric", METRICS)
def test_mask_and_weights(metric):
    labels, logits = _rows(7 * 101)
    labels, logits = labels.reshape(101, 7), logits.reshape(101, 7)
    mask = np.random.default_rng(1).random((101, 7)) < 0.7
    padded = np.where(mask, logits, np.nan)  # nothing behind a mask may count, NaN included
    masked, chosen, weighted, repeated = metric(), metric(), metric(), metric()
    masked.update_state(labels, padded, sample_weight=mask)
    chosen.update_state(labels[mask], logits[mask])
    assert float(masked.result()) == pytest.approx(float(chosen.result()), rel=1e-12)
    times = np.random.default_rng(2).integers(0, 4, size=101)
    weighted.update_state(labels, logits, sample_weight=times)  # one weight per row
    repeated.update_state(np.repeat(labels, times, axis=0), np.repeat(logits, times, axis=0))
    assert float(weighted.result()) == pytest.approx(float(repeated.result()), rel=1e-12)


def test_fractional_weights_against_sklearn():
    labels, logits = _rows(1_009)
    weights = np.random.default_rng(3).random(1_009).astype(np.float32)
    stream = StreamingAUC(num_bins=100_000)
    stream.update_state(labels[:, np.newaxis], logits[:, np.newaxis], sample_weight=weights)
    assert float(stream.result()) == pytest.approx(roc_auc_score(labels, logits, sample_weight=weights), abs=1e-4)
    same = StreamingAUC(num_bins=100_000)
    same.update_state(labels, logits, sample_weight=weights[:, np.newaxis])
    assert float(same.result()) == float(stream.result())


def test_ties_bins_and_range():
    stream = StreamingAUC(num_bins=2, logit_range=3.0)
    stream.update_state([1, 0, 1, 0], [100.0, 0.5, -100.0, -0.5])
    assert float(stream.result()) == pytest.approx(0.5)  # one pair right, one wrong, two tied
    assert stream.sums.numpy().tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("metric", METRICS)
def test_nan_logits_are_not_hidden(metric):
    stream = metric()
    stream.update_state([0, 1, 1], [0.1, np.nan, 0.3])
    assert np.isnan(float(stream.result()))


def test_single_class_is_nan():
    stream = StreamingAUC()
    stream.update_state([1, 1], [0.1, 0.2])
    assert np.isnan(float(stream.result()))


@pytest.mark.parametrize("metric", METRICS)
def test_inside_a_function_and_from_its_config(metric):
    stream = metric(name="other")
    labels, logits = _rows(53)

    @tf.function
    def step(labels, logits):
        stream.update_state(labels, logits)
        return stream.result()

    assert float(step(labels, logits)) == pytest.approx(_exact(metric, labels, logits), rel=1e-2)
    copy = metric.from_config(stream.get_config())
    assert copy.name == "other" and copy.get_config() == stream.get_config()


def test_config_keeps_the_bins():
    config = StreamingAUC(num_bins=37, logit_range=5.0).get_config()
    assert (config["num_bins"], config["logit_range"]) == (37, 5.0)
    with pytest.raises(ValueError, match="num_bins must be at least 2, got 1"):
        StreamingAUC(num_bins=1)
    with pytest.raises(ValueError, match="logit_range must be positive"):
        StreamingAUC(logit_range=0.0)


_REPLICAS = """
import json
import lcn_tf
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0],
                                           [tf.config.LogicalDeviceConfiguration()] * 2)
from lcn_tf.metrics.streaming import StreamingAUC, StreamingCalibration, StreamingLogLoss

rng = np.random.default_rng(31)
logits = rng.normal(-3, 1, size=(3, 212)).astype(np.float32)
labels = (rng.random((3, 212)) < 1 / (1 + np.exp(-logits))).astype(np.float32)
weights = rng.integers(0, 3, size=(3, 212)).astype(np.float32)
results = {}
for name, strategy in {"default": tf.distribute.get_strategy(),
                       "one": tf.distribute.MirroredStrategy(["CPU:0"]),
                       "two": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])}.items():
    with strategy.scope():
        metrics = [StreamingAUC(), StreamingLogLoss(), StreamingCalibration()]

    @tf.function
    def step(labels, logits, weights):
        for metric in metrics:
            metric.update_state(y_true=labels, y_pred=logits, sample_weight=weights)

    for batch in range(3):
        replicas = strategy.num_replicas_in_sync
        parts = [np.split(column[batch], replicas) for column in (labels, logits, weights)]
        given = [strategy.experimental_distribute_values_from_function(
                     lambda context, part=part: tf.constant(part[context.replica_id_in_sync_group]))
                 if replicas > 1 else tf.constant(part[0]) for part in parts]
        strategy.run(step, args=given)
    results[name] = [float(metric.result()) for metric in metrics]
    results[name + " rows"] = float(tf.reduce_sum(tf.convert_to_tensor(metrics[0].sums)))
results["keras"] = tf.keras.layers.Layer.__module__.split(".")[0]
results["weights"] = float(weights.sum())
print(json.dumps(results))
"""


@pytest.mark.parametrize("legacy", ["1", "0"])
def test_replicas_merge_exactly(legacy):
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": legacy, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", _REPLICAS], capture_output=True, text=True, timeout=300,
                            env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["keras"] == ("tf_keras" if legacy == "1" else "keras")
    assert found["two"][0] == found["one"][0] == found["default"][0]  # histograms are exact
    assert found["two"] == pytest.approx(found["default"], rel=1e-12)
    assert found["two rows"] == found["one rows"] == found["default rows"] == found["weights"]


def test_in_fit():
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(optimizer=tf.keras.optimizers.SGD(0.0), loss="mse", metrics=[StreamingAUC(), StreamingLogLoss()])
    labels, logits = _rows(101)
    history = model.fit(logits[:, np.newaxis], labels[:, np.newaxis], batch_size=17, verbose=0).history
    assert history["auc"][-1] == pytest.approx(exact_auc(labels, logits), abs=2e-3)
    assert history["logloss"][-1] == pytest.approx(logloss_from_logits(labels, logits), rel=1e-5)
