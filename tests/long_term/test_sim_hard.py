import numpy as np
import pytest

from lcn_tf.long_term import sim_hard
from lcn_tf.schema import FIRST_ID
from tests import references_baselines
from tests.long_term.histories import LAYOUTS, Requests, attention_weights, built

SIZES = {"attention_dim": 6, "num_heads": 2}


def shared(requests, field):
    """`[B, C, L]` by a loop over candidates and events."""
    own, events = (requests.batch[name].numpy() for name in (field, f"lifelong_source_{field}"))
    found = np.zeros(requests.mask.shape, bool)
    for b, c, k in np.ndindex(*found.shape):
        found[b, c, k] = own[b, c] == events[b, k] and own[b, c] >= FIRST_ID
    return found


@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
@pytest.mark.parametrize("top_k", [1, 2, 50])
def test_attention_over_the_most_recent_events_of_the_key(rows, offsets, moments, top_k):
    requests = Requests(rows, offsets, moments, seed=5, count=31)
    layer = built(sim_hard, requests, key=None, top_k=top_k, **SIZES)
    weights, same = attention_weights(layer.attention.attention), shared(requests, "category")
    assert ((same & requests.mask).sum(-1) > 1).any()
    candidates = np.asarray(requests.candidate, np.float64)
    found = requests.run(layer)
    for b, c in np.argwhere(requests.real):
        expected = references_baselines.sim_hard(
            candidates[b, c], requests.events[b, c], requests.mask[b, c], same[b, c], weights, top_k, 2)
        np.testing.assert_allclose(found[b, c], expected, rtol=1e-4, atol=1e-4)
    assert not found[~(same & requests.mask).any(-1)].any()


def test_the_search_ranks_events_of_the_key_first():
    requests = Requests(offsets=True)
    layer = built(sim_hard, requests, top_k=3, **SIZES)
    scores = layer.stage_scores(requests.candidate, requests.history)["gsu"].numpy()
    same = shared(requests, "category")
    for b, c in np.argwhere(requests.real):
        visible = requests.mask[b, c].nonzero()[0]
        ordered = sorted(visible, key=lambda k, row=(b, c): (not same[row][k], k))
        assert sorted(visible, key=lambda k, row=(b, c): -scores[row][k]) == ordered


@pytest.mark.parametrize("field", ["item_id", "category"])
def test_the_key_is_any_item_field_and_unknown_values_share_nothing(field):
    requests = Requests(seed=5, count=31)
    found = requests.history.shares(field).numpy()
    np.testing.assert_array_equal(found, shared(requests, field))
    unknown = requests.batch["category"].numpy() == 1
    if field == "category":
        assert unknown.any() and not found[unknown].any() and found.any()
        np.testing.assert_array_equal(requests.history.shares(), found)


def test_unknown_keys_are_refused():
    requests = Requests()
    with pytest.raises(ValueError, match="field must be an item feature, one of category, item_id, got 'brand'"):
        built(sim_hard, requests, key="brand")
    with pytest.raises(ValueError, match="top_k must be at least 1 or None, got 0"):
        sim_hard.build(sim_hard.Config(top_k=0))


def test_the_search_has_no_weights():
    requests = Requests()
    layer = built(sim_hard, requests, top_k=3, **SIZES)
    assert len(layer.trainable_variables) == len(layer.attention.trainable_variables) == 4
