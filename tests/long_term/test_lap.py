import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.pipeline import flat_rows
from lcn_tf.long_term import lap
from tests import references
from tests.layers.batches import attention_weights
from tests.long_term.histories import LAYOUTS, WIDTH, Requests, built

SIZES = {"msa_top_k": 5, "fsa_top_k": 3, "attention_dim": 6, "num_heads": 2, "ffn_dim": 7}


@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
@pytest.mark.parametrize("time_gap", [True, False])
def test_the_levels_see_each_candidates_events_and_context(rows, offsets, moments, time_gap):
    requests = Requests(rows, offsets, moments, time_gap=time_gap)
    layer = built(lap, requests, **SIZES)
    weights = {"msa": attention_weights(layer.lap.msa), "fsa": attention_weights(layer.lap.fsa)}
    expected = requests.expected(lambda candidate, events, mask: references.lap(
        candidate, events[:, :WIDTH], mask, events[:, WIDTH:], weights, 5, 3, 2)[0])
    real = requests.real
    np.testing.assert_allclose(requests.run(layer)[real], expected[real], rtol=1e-4, atol=1e-4)
    graph = tf.function(lambda: layer(requests.candidate, requests.history))
    np.testing.assert_allclose(graph().numpy()[real], expected[real], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("msa, fsa, kept", [
    ("all", 3, (13, 3)), (5, "all", (5, 5)), ("all", "all", (13, 13)), ("all", None, (13, None)),
    (None, "all", (None, 13))])
def test_all_passes_every_event_on(msa, fsa, kept):
    requests = Requests(offsets=True)
    layer = built(lap, requests, **{**SIZES, "msa_top_k": msa, "fsa_top_k": fsa})
    weights = {name: attention_weights(level) for name, level in (("msa", layer.lap.msa), ("fsa", layer.lap.fsa))
               if level is not None}
    expected = requests.expected(lambda candidate, events, mask: references.lap(
        candidate, events[:, :WIDTH], mask, events[:, WIDTH:], weights, *kept, 2)[0])
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)


def test_tables_learn_the_same_from_groups_of_several_moments_as_from_single_impressions():
    found = []
    grouped = Requests(offsets=True, moments=True)
    layer = built(lap, grouped, **SIZES)
    for requests in (grouped, Requests(flat_rows, True, True, embedder=grouped.embedder)):
        @tf.function
        def gradients(requests=requests):
            with tf.GradientTape() as tape:
                candidate = requests.embedder.read(requests.batch).candidate
                total = tf.reduce_sum(tf.boolean_mask(layer(candidate, requests.history), requests.real) ** 3)
            tables = requests.embedder.tables.vectors
            found = tape.gradient(total, {name: tables[name] for name in ("item", "category", "behaviour", "time_gap")})
            return {name: tf.math.unsorted_segment_sum(gradient.values, gradient.indices, tables[name].shape[0])
                    for name, gradient in found.items()}

        found.append(gradients())
    for name, expected in found[1].items():
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(found[0][name], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max(),
                                   err_msg=name)


def test_all_is_no_less_than_any_number():
    assert lap.Config(msa_top_k="all", fsa_top_k=10**6).levels["fsa_top_k"] == 10**6
    assert lap.Config(msa_top_k=7, fsa_top_k="all").levels == {"msa_top_k": 7, "fsa_top_k": 7}
    with pytest.raises(ValueError, match="lap: share_msa_fsa needs both levels"):
        lap.Config(msa_top_k=None, fsa_top_k="all", share_msa_fsa=True)
