"""SQN: double Q-learning beside predicting the next item (Xin et al., SIGIR 2020, section 3.2), as an auxiliary loss.

State is what a causal encoder, which nothing else reads, makes of the events before; the item of the next event is the
action. Actions are told from items of the batch. `lcn_tf.layers.q_learner` has the networks.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.contracts import Everyone, LookedUp
from lcn_tf.embeddings import FeatureEmbedder
from lcn_tf.embeddings.action_steps import ActionConfig, names_read, new_learner, step_sums
from lcn_tf.schema import FeatureSchema

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config(ActionConfig):
    """Options; the discount is that of the authors' code."""

    def __post_init__(self):
        self.check("sqn")


class SQNObjective(tf.keras.layers.Layer):
    """Cross entropy of the next item and squared error of its value; training only.

    Attributes:
      weight, terms, separate_tables, per_replica: see `lcn_tf.contracts.Objective`.
    """

    separate_tables = False
    per_replica = False

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.weight = config.weight
        self.terms = ("supervised", "temporal") if config.weight else ()

    def reads(self, schema: FeatureSchema) -> tuple[str, ...]:
        """Names of the batch tensors that items are drawn from.

        Raises:
          ValueError: the schema lacks a short history, or what decides rewards.
        """
        return names_read(self.config, schema)

    def build_weights(self, embedder: FeatureEmbedder) -> None:
        """Creates encoder and heads."""
        self.learner = new_learner(self.config, embedder)

    def call(self, own: LookedUp, everyone: Everyone, seed: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Sums over the replica's steps, and their number.

        Args:
          own: the replica's batch.
          everyone: the tensors of `reads` of all replicas.
          seed: int64 `[2]`, of the steps, the drawn items, the lot and dropout.
        """
        return step_sums(self.learner, self.config, own, everyone, seed)


def build(config: Config) -> SQNObjective:
    """The objective of a configuration."""
    return SQNObjective(config, name="sqn")
