"""Rows and draws of losses on sequences against loops, and the same in both layouts."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.embeddings import EmbeddingConfig, FeatureEmbedder
from lcn_tf.embeddings.sequence_rows import draw_items, item_ids, items_of, sequence_rows
from tests import synthetic

LENGTHS = {"short_target": 3, "short_source": 5, "lifelong_source": 13}
SCHEMA = synthetic.make_schema()
SHORT = ("short_target", "short_source")


def make_groups(views):
    """Requests of one view, or whose candidates have moments and views of their own; some users have no history."""
    groups = synthetic.make_groups(SCHEMA, 9, seed=4, offsets=views)
    for group in groups if views else ():
        group["timestamp"] = [stamp - 5_000 * place for place, stamp in enumerate(group["timestamp"])]
    return groups


def looked_up(rows, groups):
    batch = rows(SCHEMA, tf.constant([records.encode(SCHEMA, group) for group in groups]), LENGTHS)
    return FeatureEmbedder(SCHEMA, LENGTHS, EmbeddingConfig(embedding_dim=4)).look_up(batch)


def merged(group, candidate):
    """(item, category) of what a candidate sees, most recent first, the target domain's first within a second."""
    events = []
    for place, history in enumerate(SHORT):
        offset = group[f"{history}_offset"][candidate]
        window = slice(offset, offset + LENGTHS[history])
        columns = (group[f"{history}_{name}"][window] for name in ("timestamp", "item_id", "category"))
        events += [(-stamp, place, item, category) for stamp, item, category in zip(*columns, strict=True)]
    return tuple((item, category) for _, _, item, category in sorted(events, key=lambda event: event[:2]))


def counted(rows, sequence, ids):
    """(user, moment, events) -> candidates that it stands for."""
    found = collections.Counter()
    for row, weight in enumerate(rows.weight.numpy()):
        real = sequence.mask[row].numpy()
        events = zip(*(ids[name][row].numpy()[real].tolist() for name in ("item_id", "category")), strict=True)
        found[(*rows.row_ids[row].numpy().tolist(), tuple(events))] += int(weight)
    return +found


@pytest.mark.parametrize("views", [False, True])
@pytest.mark.parametrize("rows", [grouped_rows, flat_rows])
def test_every_candidate_is_in_one_row(rows, views):
    groups = make_groups(views)
    found = looked_up(rows, groups)
    of_batch = sequence_rows(found)
    (sequence,) = of_batch.sequences
    expected = collections.Counter(
        (group["user_key"][0], moment, merged(group, candidate)) for group in groups
        for candidate, moment in enumerate(group["timestamp"]))
    assert counted(of_batch, sequence, item_ids(found, sequence)) == expected
    assert sequence.mask.shape[1] == 8 and (len(of_batch.weight) == len(groups)) == (rows is grouped_rows and not views)
    vectors = [found.reader.reading.tables(table, sequence.ids[name])
               for name, table in (("item_id", "item"), ("category", "category"))]
    np.testing.assert_allclose(tf.boolean_mask(items_of(found, sequence), sequence.mask),
                               tf.boolean_mask(tf.concat(vectors, -1), sequence.mask), rtol=1e-6)


@pytest.mark.parametrize("views", [False, True])
def test_draws_are_those_of_either_layout_and_uniform_over_candidates(views):
    groups, seed = make_groups(views), tf.constant([3, 4], tf.int64)
    drawn = [draw_items(looked_up(rows, groups), SHORT, 4_000, seed) for rows in (grouped_rows, flat_rows)]
    for name, ids in drawn[0].ids.items():
        np.testing.assert_array_equal(ids, drawn[1].ids[name])
    np.testing.assert_array_equal(drawn[0].user, drawn[1].user)
    assert drawn[0].mask.numpy().all() and drawn[0].vectors.shape == [4_000, 8]
    shares = collections.Counter()
    for history in SHORT:
        views_of = [(group, candidate) for group in groups for candidate in range(len(group["label"]))
                    if len(group[f"{history}_timestamp"]) > group[f"{history}_offset"][candidate]]
        for group, candidate in views_of:
            offset = group[f"{history}_offset"][candidate]
            items = group[f"{history}_item_id"][offset:offset + LENGTHS[history]]
            for item in items:
                shares[group["user_key"][0], item] += 2_000 / len(views_of) / len(items)
    found = collections.Counter(zip(drawn[0].user.numpy().tolist(), drawn[0].ids["item_id"].numpy().tolist(),
                                    strict=True))
    assert set(found) <= set(shares)
    for event, share in shares.items():
        assert abs(found[event] - share) < 5 * share**0.5 + 1, event


@pytest.mark.parametrize("rows", [grouped_rows, flat_rows])
def test_nothing_can_be_drawn_of_nothing(rows):
    found = looked_up(rows, make_groups(False))
    empty = FeatureEmbedder(SCHEMA, LENGTHS, EmbeddingConfig(embedding_dim=4)).look_up(
        {name: values[:0] for name, values in found.batch.items()})
    drawn = draw_items(empty, SHORT, 8, tf.constant([3, 4], tf.int64))
    assert not drawn.mask.numpy().any() and len(sequence_rows(empty).weight) == 0
