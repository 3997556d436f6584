"""CLRec's objective against a loop over clicked candidates, and what its queue holds."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.contracts import Everyone
from lcn_tf.data.pipeline import flat_rows
from lcn_tf.embeddings.row_reader import ROWS_OF
from lcn_tf.embeddings.sequence_rows import items_of, sequence_rows
from lcn_tf.objectives import clrec
from tests import references
from tests.objectives.batches import SCHEMA, SEED, built, looked_up

FIELDS = [feature.name for feature in SCHEMA.item]
SMALL = {"queue_size": 23, "units": (5, 3)}


def unit(vector):
    vector = np.asarray(vector, np.float64)
    return vector / np.linalg.norm(vector)


def with_queue(embedder, objective, **rows):
    added = {f"{ROWS_OF}clrec {name}": values for name, values in objective.rows_read(SEED).items()}
    return looked_up(embedder, added=added, **rows)


def sums(embedder, objective, **rows):
    batch = with_queue(embedder, objective, **rows)
    total, count = objective(batch, Everyone(batch, tf.constant(0)), SEED)["queue"]
    return float(total), float(count)


def clicks_of(batch):
    """(request, candidate, item, user) of the clicked candidates, in order."""
    clicked = np.argwhere((batch.batch["label"].numpy() > 0) & batch.mask.numpy())
    return [(request, place, tuple(int(batch.batch[name][request, place]) for name in FIELDS),
             int(batch.batch["user_key"][request])) for request, place in clicked]


def queue_of(objective):
    rows, users = objective.queue.rows, objective.queue.users.numpy().tolist()
    return list(zip(zip(*(rows[name].numpy().tolist() for name in FIELDS), strict=True), users, strict=True))


def push(embedder, objective, times=1):
    batch = looked_up(embedder)
    for _ in range(times):
        objective.after_update(batch, Everyone(batch, tf.constant(0)), SEED)
    return batch


@pytest.mark.parametrize("options", [
    {}, {"duplicates": "unique", "temperature": 0.5}, {"user": "profile"}, {"store": "vectors"},
    {"history": "both_separately"}], ids=str)
def test_equals_a_loop_over_clicked_candidates(options):
    embedder, objective = built(clrec, **SMALL, **options)
    push(embedder, objective)  # a queue of some clicks of these users, and of what it began with
    batch, config = with_queue(embedder, objective), objective.config
    rows = sequence_rows(batch, config.history)
    queue = queue_of(objective)
    items = [unit(vector) for vector in objective.item_net(tf.concat([tf.gather(
        embedder.tables.vectors[feature.table], objective.queue.rows[feature.name]) for feature in SCHEMA.item], -1))]
    if config.store == "vectors":
        items = objective.queue.vectors.numpy().astype(float)
    total = count = 0.0
    for request, place, item, user in clicks_of(batch):
        if config.user == "profile":
            parts = [np.asarray(vector[request]) for vector in batch.user.values()]
            for history in ("short_target", "short_source"):
                seen = batch.visible(history).numpy()[request, place]
                events = batch.history(history).items.numpy()[request][seen]
                parts.append(events.mean(axis=0) if len(events) else np.zeros(embedder.item_width))
            state = np.concatenate(parts).astype("float32")
        else:
            row = int(rows.row_of[request, place])
            if not any(bool(sequence.mask[row, 0]) for sequence in rows.sequences):
                continue
            state = np.concatenate([objective.encoder(items_of(batch, sequence), mask=sequence.mask,
                                                      domain=sequence.domain)[row, 0] for sequence in rows.sequences])
        query = unit(objective.user_net(state[np.newaxis])[0]) / config.temperature
        logits = [query @ unit(objective.item_net(batch.candidate[request, place][np.newaxis])[0])]
        for number, (other, other_user) in enumerate(queue):
            if other != item and other_user != user:
                factor = [entry for entry, _ in queue].count(other) if config.duplicates == "unique" else 1
                logits.append(query @ items[number] - np.log(factor))
        total += references.log_sum_exp(logits) - logits[0]
        count += 1
    assert count > 9
    np.testing.assert_allclose(sums(embedder, objective), (total, count), rtol=2e-5)


def test_layouts_give_the_same():
    embedder, objective = built(clrec, **SMALL, dropout=0.3)
    push(embedder, objective)
    np.testing.assert_allclose(sums(embedder, objective, rows=flat_rows), sums(embedder, objective), rtol=1e-5)


def test_the_queue_holds_the_newest_clicks():
    embedder, objective = built(clrec, **SMALL)
    start = queue_of(objective)
    assert {user for _, user in start} == {-1} and all(min(item) >= 2 for item, _ in start)
    clicked = [(item, user) for _, _, item, user in clicks_of(push(embedder, objective))]
    assert 9 < len(clicked) < 23 and queue_of(objective) == (clicked + start)[:23]
    push(embedder, objective)
    assert queue_of(objective) == (2 * clicked + start)[:23]


def test_events_of_the_other_domain_enter_the_queue_on_request():
    embedder, objective = built(clrec, **SMALL | {"queue_size": 99}, queue_domains="both")
    batch = push(embedder, objective)
    expected = [(item, user) for _, _, item, user in clicks_of(batch)]
    for request, place, _, user in clicks_of(batch):
        seen = np.flatnonzero(batch.visible("short_source").numpy()[request, place])
        if len(seen):
            item = tuple(int(batch.batch[f"short_source_{name}"][request, seen[0]]) for name in FIELDS)
            expected.append((item, user))
    assert queue_of(objective)[:len(expected)] == expected and len(expected) > len(clicks_of(batch)) + 5


def test_vectors_stay_as_they_were():
    embedder, objective = built(clrec, **SMALL, store="vectors")
    batch = push(embedder, objective)
    first = objective.queue.vectors.numpy()[0]
    request, place, *_ = clicks_of(batch)[0]
    item = batch.candidate[request, place][np.newaxis]
    np.testing.assert_allclose(first, unit(objective.item_net(item)[0]), rtol=1e-5)
    for weight in objective.item_net.trainable_weights:
        weight.assign(2.0 * weight + 0.1)
    assert (objective.queue.vectors.numpy()[0] == first).all()
    with tf.GradientTape() as tape:
        batch = with_queue(embedder, objective)
        total = objective(batch, Everyone(batch, tf.constant(0)), SEED)["queue"][0]
    assert all(gradient is not None for gradient in tape.gradient(total, objective.item_net.trainable_weights))


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"temperature": 0.0}, {"queue_size": 0}, {"units": ()}], ids=str)
def test_impossible_options(options):
    with pytest.raises(ValueError, match=f"clrec.{next(iter(options))} must"):
        clrec.Config(**options)
