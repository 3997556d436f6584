"""Consistency of retrieval: the model's own cascade against plain loops, over layouts, batches and numbers of rows."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.contracts import Explains
from lcn_tf.data.pipeline import DataConfig, RecordFiles, flat_rows
from lcn_tf.metrics import consistency_of_scores
from lcn_tf.models import registry
from lcn_tf.training import EvalConfig
from lcn_tf.training.consistency import measure, measure_split
from tests import references, synthetic
from tests.layers.batches import attention_weights
from tests.long_term.histories import LENGTHS, WIDTH, Requests, config, small_model
from tests.models.test_every_component import SMALL

LEVELS = {"attention_dim": 4, "num_heads": 2, "ffn_dim": 7}
EVERY_ROW = 10**6


def random_model(name, **options):
    """A small model whose every weight matters."""
    model = small_model(name, config(name, **{**SMALL.get(("long_term", name), {}), **options}))
    rng = np.random.default_rng(3)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(scale=0.7, size=variable.shape).astype(np.float32))
    return model


def requests_of(model, **options):
    return Requests(embedder=model.embedder, **{"offsets": True, "moments": True, "count": 17, **options})


def of_batches(requests):
    return tf.data.Dataset.from_tensors(requests.batch)


def loops(model, requests, top_k):
    """Mean overlap, mean chance, rows used and rows of LAP, candidate by candidate."""
    layer = model.long_term.lap
    weights = {name: attention_weights(level) for name, level in (("msa", layer.msa), ("fsa", layer.fsa))
               if level is not None and hasattr(level, "projections")}
    last = layer.fsa_top_k or layer.msa_top_k
    k = min(top_k, last, requests.mask.shape[-1])
    overlaps, chances = [], []
    for b, c in np.argwhere(requests.real):
        candidate, events, mask = np.float64(requests.candidate[b, c]), requests.events[b, c], requests.mask[b, c]
        if mask.sum() <= k:
            continue
        sees = references.lap(candidate, events[:, :WIDTH], mask, events[:, WIDTH:], weights, layer.msa_top_k,
                              layer.fsa_top_k, layer.num_heads, shared=layer.share_msa_fsa)[1]
        if layer.fsa_top_k is None:
            final = references.msa_logits(candidate, events, weights["msa"])
        else:
            final = references.fsa_scores(candidate, events, mask, weights["fsa"], layer.num_heads).mean(axis=0)
        test = list(sees.values())[-1][:k]
        overlaps.append(len(set(references.top_k(final, mask, k)) & set(test)) / k)
        chances.append(k / mask.sum())
    return np.mean(overlaps), np.mean(chances), len(overlaps), int(requests.real.sum())


@pytest.mark.parametrize("options, top_k, compared", [
    ({"msa_top_k": 7, "fsa_top_k": 5}, 2, 2), ({"msa_top_k": 7, "fsa_top_k": 3, "share_msa_fsa": True}, 50, 3),
    ({"msa_top_k": None, "fsa_top_k": 3}, 50, 3), ({"msa_top_k": 3, "fsa_top_k": None}, 50, 3),
    ({"msa_top_k": 5, "fsa_top_k": "all"}, 3, 3), ({"msa_top_k": "all", "fsa_top_k": 3}, 50, 3)], ids=str)
def test_lap_as_a_cascade_of_loops(options, top_k, compared):
    model = random_model("lap", **{**LEVELS, **options})
    requests = requests_of(model)
    found = measure(model, of_batches(requests), EVERY_ROW, top_k)
    value, chance, rows, total = loops(model, requests, top_k)
    assert (found.top_k, found.rows, found.rows + found.excluded_rows) == (compared, rows, total) and rows > 10
    assert found.value == pytest.approx(value) and value > 0
    assert found.random_baseline == pytest.approx(chance)
    assert found.chance_corrected == pytest.approx((value - chance) / (1 - chance)) and found.per_head is None


def test_one_head_and_shared_projections_agree_entirely():
    model = random_model("lap", msa_top_k="all", fsa_top_k=3, num_heads=1, share_msa_fsa=True)
    assert measure(model, of_batches(requests_of(model)), EVERY_ROW).value == 1.0


@pytest.mark.parametrize("per_head", [False, True])
def test_twin_agrees_entirely_by_head_and_less_when_merged(per_head):
    model = random_model("twin", top_k_per_head=per_head)
    requests = requests_of(model, count=31)
    found = measure(model, of_batches(requests), EVERY_ROW)
    stages = model.long_term.stage_scores(requests.candidate, requests.history)
    merged = consistency_of_scores(*(stages[name].numpy()[requests.real] for name in ("final", "gsu")),
                                   requests.mask[requests.real], top_k=3)
    assert found.per_head == 1.0 and 0.4 < found.value < 1.0
    assert (found.value, found.rows, found.excluded_rows) == (pytest.approx(merged.value), merged.rows,
                                                              merged.excluded_rows)


def test_a_random_choice_is_at_chance():
    model = random_model("random_k", top_k=4)
    found = measure(model, of_batches(requests_of(model, count=499)), EVERY_ROW)
    assert found.rows > 300 and found.value > 0.3 and abs(found.chance_corrected) < 0.05


def test_what_a_search_by_key_does_not_find_is_missed():
    model = random_model("sim_hard", top_k=3)
    requests = requests_of(model, count=31)
    found = measure(model, of_batches(requests), EVERY_ROW)
    shared = (requests.history.shares(None).numpy() & requests.mask)[requests.real].sum(axis=-1)
    used = requests.mask[requests.real].sum(axis=-1) > 3
    assert 0 < found.value <= np.minimum(shared[used], 3).mean() / 3 < 0.5


@pytest.mark.parametrize("name", ["lap", "twin", "eta", "sim_hard"])
def test_layouts_agree(name):
    model = random_model(name, **({} if name == "lap" else {"top_k": 3}))
    together, single = (measure(model, of_batches(requests), EVERY_ROW)
                        for requests in (requests_of(model), requests_of(model, rows=flat_rows)))
    assert together.rows > 10 and together == pytest.approx(single)
    assert 0 < together.value < 1


def test_models_that_retrieve_nothing():
    layers = {name: registry.component("long_term", name).build(config(name, **SMALL.get(("long_term", name), {})))
              for name in registry.components("long_term")}
    names = {name for name, layer in layers.items() if not isinstance(layer, Explains)}
    assert names == {"dien", "din", "full_attention", "mean_pool", "none", "sdim"}
    for name in ("full_attention", "sdim"):
        model = random_model(name)
        assert measure(model, of_batches(requests_of(model, count=3)), EVERY_ROW) is None


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    synthetic.write_records(folder, groups={"train": 5, "validation": 150, "test": 5}, seed=3, offsets=True)
    return RecordFiles.open(str(folder))


def test_the_first_rows_of_a_split(files):
    model, total = random_model("lap"), files.impressions["validation"]
    flat, grouped = (DataConfig(layout=layout, short_length=3, lifelong_length=LENGTHS["lifelong_source"])
                     for layout in ("flat", "grouped"))
    first, same, every = (measure_split(model, files, "validation", data, rows)
                          for data, rows in ((flat, 131), (grouped, 131), (flat, EVERY_ROW)))
    assert first == same and first.value != every.value
    assert (first.rows + first.excluded_rows, every.rows + every.excluded_rows) == (131, total) and total > 300


def test_histories_that_are_kept_whole_leave_nothing_to_compare():
    model = random_model("recent_k", top_k=13)
    found = measure(model, of_batches(requests_of(model)), EVERY_ROW)
    assert np.isnan(found.value) and found.rows == 0 and found.top_k == 13


def test_impossible_arguments():
    model = random_model("lap")
    batches = of_batches(requests_of(model, count=3))
    for arguments, message in (((0,), "rows must be at least 1, got 0"), ((1, 0), "top_k must be at least 1, got 0")):
        with pytest.raises(ValueError, match=message):
            measure(model, batches, *arguments)
    with pytest.raises(ValueError, match="batches must hold an impression"):
        measure(model, batches.take(0), 1)
    with pytest.raises(ValueError, match="eval.consistency_rows must not be negative, got -1"):
        EvalConfig(consistency_rows=-1)
