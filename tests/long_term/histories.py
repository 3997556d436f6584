"""Embedded histories of a small made-up data set, and what every lifelong model over them has in common."""

import dataclasses

import numpy as np
import tensorflow as tf

from lcn_tf.data import records
from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.embeddings import EmbeddingConfig, FeatureEmbedder
from lcn_tf.models import ModelConfig, build_model, registry
from tests import synthetic
from tests.layers.batches import attention_variables, float64

LENGTHS = {"short_target": 3, "short_source": 5, "lifelong_source": 13}
WIDTH = 10  # two item features of width 5


class Requests:
    """Candidates, their view of the lifelong history, and both as float64 arrays for the oracles.

    Attributes:
      batch: of the pipeline, grouped or flat; of every five requests one has no history.
      embedder: with random tables.
      candidate: `[B, C, D]`.
      events: float64 `[B, C, L, D + D_c]`.
      mask: `[B, C, L]`.
    """

    def __init__(self, rows=grouped_rows, offsets=False, moments=False, seed=4, count=7, embedder=None, time_gap=True,
                 context=True):
        schema = synthetic.make_schema(time_gap=time_gap)
        schema = schema if context else dataclasses.replace(schema, context=())
        groups = synthetic.make_groups(schema, count, seed=seed, max_candidates=3, offsets=offsets)
        if moments:
            for group in groups:
                group["timestamp"] = [stamp - 5_000 * place for place, stamp in enumerate(group["timestamp"])]
        self.batch = rows(schema, tf.constant([records.encode(schema, group) for group in groups]), LENGTHS)
        self.embedder = embedder or make_embedder(schema)
        self.candidate = self.embedder.read(self.batch).candidate
        self.events = np.asarray(self.history.events(), np.float64)
        self.mask = self.history.mask.numpy()

    @property
    def history(self):
        return self.embedder.read(self.batch).lifelong

    @property
    def real(self):
        return self.batch["candidate_mask"].numpy()

    def run(self, layer):
        """Interest `[B, C, D_z]`."""
        return layer(self.candidate, self.history).numpy()

    def expected(self, function):
        """`function(candidate, events, mask)` for every candidate."""
        candidate = np.asarray(self.candidate, np.float64)
        return np.stack([np.stack([function(*views) for views in zip(*rows, strict=True)])
                         for rows in zip(candidate, self.events, self.mask, strict=True)])


LAYOUTS = [(grouped_rows, False, False), (grouped_rows, True, False), (grouped_rows, False, True),
           (grouped_rows, True, True), (flat_rows, True, True)]


def make_embedder(schema):
    """An embedder with normally distributed tables."""
    embedder = FeatureEmbedder(schema, LENGTHS, EmbeddingConfig(embedding_dim=5))
    for place, table in enumerate(embedder.tables.vectors.values()):
        table.assign(tf.random.stateless_normal(table.shape, [7, place]))
    return embedder


def built(module, requests, seed=1, **options):
    """The layer of a long-term module with normally distributed weights."""
    layer = module.build(module.Config(**options))
    requests.run(layer)
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(scale=0.5, size=variable.shape).astype(np.float32))
    return layer


def attention_weights(attention):
    """Weights of a `TargetMHA` under the names of the oracles."""
    variables = {**attention_variables(attention), "output": attention.output_kernel}
    return {name: float64(variable) for name, variable in variables.items()}


def small_model(name, config, seed=5, objectives=()):
    """A whole model around one long-term configuration."""
    tf.keras.utils.set_random_seed(seed)
    model = build_model(synthetic.make_schema(), LENGTHS, ModelConfig(long_term=name, objectives=objectives),
                        {("long_term", name): config}, EmbeddingConfig(embedding_dim=5))
    model.build_weights()
    model.compile(optimizer=tf.keras.optimizers.Adam(1e-2))
    return model


def config(name, **options):
    """Configuration of a long-term model by name."""
    return registry.component("long_term", name).Config(**options)
