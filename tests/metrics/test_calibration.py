import json
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import log_loss

from lcn_tf.metrics.calibration import (
    binary_entropy,
    calibration_ratio,
    logloss,
    logloss_from_logits,
    normalized_entropy,
)

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "metrics.json").read_text())
ROWS = st.lists(st.tuples(st.integers(0, 1), st.floats(-12, 12)), min_size=1, max_size=23)


def test_golden():
    labels, probabilities = np.array(GOLDEN["gauc"]["y"]), np.array(GOLDEN["gauc"]["p"])
    expected = GOLDEN["logloss"]
    logits = np.log(probabilities) - np.log1p(-probabilities)
    assert logloss(labels, probabilities) == pytest.approx(expected["logloss"], rel=2e-5)
    assert logloss_from_logits(labels, logits) == pytest.approx(expected["logloss"], rel=2e-5)
    assert labels.mean() == pytest.approx(expected["base_ctr"], rel=2e-5)
    assert binary_entropy(labels.mean()) == pytest.approx(expected["base_entropy"], rel=2e-5)
    assert normalized_entropy(labels, logits) == pytest.approx(expected["logloss"] / expected["base_entropy"], rel=2e-5)
    values = [value for name, value in GOLDEN["binary_entropy"].items() if name.startswith("entropy")]
    assert [binary_entropy(rate) for rate in GOLDEN["binary_entropy"]["ctr"]] == pytest.approx(values, rel=2e-5)


@given(ROWS)
def test_logits_and_probabilities_agree_with_sklearn(rows):
    labels, logits = (np.array(column) for column in zip(*rows, strict=True))
    value = logloss_from_logits(labels, logits)
    assert value == pytest.approx(logloss(labels, expit(logits)), rel=1e-9)
    assert value == pytest.approx(log_loss(labels, expit(logits), labels=[0, 1]), rel=1e-9)


def test_extremes_stay_finite():
    assert logloss([1, 0], [0.0, 1.0]) == pytest.approx(-np.log(1e-7), rel=1e-6)
    assert logloss_from_logits([1, 0], [-1e4, 1e4]) == 1e4
    assert f"{logloss_from_logits([1, 0], [1e4, -1e4])}" == "0.0"
    assert f"{binary_entropy(0.0)} {binary_entropy(1.0)}" == "0.0 0.0"


def test_base_rate_has_normalised_entropy_and_calibration_of_one():
    labels = np.array([0, 1, 0, 0, 0, 1, 0])
    logits = np.full(7, np.log(2 / 5))
    assert normalized_entropy(labels, logits) == pytest.approx(1.0)
    assert calibration_ratio(labels, expit(logits)) == pytest.approx(1.0)
    assert calibration_ratio(labels, np.full(7, 4 / 7)) == pytest.approx(2.0)


def test_single_class_is_nan():
    assert np.isnan(normalized_entropy([1, 1], [0.3, 0.2])) and np.isnan(calibration_ratio([0, 0], [0.3, 0.2]))
    assert calibration_ratio([1, 1], [0.3, 0.2]) == 0.25


def test_bad_input():
    with pytest.raises(ValueError, match="infinite of 2"):
        logloss_from_logits([0, 1], [0.0, np.inf])
    with pytest.raises(ValueError, match=r"within \[0, 1\]"):
        logloss([0, 1], [0.5, 1.5])
    with pytest.raises(ValueError, match="rate must be"):
        binary_entropy(-0.1)
