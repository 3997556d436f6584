"""How large what the tower reads is at the start of training: no part is to drown another."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.data.pipeline import grouped_rows
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.models.registry import component
from tests import synthetic


def sizes(rows, length, level_norm):
    """Root mean square of each feature, of the short interests and of LAP's levels; every table has so many rows."""
    lengths = {"short_target": 11, "short_source": 13, "lifelong_source": length}
    schema = synthetic.make_schema(lengths=lengths)
    tables = {name: size if name == "time_gap" else rows for name, size in schema.tables.items()}
    schema = dataclasses.replace(schema, tables=tables)
    rng = np.random.default_rng(3)
    groups = [synthetic.make_group(schema, rng, user, 3, lengths) for user in range(5)]
    batch = grouped_rows(schema, tf.constant([records.encode(schema, group) for group in groups]), lengths)
    tf.keras.utils.set_random_seed(3)
    lap = component("long_term", "lap").Config(level_norm=level_norm)
    model = build_model(schema, lengths, ModelConfig(objectives=()), {("long_term", "lap"): lap},
                        EmbeddingConfig(embedding_dim=64))
    batch = model.embedder.look_up(batch)
    levels = model.long_term(batch.candidate, batch.lifelong)
    inputs = model.tower_inputs(batch)
    blocks = [*inputs.user.values(), inputs.candidate, *inputs.side.values(), *inputs.interests.values(),
              *tf.split(levels, [128, 64, 64], -1)]
    return np.array([np.sqrt(np.mean(np.square(block))) for block in blocks])


@pytest.mark.parametrize("length", [1, 500, 8_000])
@pytest.mark.parametrize("rows", [10, 1_000, 1_000_000])
def test_levels_of_the_candidates_size_start_as_large_as_what_is_beside_them(rows, length):
    found = sizes(rows, length, "candidate")
    assert found.max() < 5 * found.min()


def test_the_printed_sum_does_not():
    assert sizes(10, 500, "none").max() > 50 * sizes(10, 500, "none").min()
