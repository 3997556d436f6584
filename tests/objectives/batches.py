"""A small batch for objectives, in both layouts, and objectives whose weights all matter."""

import dataclasses

import numpy as np
import tensorflow as tf

from lcn_tf.contracts import ComparesRows, Everyone, ReadsCatalogue
from lcn_tf.data import records
from lcn_tf.data.pipeline import grouped_rows
from lcn_tf.embeddings import EmbeddingConfig, FeatureEmbedder
from tests import synthetic

LENGTHS = {"short_target": 3, "short_source": 5, "lifelong_source": 13}
SCHEMA = synthetic.make_schema()
SEED = np.array([3, 4])  # no tensor: whoever imports this may still choose devices
_SMALL = {"num_negatives": 24, "width": 6, "dropout": 0.0}


def parsed(rows=grouped_rows):
    """Nine requests."""
    groups = synthetic.make_groups(SCHEMA, 9, seed=4)
    return rows(SCHEMA, tf.constant([records.encode(SCHEMA, group) for group in groups]), LENGTHS)


def looked_up(embedder, rows=grouped_rows, added=None):
    """The requests, and tensors that are added to them."""
    return embedder.look_up({**parsed(rows), **(added or {})})


def built(module, **options):
    """An embedder and the objective of a module, small, with weights unlike their initial ones."""
    names = {field.name for field in dataclasses.fields(module.Config)}
    small = {name: value for name, value in _SMALL.items() if name in names}
    tf.keras.utils.set_random_seed(2)
    embedder = FeatureEmbedder(SCHEMA, LENGTHS, EmbeddingConfig(embedding_dim=4, initializer="unit_normal"))
    objective = module.build(module.Config(**{**small, **options}))
    if isinstance(objective, ReadsCatalogue):
        objective.use_catalogue(synthetic.catalogue(SCHEMA, seed=8))
    objective.build_weights(embedder)
    for weight in objective.trainable_weights:
        weight.assign(tf.random.stateless_normal(weight.shape, [1, len(weight.shape)], stddev=0.5))
    return embedder, objective


def alone(objective, batch, seed=SEED):
    """What one replica's objective sees of everyone."""
    rows = objective.own_rows(batch, seed) if isinstance(objective, ComparesRows) else {}
    return Everyone(batch, tf.constant(0), rows, rows)


def sums(embedder, objective, rows=grouped_rows):
    """Term -> sum and count, of one replica."""
    batch = looked_up(embedder, rows)
    found = objective(batch, alone(objective, batch), SEED)
    return {term: (float(total), float(count)) for term, (total, count) in found.items()}
