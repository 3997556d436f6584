"""SAC: an action's value weighs how well it was predicted (Xin et al., SIGIR 2020, section 3.3), as an auxiliary loss.

As SQN (`lcn_tf/objectives/sqn.py`), but the cross entropy of the next item, the actor, is multiplied by the value that
the critic gives it, without gradient. Before the critic has learnt anything, its values are near zero and about half of
them negative, which would teach to predict the *wrong* item: as in the authors' code, the weights begin later.
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

    warmup_steps: int = dataclasses.field(
        default=250, metadata={"help": "steps in which the weights are 1, as in SQN (authors: 15,000)", "before": 0})
    clip: bool = dataclasses.field(
        default=False, metadata={"help": "reading: values that weigh are kept within 0 and 1 / (1 - gamma)"})

    def __post_init__(self):
        self.check("sac")
        if self.warmup_steps < 0:
            raise ValueError(f"sac.warmup_steps must not be negative, got {self.warmup_steps}")


class SACObjective(tf.keras.layers.Layer):
    """Cross entropy of the next item, weighed by its value, and squared error of its value; training only.

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
          seed: int64 `[2]`, of the steps, the drawn items, the lot and dropout; the second is the optimiser's step.
        """
        def factor(value: tf.Tensor) -> tf.Tensor:
            """Of the cross entropy of an action of this value."""
            weight = tf.clip_by_value(value, 0.0, 1.0 / (1.0 - self.config.gamma)) if self.config.clip else value
            return tf.where(seed[1] < self.config.warmup_steps, 1.0, weight)

        return step_sums(self.learner, self.config, own, everyone, seed, factor)


def build(config: Config) -> SACObjective:
    """The objective of a configuration."""
    return SACObjective(config, name="sac")
