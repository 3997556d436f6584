"""DSS's objective against loops over rows, events and intents."""

import math

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.pipeline import flat_rows
from lcn_tf.embeddings.sequence_rows import items_of, sequence_rows
from lcn_tf.objectives import dss
from lcn_tf.ops.pair_sampling import fold_seed
from lcn_tf.ops.row_random import row_states, uniform
from tests import references_objectives
from tests.objectives.batches import SCHEMA, SEED, built, looked_up, sums

FIELDS = [feature.name for feature in SCHEMA.item]


def weights_of(pooling):
    found = {name: value.numpy().astype(float) for name, value in pooling.vectors.items()}
    found["key_kernel"], found["key_bias"] = (weight.numpy().astype(float) for weight in pooling.key_layer.weights)
    for name, norm in pooling.norms.items():
        found[f"{name}_gamma"], found[f"{name}_beta"] = (weight.numpy().astype(float) for weight in norm.weights)
    return found


@pytest.mark.parametrize("options", [{}, {"num_intents": 3, "keep_ratio": 0.2, "item_weight": 0.5},
                                     {"history": "both_separately", "sequence_weight": 2.0}], ids=str)
def test_equals_loops_over_rows_and_intents(options):
    embedder, objective = built(dss, **options)
    batch, config = looked_up(embedder), objective.config
    rows, weights = sequence_rows(batch, config.history), weights_of(objective.pooling)
    totals = {"item": [0.0, 0.0], "sequence": [0.0, 0.0]}
    for number, sequence in enumerate(rows.sequences):
        ids = tf.pad(rows.row_ids, [[0, 0], [0, 1]], constant_values=number)
        draws = uniform(row_states(ids, fold_seed(SEED, 0))).numpy()
        items, domain, found = items_of(batch, sequence).numpy(), sequence.domain.numpy(), []

        def intents(row, places, future, items=items, domain=domain):
            length = objective.encoder.max_length
            padded = [*places, *[0] * (length - len(places))]
            mask = np.arange(length) < len(places)
            states = objective.encoder(items[row, padded][np.newaxis], mask=mask[np.newaxis],
                                       domain=domain[row, padded][np.newaxis])[0].numpy().astype(float)
            return references_objectives.intents_of(states, mask, weights, weights["biases"][int(future)])

        for row, size in enumerate(sequence.mask.numpy().sum(axis=1)):
            if size < 3:
                continue
            after = 2 + min(math.floor(draws[row] * np.float32(size - 2)), size - 3)
            event = np.asarray(objective.encoder.projected(items[row, after - 1][np.newaxis])[0], np.float64)
            found.append((int(rows.user[row]), float(rows.weight[row]), event,
                          tuple(int(sequence.ids[name][row, after - 1]) for name in FIELDS),
                          intents(row, range(after, size), False), intents(row, range(after - 1, -1, -1), True)))
        of_sequences = []
        for user, weight, event, item, past, future in found:
            others = [other for other in found if other[0] != user]
            told = [other for other in others if other[3] != item]
            totals["item"][0] += weight * references_objectives.seq2item(
                past, event, [other[2] for other in told], [other[1] for other in told])
            totals["item"][1] += weight
            losses = references_objectives.seq2seq(past, future, [other[5] for other in others],
                                                   [other[1] for other in others])
            of_sequences += [(loss, weight) for loss in losses]
        copies = np.sort(np.concatenate([[loss] * int(weight) for loss, weight in of_sequences]))
        threshold = copies[math.floor(config.keep_ratio * copies.size) - 1]
        for loss, weight in of_sequences:
            if loss <= threshold + 1e-5:
                totals["sequence"][0] += weight * loss
                totals["sequence"][1] += weight
    assert totals["item"][1] > 9
    for term, factor in (("item", config.item_weight), ("sequence", config.sequence_weight)):
        expected = factor * totals[term][0], totals[term][1]
        np.testing.assert_allclose(sums(embedder, objective)[term], expected, rtol=1e-4)


def test_layouts_cut_and_drop_the_same():
    embedder, objective = built(dss, dropout=0.3)
    grouped, flat = sums(embedder, objective), sums(embedder, objective, flat_rows)
    for term, values in grouped.items():
        np.testing.assert_allclose(flat[term], values, rtol=1e-4)
    assert built(dss, item_weight=0.0)[1].terms == ("sequence",)


def test_cuts_are_uniform():
    ids = tf.range(6000, dtype=tf.int64)[:, tf.newaxis]
    after = dss._after_the_cut(tf.fill([6000], 6), ids, SEED).numpy()
    counts = np.bincount(after, minlength=7)
    assert counts[:2].sum() == counts[6] == 0 and (np.abs(counts[2:6] - 1500) < 5 * math.sqrt(1500)).all()
    assert dss._after_the_cut(tf.constant([0, 1, 2, 3]), ids[:4], SEED).numpy().tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"item_weight": float("nan")}, {"num_intents": 0},
                                     {"keep_ratio": 0.0}], ids=str)
def test_impossible_options(options):
    with pytest.raises(ValueError, match=f"dss.{next(iter(options))} must"):
        dss.Config(**options)
