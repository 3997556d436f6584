import json
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lcn_tf.metrics.auc import auc_from_histograms, binned_auc, exact_auc

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "metrics.json").read_text())
# Few different scores, so that ties are common.
ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=31).filter(
    lambda rows: len({label for label, _ in rows}) == 2)


def _pairs(labels, scores):
    """AUC by its definition, pair by pair."""
    positives = [score for label, score in zip(labels, scores, strict=True) if label]
    negatives = [score for label, score in zip(labels, scores, strict=True) if not label]
    total = sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives)
    return total / (len(positives) * len(negatives))


def test_golden_exact_and_binned():
    labels, scores = GOLDEN["auc_with_a_tie"]["y"], GOLDEN["auc_with_a_tie"]["p"]
    assert exact_auc(labels, scores) == pytest.approx(GOLDEN["auc_with_a_tie"]["auc"], rel=2e-5)
    for bins in (2, 4, 10, 1000):
        assert binned_auc(labels, scores, bins) == pytest.approx(GOLDEN["binned_auc"][f"bins{bins}"], rel=2e-5)
    two = GOLDEN["gauc"]
    assert exact_auc(two["y"], two["p"]) == pytest.approx(two["global_auc"], rel=2e-5)


@given(ROWS)
def test_equals_pairs_and_sklearn(rows):
    labels, scores = zip(*rows, strict=True)
    value = exact_auc(labels, scores)
    assert value == pytest.approx(_pairs(labels, scores), abs=1e-12)
    assert value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@given(ROWS, st.randoms(use_true_random=False))
def test_order_of_rows_and_monotone_scores_do_not_matter_and_signs_mirror(rows, random):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    value = exact_auc(labels, scores)
    order = list(range(len(rows)))
    random.shuffle(order)
    assert exact_auc(labels[order], scores[order]) == value
    assert exact_auc(labels, np.exp(scores / 2)) == value
    assert exact_auc(labels, -scores) == pytest.approx(1 - value, abs=1e-12)
    assert exact_auc(1 - labels, scores) == pytest.approx(1 - value, abs=1e-12)


def test_large_sample_against_sklearn_and_bins():
    rng = np.random.default_rng(13)
    logits = rng.normal(-3, 1, size=100_003).astype(np.float32)
    labels = rng.random(len(logits)) < 1 / (1 + np.exp(-logits))
    value = exact_auc(labels, logits)
    assert value == pytest.approx(roc_auc_score(labels, logits), abs=1e-12)
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert binned_auc(labels, probabilities, 10_000) == pytest.approx(value, abs=1e-5)
    assert abs(binned_auc(labels, probabilities, 10) - value) > 1e-3


@pytest.mark.parametrize("scores", [[1.0, 1.0, 1.0], [-np.inf, 0.0, np.inf]])
def test_constant_and_infinite_scores(scores):
    assert exact_auc([0, 0, 1], scores) == (0.5 if len(set(scores)) == 1 else 1.0)


@pytest.mark.parametrize("labels,scores,message", [
    ([1, 1], [0.1, 0.2], "both classes"), ([0, 2], [0.1, 0.2], "labels must be 0 or 1, got .2."),
    ([0, 1], [0.1, np.nan], "NaN in 1 of 2"), ([0, 1], [0.1, 0.2, 0.3], r"\(2,\) like labels, got \(3,\)"),
    ([], [], "not empty"), ([[0], [1]], [0.1, 0.2], "one-dimensional"), ([0.5, 1], [0.1, 0.2], "0 or 1"),
])
def test_bad_input(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        exact_auc(labels, scores)


def test_histograms_add_up_and_are_checked():
    rng = np.random.default_rng(7)
    first, second = rng.integers(0, 9, size=(2, 2, 11))
    merged = auc_from_histograms(*(first + second))
    labels = np.repeat(np.tile([1, 0], 11), (first + second).T.reshape(-1))
    scores = np.repeat(np.repeat(np.arange(11), 2), (first + second).T.reshape(-1))
    assert merged == pytest.approx(exact_auc(labels, scores), abs=1e-12)
    assert np.isnan(auc_from_histograms([0, 0], [1, 2])) and np.isnan(binned_auc([1, 1], [0.3, 0.4], 5))
    with pytest.raises(ValueError, match="one length"):
        auc_from_histograms([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="num_bins"):
        binned_auc([0, 1], [0.1, 0.2], 0)
    with pytest.raises(ValueError, match=r"within \[0, 1\]"):
        binned_auc([0, 1], [0.1, 1.2], 5)
