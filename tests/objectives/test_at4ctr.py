"""AT4CTR's objective against loops over clicked candidates and over events."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.pipeline import flat_rows
from lcn_tf.embeddings.sequence_rows import items_of, sequence_rows
from lcn_tf.objectives import at4ctr
from tests import references
from tests.objectives.batches import SCHEMA, SEED, alone, built, looked_up, sums

FIELDS = [feature.name for feature in SCHEMA.item]


def unit(vector):
    return vector / np.linalg.norm(vector)


def cross_entropy(query, positive, negatives, weights, temperature):
    logits = [query @ positive / temperature]
    logits += [query @ other / temperature + np.log(weight) for other, weight in zip(negatives, weights, strict=True)]
    return references.log_sum_exp(logits) - logits[0]


@pytest.mark.parametrize("options", [{"units": (5, 3)}, {"units": (4,), "pooled": "target", "temperature": 0.3,
                                                          "matching_weight": 0.5}], ids=str)
def test_matching_equals_a_loop_over_clicked_candidates(options):
    embedder, objective = built(at4ctr, next_item_weight=0.0, **options)
    batch, config = looked_up(embedder), objective.config
    histories = ("short_target",) if config.pooled == "target" else ("short_target", "short_source")
    pairs = []
    for request, candidate in np.argwhere((batch.batch["label"].numpy() > 0) & batch.mask.numpy()):
        parts = [np.asarray(vector[request]) for vector in batch.user.values()]
        for history in histories:
            seen = batch.visible(history).numpy()[request, candidate]
            items = batch.history(history).items.numpy()[request][seen]
            parts.append(items.mean(axis=0) if len(items) else np.zeros(embedder.item_width))
        user = unit(np.asarray(objective.user_net(np.concatenate(parts)[np.newaxis].astype("float32"))[0], np.float64))
        item = unit(np.asarray(objective.item_net(batch.candidate[request, candidate][np.newaxis])[0], np.float64))
        ids = tuple(int(batch.batch[name][request, candidate]) for name in FIELDS)
        pairs.append((int(batch.batch["user_key"][request]), ids, user, item))
    total = 0.0
    for user_key, ids, user, item in pairs:
        others = [other for other in pairs if other[0] != user_key and other[1] != ids]
        total += cross_entropy(user, item, [other[3] for other in others], np.ones(len(others)), config.temperature) / 2
        total += cross_entropy(item, user, [other[2] for other in others], np.ones(len(others)), config.temperature) / 2
    assert len({user_key for user_key, *_ in pairs}) > 3
    np.testing.assert_allclose(sums(embedder, objective)["matching"], (config.matching_weight * total, len(pairs)),
                               rtol=2e-5)


@pytest.mark.parametrize("options", [{}, {"history": "both_separately", "temperature": 0.4, "next_item_weight": 2.0}],
                         ids=str)
def test_next_item_equals_a_loop_over_events(options):
    embedder, objective = built(at4ctr, matching_weight=0.0, **options)
    batch, config = looked_up(embedder), objective.config
    rows = sequence_rows(batch, config.history)
    users, weights = rows.user.numpy(), rows.weight.numpy().astype(float)
    total = count = 0.0
    for sequence in rows.sequences:
        items, mask = items_of(batch, sequence), sequence.mask.numpy()
        guesses = objective.guess(objective.encoder(items, mask=mask, domain=sequence.domain)).numpy().astype(float)
        items = items.numpy().astype(float)
        ids = np.stack([sequence.ids[name].numpy() for name in FIELDS], -1)
        for row, place in np.argwhere(mask[:, 1:]):  # the event before which `place` comes; it is one newer
            negatives = [other for other in range(len(users)) if users[other] != users[row] and mask[other, place]
                         and weights[other] and (ids[other, place] != ids[row, place]).any()]
            total += weights[row] * cross_entropy(
                unit(guesses[row, place + 1]), unit(items[row, place]), [unit(items[n, place]) for n in negatives],
                weights[negatives], config.temperature)
            count += weights[row]
    assert count > 20
    expected = config.next_item_weight * total, count
    np.testing.assert_allclose(sums(embedder, objective)["next_item"], expected, rtol=2e-5)


def test_layouts_give_the_same():
    embedder, objective = built(at4ctr, dropout=0.3)
    grouped, flat = sums(embedder, objective), sums(embedder, objective, flat_rows)
    assert set(grouped) == {"matching", "next_item"}
    for term, values in grouped.items():
        np.testing.assert_allclose(flat[term], values, rtol=1e-5)


def test_a_batch_without_clicks_and_terms_that_are_off():
    embedder, objective = built(at4ctr)
    batch = looked_up(embedder)
    batch.reader.batch["label"] = tf.zeros_like(batch.batch["label"])
    total, count = objective(batch, alone(objective, batch), SEED)["matching"]
    assert float(total) == float(count) == 0.0
    assert built(at4ctr, matching_weight=0.0)[1].terms == ("next_item",)
    assert built(at4ctr, weight=0.0)[1].terms == ()


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"matching_weight": float("nan")}, {"units": ()},
                                     {"temperature": 0.0}], ids=str)
def test_impossible_options(options):
    with pytest.raises(ValueError, match=f"at4ctr.{next(iter(options))} must"):
        at4ctr.Config(**options)
