"""Negatives of lifelong events are drawn from the whole batch, however it is laid out or divided."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.models.negative_events import add_negative_events, negative_pool_names
from tests import synthetic

LENGTHS = {"short_target": 3, "short_source": 5, "lifelong_source": 13}
SCHEMA = synthetic.make_schema()
NAMES = ("item_id", "category")


def make_batch(rows=grouped_rows, count=11, offsets=True):
    groups = synthetic.make_groups(SCHEMA, count, seed=4, max_candidates=3, offsets=offsets)
    return rows(SCHEMA, tf.constant([records.encode(SCHEMA, group) for group in groups]), LENGTHS)


def drawn(batch, everyone=None, newest=None, seed=(1, 2)):
    found = add_negative_events(batch, everyone or batch, SCHEMA, LENGTHS["short_source"], newest,
                                tf.constant(seed, tf.int64))
    return np.stack([found[f"negative {name}"] for name in NAMES], -1)


def visible_pool(batch):
    """The items that candidates see in their short source histories, once for each candidate that sees them."""
    items = np.stack([batch[f"short_source_{name}"] for name in NAMES], -1)
    pool = []
    for b, c in np.argwhere(batch["candidate_mask"]):
        offset = int(batch["short_source_offset"][b, c])
        window = slice(offset, offset + LENGTHS["short_source"])
        pool += map(tuple, items[b, window][batch["short_source_mask"].numpy()[b, window]])
    return pool


def test_negatives_are_items_that_candidates_see():
    batch = make_batch()
    found = {tuple(item) for item in drawn(batch).reshape(-1, 2)}
    pool = visible_pool(batch)
    assert found <= set(pool) and len(found) > 0.5 * len(set(pool))


@pytest.mark.parametrize("rows", [grouped_rows, flat_rows])
def test_a_part_of_the_batch_draws_what_the_whole_one_draws(rows):
    batch = make_batch(rows)
    everyone, whole = {name: batch[name] for name in negative_pool_names(SCHEMA)}, drawn(batch)
    for part in (slice(0, 4), slice(4, None), slice(2, 2)):
        np.testing.assert_array_equal(drawn({name: value[part] for name, value in batch.items()}, everyone),
                                      whole[part])


def test_both_layouts_draw_the_same():
    grouped, flat = make_batch(), make_batch(flat_rows)
    of_grouped, of_flat = drawn(grouped), drawn(flat)
    for row, (b, c) in enumerate(np.argwhere(grouped["candidate_mask"])):
        offset, real = int(grouped["lifelong_source_offset"][b, c]), np.sum(flat["lifelong_source_mask"][row])
        np.testing.assert_array_equal(of_flat[row, :real], of_grouped[b, offset:offset + real])


def test_only_the_newest_events_get_one():
    batch = make_batch()
    hidden = int(tf.reduce_max(batch["lifelong_source_offset"]))
    assert hidden and drawn(batch, newest=3).shape[1] == 3 + hidden
    np.testing.assert_array_equal(drawn(batch, newest=3), drawn(batch)[:, :3 + hidden])


def test_another_seed_or_step_draws_others_and_nobody_s_events_are_padding():
    batch = make_batch(offsets=False)
    first = drawn(batch)
    for seed in ((1, 3), (2, 2)):
        assert (drawn(batch, seed=seed) != first).any(-1).mean() > 0.5
    empty = {**batch, "short_source_mask": tf.zeros_like(batch["short_source_mask"])}
    assert not drawn(empty).any()
