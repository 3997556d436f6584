import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from lcn_tf.metrics import evaluate
from lcn_tf.metrics.gauc import group_auc

KEYS = {"auc", "gauc", "gauc_user_coverage", "gauc_impression_coverage", "logloss", "normalized_entropy",
        "calibration_ratio", "impressions", "click_rate"}


def _rows(rows=2_003):
    rng = np.random.default_rng(19)
    logits = rng.normal(-2, 1, size=rows)
    return (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.float32), logits, rng.integers(211, size=rows)


def test_figures_are_those_of_the_single_metrics():
    labels, logits, users = _rows()
    report = evaluate(labels, logits, users, gauc_weights="clicks")
    probabilities = 1 / (1 + np.exp(-logits))
    grouped = group_auc(labels, logits, users, "clicks")
    assert set(report) == KEYS and all(type(value) is float for value in report.values())
    assert report["auc"] == pytest.approx(roc_auc_score(labels, logits))
    assert (report["gauc"], report["gauc_user_coverage"]) == (grouped.value, grouped.user_coverage)
    assert report["gauc_impression_coverage"] == grouped.impression_coverage
    assert report["logloss"] == pytest.approx(log_loss(labels, probabilities))
    base = np.full(len(labels), labels.mean())
    assert report["normalized_entropy"] == pytest.approx(report["logloss"] / log_loss(labels, base))
    assert report["calibration_ratio"] == pytest.approx(probabilities.mean() / labels.mean())
    assert (report["impressions"], report["click_rate"]) == (2_003, pytest.approx(labels.mean()))


def test_order_of_rows_does_not_matter():
    labels, logits, users = _rows()
    order = np.random.default_rng(2).permutation(len(labels))
    assert evaluate(labels[order], logits[order], users[order]) == pytest.approx(evaluate(labels, logits, users))


def test_a_single_class_leaves_nan_where_nothing_is_defined():
    report = evaluate([0, 0, 0], [0.5, -1.0, 2.0], [1, 1, 2])
    undefined = {"auc", "gauc", "normalized_entropy", "calibration_ratio"}
    assert {name for name, value in report.items() if np.isnan(value)} == undefined
    assert report["click_rate"] == 0 and report["logloss"] > 0


def test_bad_input():
    with pytest.raises(ValueError, match="logits must not be NaN"):
        evaluate([0, 1], [0.0, np.nan], [1, 2])
    with pytest.raises(ValueError, match="logits must be finite"):
        evaluate([0, 1], [0.0, np.inf], [1, 2])
    with pytest.raises(ValueError, match="weights"):
        evaluate([0, 1], [0.0, 1.0], [1, 2], gauc_weights="user")
