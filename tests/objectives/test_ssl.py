"""SSL's objective against a loop over the items that it draws."""

import collections
import dataclasses

import numpy as np
import pytest

from lcn_tf.data.catalogue import Catalogue
from lcn_tf.embeddings import EmbeddingConfig, FeatureEmbedder
from lcn_tf.embeddings.row_reader import ROWS_OF
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.objectives import ssl
from lcn_tf.ops.feature_masks import correlated_masks, mutual_information
from tests import references, synthetic
from tests.objectives.batches import LENGTHS, SCHEMA, SEED, alone, built, looked_up

SMALL = {"num_items": 60, "units": (5, 3)}
NAMES = [feature.name for feature in SCHEMA.item]
CATALOGUE = synthetic.catalogue(SCHEMA, seed=8)  # no ids are in both domains
ITEMS = list(zip(CATALOGUE.domain.tolist(), *(ids.tolist() for ids in CATALOGUE.ids.values()), strict=True))


def read(embedder, objective, seed=SEED):
    added = {f"{ROWS_OF}ssl {name}": rows for name, rows in objective.rows_read(seed).items()}
    return looked_up(embedder, added=added)


def result(embedder, objective, seed=SEED):
    batch = read(embedder, objective, seed)
    total, count = objective(batch, alone(objective, batch, seed), seed)["views"]
    return float(total), float(count)


def drawn(objective, seed=SEED):
    """(domain, ids) of each drawn item, by the rows that it reads."""
    domains = {tuple(ids): domain for domain, *ids in ITEMS}
    return [(domains[ids], *ids) for ids in rows_of(objective, seed)]


def rows_of(objective, seed=SEED):
    return list(zip(*(objective.rows_read(seed)[name].numpy().tolist() for name in NAMES), strict=True))


def views(objective, embedder, items, hidden):
    """Both views' vectors of the items, of length 1, where the first hides some features and the second the others."""
    found = []
    for shown in (~hidden, hidden):
        inputs = [np.concatenate([float(keep) * embedder.tables.vectors[feature.table].numpy()[row]
                                  for keep, feature, row in zip(shown, SCHEMA.item, item[1:], strict=True)])
                  for item in items]
        outputs = objective.item_net(np.array(inputs, np.float32)).numpy().astype(float)
        found.append(outputs / np.linalg.norm(outputs, axis=1, keepdims=True))
    return found


@pytest.mark.parametrize("options", [{}, {"mask": "random"}, {"domains": "apart", "temperature": 0.5}], ids=str)
def test_equals_a_loop_over_drawn_items(options):
    embedder, objective = built(ssl, **SMALL, **options)
    items, temperature = drawn(objective), objective.config.temperature
    apart = objective.config.domains == "apart"
    assert len(items) == (120 if apart else 60) > len(set(items))  # some are drawn twice
    possible = []
    for hidden in ([True, False], [False, True]):
        first, second = views(objective, embedder, items, np.array(hidden))
        total = 0.0
        for place, item in enumerate(items):
            logits = [first[place] @ second[place] / temperature]
            logits += [first[place] @ second[other] / temperature for other, drawn_item in enumerate(items)
                       if drawn_item != item and (not apart or place // 60 == other // 60)]
            total += references.log_sum_exp(logits) - logits[0]
        possible.append(total)
    total, count = result(embedder, objective)
    assert count == len(items) and min(abs(total / each - 1.0) for each in possible) < 2e-5
    assert apart or abs(possible[0] / possible[1] - 1.0) > 1e-4


def test_items_are_drawn_evenly_and_by_the_seed():
    _, objective = built(ssl, num_items=20_000, units=(3,))
    counts = collections.Counter(drawn(objective))
    assert set(counts) == set(ITEMS)
    expected = 20_000 / len(counts)
    assert all(abs(count - expected) < 5 * expected ** 0.5 for count in counts.values())
    assert drawn(objective) == drawn(objective) != drawn(objective, np.array([3, 5]))


def test_apart_draws_as_many_of_each_domain():
    _, objective = built(ssl, **SMALL, domains="apart")
    assert [domain for domain, *_ in drawn(objective)] == [0] * 60 + [1] * 60


def test_an_item_of_both_domains_is_one_unless_they_are_apart():
    """Where its rows are the same it would be its own negative."""
    twice = Catalogue({name: np.tile(ids[:9], 2) for name, ids in CATALOGUE.ids.items()}, np.repeat([0, 1], 9),
                      np.ones(18, int))
    for domains, count in (("mixed", 9), ("apart", 18)):
        objective = ssl.build(ssl.Config(num_items=400, units=(3,), domains=domains))
        objective.use_catalogue(twice)
        objective.build_weights(FeatureEmbedder(SCHEMA, LENGTHS, EmbeddingConfig(embedding_dim=4)))
        assert len(set(objective._drawn(SEED).numpy())) == count and len(set(rows_of(objective))) == 9


def test_masks_follow_the_mutual_information():
    """With three features, a view hides the one that is drawn and the one that it says most of."""
    schema = dataclasses.replace(SCHEMA, tables={**SCHEMA.tables, "brand": 7},
                                 item=(*SCHEMA.item, dataclasses.replace(SCHEMA.item[0], name="brand", table="brand")))
    catalogue = synthetic.catalogue(schema, 200)
    catalogue = dataclasses.replace(catalogue, ids={**catalogue.ids, "brand": 1 + catalogue.ids["category"] % 6})
    embedder = FeatureEmbedder(schema, LENGTHS, EmbeddingConfig(embedding_dim=4))
    objective = ssl.build(ssl.Config())
    objective.use_catalogue(catalogue)
    objective.build_weights(embedder)
    information = mutual_information(np.stack(list(catalogue.ids.values())))
    seen = {tuple(objective._hidden([seed, 1]).numpy()) for seed in range(40)}
    assert seen == {tuple(row) for row in correlated_masks(information)} and (False, True, True) in seen


def test_a_single_feature_is_dropped_out_twice():
    schema = SCHEMA.reading(["category"], ())
    embedder = FeatureEmbedder(schema, LENGTHS, EmbeddingConfig(embedding_dim=64, initializer="unit_normal"))
    objective = ssl.build(ssl.Config(**SMALL))
    objective.use_catalogue(synthetic.catalogue(schema))
    objective.build_weights(embedder)
    rows = {f"{ROWS_OF}ssl category": objective.rows_read(SEED)["category"]}
    batch = embedder.look_up(rows)
    first, second = (objective._view(batch, number, SEED).numpy() for number in (0, 1))
    assert first.shape == (60, 3) and not np.allclose(first, second)
    places = {}
    for place, category in enumerate(rows[f"{ROWS_OF}ssl category"].numpy().tolist()):
        places.setdefault(category, []).append(place)
    assert np.isfinite(objective(batch, alone(objective, batch), SEED)["views"][0])


def test_separate_rows_of_a_domain_are_those_that_its_histories_read():
    embedder = FeatureEmbedder(SCHEMA, LENGTHS, EmbeddingConfig(embedding_dim=4, per_domain=("category",)))
    objective = ssl.build(ssl.Config(**SMALL))
    objective.use_catalogue(CATALOGUE)
    objective.build_weights(embedder)
    rows = {name: values.numpy() for name, values in objective.rows_read(SEED).items()}
    assert rows["item_id"].max() < 61 and 11 < rows["category"].max() < 22
    known = set(zip(CATALOGUE.ids["item_id"], CATALOGUE.ids["category"] + 11 * CATALOGUE.domain, strict=True))
    assert set(zip(rows["item_id"], rows["category"], strict=True)) <= known


def test_a_model_without_a_catalogue_is_refused():
    with pytest.raises(ValueError, match="ssl draws from all items of the training days: build_model needs a cat"):
        build_model(SCHEMA, LENGTHS, ModelConfig(objectives=("ssl",)))
    build_model(SCHEMA, LENGTHS, ModelConfig(objectives=("ssl",)), {("objectives", "ssl"): ssl.Config(weight=0.0)})


@pytest.mark.parametrize("options", [
    {"weight": -1.0}, {"temperature": 0.0}, {"num_items": 1}, {"units": ()}, {"dropout": 1.0}], ids=str)
def test_impossible_options(options):
    with pytest.raises(ValueError, match=f"ssl.{next(iter(options))} must"):
        ssl.Config(**options)
