import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.pipeline import flat_rows
from lcn_tf.layers import masked_top_k
from lcn_tf.long_term import random_k
from tests import references_baselines
from tests.long_term.histories import LAYOUTS, Requests, attention_weights, built

SIZES = {"top_k": 3, "attention_dim": 6, "num_heads": 2}


def draws_of(layer, requests):
    """The first stage's numbers `[B, C, L]`."""
    return layer.stage_scores(requests.candidate, requests.history)["gsu"].numpy()


@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
@pytest.mark.parametrize("top_k", [1, 3, 50])
def test_attention_over_the_chosen_visible_events(rows, offsets, moments, top_k):
    requests = Requests(rows, offsets, moments)
    layer = built(random_k, requests, **{**SIZES, "top_k": top_k})
    weights, draws = attention_weights(layer.attention.attention), iter(draws_of(layer, requests).reshape(
        -1, requests.mask.shape[-1]))

    def attend(candidate, events, mask):
        kept = references_baselines.kept_mask(next(draws), mask, top_k)
        return references_baselines.target_mha(candidate, events, kept, weights, 2)

    expected = requests.expected(attend)
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)


def test_numbers_belong_to_events_not_to_candidates_or_layouts():
    grouped = Requests(count=11)
    flat = Requests(flat_rows, count=11, embedder=grouped.embedder)
    layer = built(random_k, grouped, **SIZES)
    together, single = draws_of(layer, grouped), draws_of(layer, flat)
    np.testing.assert_array_equal(together[grouped.real], single[:, 0])
    for row, mask in zip(together, grouped.mask & grouped.real[..., np.newaxis], strict=True):
        for c in range(1, len(row)):
            both = mask[0] & mask[c]
            np.testing.assert_array_equal(row[0][both], row[c][both])


def test_every_position_is_chosen_equally_often():
    requests = Requests(count=400)
    full = requests.mask[:, 0].all(-1)
    assert full.sum() >= 80
    chosen = np.zeros(13)
    for seed in range(11):
        layer = built(random_k, requests, **SIZES, choice_seed=seed)
        draws = tf.constant(draws_of(layer, requests)[full][:, :1])
        np.add.at(chosen, masked_top_k(draws, tf.constant(requests.mask[full][:, :1]), 3)[0].numpy().ravel(), 1)
    trials, share = 11 * full.sum(), 3 / 13
    assert chosen.sum() == 3 * trials
    assert np.abs(chosen - trials * share).max() < 4 * np.sqrt(trials * share * (1 - share))


def test_the_seed_changes_the_choice_and_nothing_else_does():
    requests = Requests(offsets=True)
    first, again, other = (draws_of(built(random_k, requests, seed=seed, **SIZES, choice_seed=choice), requests)
                           for seed, choice in ((1, 0), (2, 0), (1, 7)))
    np.testing.assert_array_equal(first, again)
    assert (first[requests.mask] != other[requests.mask]).mean() > 0.99


def test_impossible_options():
    with pytest.raises(ValueError, match="top_k must be at least 1 or None, got 0"):
        random_k.build(random_k.Config(top_k=0))
