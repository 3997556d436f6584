import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.pipeline import flat_rows
from lcn_tf.long_term import twin
from lcn_tf.metrics import consistency_of_scores
from tests import references, references_baselines
from tests.long_term.histories import LAYOUTS, Requests, built

SIZES = {"top_k": 3, "attention_dim": 6, "num_heads": 2}


def weights_of(layer):
    attention = layer.attention
    named = {"query": attention.query.kernel, "key": attention.keys.key_kernel, "value": attention.values.value_kernel,
             "output": attention.output_kernel}
    return {**{name: np.float64(variable) for name, variable in named.items()},
            "cross": np.float64(attention.cross.kernel).transpose(2, 0, 1), "beta": np.float64(attention.cross.beta).T}


@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
@pytest.mark.parametrize("options", [{}, {"top_k_per_head": True}, {"beta_per_head": True, "top_k": 5}, {"top_k": 50},
                                     {"num_heads": 3, "top_k": 2}], ids=str)
def test_search_then_attention(rows, offsets, moments, options):
    requests = Requests(rows, offsets, moments)
    options = {**SIZES, **options}
    layer = built(twin, requests, **options)
    expected = requests.expected(lambda *views: references_baselines.twin(
        *views, weights_of(layer), options["num_heads"], options["top_k"], options.get("top_k_per_head", False)))
    np.testing.assert_allclose(requests.run(layer)[requests.real], expected[requests.real], rtol=1e-4, atol=1e-4)


def test_the_context_has_a_field_for_each_feature_and_the_time_gap():
    assert built(twin, Requests(), **SIZES).attention.cross.kernel.shape == (2, 5, 2)
    assert built(twin, Requests(time_gap=False), **SIZES).attention.cross.kernel.shape == (1, 5, 2)


def flattened(scores, requests, head=None):
    """Rows `[N, L]` of the real candidates, of one head of `[B, C, H, L]` scores."""
    scores = scores.numpy() if head is None else scores.numpy()[:, :, head]
    return scores[requests.real]


@pytest.mark.parametrize("rows, offsets, moments", LAYOUTS)
def test_each_heads_search_agrees_with_its_attention_entirely(rows, offsets, moments):
    requests = Requests(rows, offsets, moments, count=31)
    layer = built(twin, requests, **{**SIZES, "num_heads": 3})
    stages = layer.head_scores(requests.candidate, requests.history)
    for head in range(3):
        found = consistency_of_scores(*(flattened(stages[name], requests, head) for name in ("final", "gsu")),
                                      requests.mask[requests.real], top_k=4)
        assert found.value == 1.0 and found.rows > 10


def test_the_merged_list_agrees_less_than_the_heads_do():
    requests = Requests(flat_rows, count=31)
    layer = built(twin, requests, **SIZES)
    stages = layer.stage_scores(requests.candidate, requests.history)
    rows = [flattened(stages[name], requests) for name in ("final", "gsu")]
    assert 0.5 < consistency_of_scores(*rows, requests.mask[requests.real], top_k=4).value < 1.0


def test_stage_scores_match_the_loops():
    requests = Requests(offsets=True, moments=True)
    layer = built(twin, requests, **SIZES)
    stages = layer.stage_scores(requests.candidate, requests.history)

    def final(candidate, events, mask):
        logits = references_baselines.twin_logits(candidate, events, weights_of(layer), 2)
        return np.mean([references.softmax(row, mask) for row in logits], 0)

    def order(candidate, events, mask):
        keys = references_baselines.merged_keys(
            references_baselines.twin_logits(candidate, events, weights_of(layer), 2), mask)
        return [0 if key is None else -key for key in keys]

    real = requests.mask & requests.real[..., np.newaxis]
    np.testing.assert_allclose(stages["final"].numpy()[real], requests.expected(final)[real], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(stages["gsu"].numpy()[real], requests.expected(order)[real])


def test_shared_projections_learn_from_the_kept_events_only():
    requests = Requests(flat_rows)
    layer, history = built(twin, requests, **SIZES), requests.history
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(requests.candidate, history) ** 2)
    tables = requests.embedder.tables.vectors
    gradients = tape.gradient(total, [*layer.trainable_variables, tables["item"]])
    assert len(gradients) == 7 and all(np.any(tf.convert_to_tensor(gradient)) for gradient in gradients)
    items = set(requests.batch["item_id"].numpy().flat)
    for b in range(len(requests.mask)):
        place = requests.mask[b, 0].nonzero()[0]
        kept = np.argsort(-layer.stage_scores(requests.candidate, history)["gsu"].numpy()[b, 0][place])[:3]
        items |= set(requests.batch["lifelong_source_item_id"].numpy()[b, place[kept]])
    touched = set(np.flatnonzero(np.abs(tf.convert_to_tensor(gradients[-1])).sum(1)))
    assert touched <= items


def test_impossible_options():
    with pytest.raises(ValueError, match="twin.top_k must be at least 1, got 0"):
        twin.Config(top_k=0)
