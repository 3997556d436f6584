"""A user's short histories as steps of reinforcement learning: which item comes next, and what it is worth.

Shapes: R rows, T events, Q steps, D item width, M drawn items.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Literal

import tensorflow as tf

from lcn_tf.contracts import Everyone, LookedUp
from lcn_tf.embeddings.embedder import FeatureEmbedder
from lcn_tf.embeddings.sequence_encoding import SequenceConfig, new_encoder
from lcn_tf.embeddings.sequence_rows import (
    DrawnItems,
    draw_items,
    drawn_names,
    item_ids,
    items_of,
    sequence_rows,
    short_histories,
)
from lcn_tf.layers.q_learner import QLearner, StepLosses, Steps
from lcn_tf.ops.merged_history import EventSequence
from lcn_tf.ops.pair_sampling import fold_seed
from lcn_tf.ops.row_random import row_states, uniform
from lcn_tf.ops.sampled_softmax import accidental_hits
from lcn_tf.schema import FeatureSchema

_DRAWN, _CHOSEN, _LEARNER = 0, 1, 2  # what a seed is for


@dataclasses.dataclass(frozen=True)
class ActionConfig(SequenceConfig):
    """Options of steps and networks."""

    weight: float = dataclasses.field(default=0.1, metadata={"help": "weight of the loss; 0 turns it off"})
    gamma: float = dataclasses.field(default=0.5, metadata={"help": "discount of later rewards"})
    num_negatives: int = dataclasses.field(
        default=4096, metadata={"help": "items of the batch's histories that are actions beside the one taken (M)"})
    steps: Literal["one", "all"] = dataclasses.field(
        default="one", metadata={"help": "reading: events of a row that are actions: one by lot, or all"})
    networks: Literal["heads", "copies"] = dataclasses.field(
        default="heads", metadata={"help": "reading: the two networks differ in a head, or in the encoder, too"})
    reward_feature: str = dataclasses.field(
        default="", metadata={"help": "context feature of events that decides the reward; empty: it is always 1"})
    rewards: tuple[str, ...] = dataclasses.field(
        default=(), metadata={"help": "rewards by its ids, like 2:0.2,3:0.5; of any other id 1"})

    def check(self, prefix: str) -> None:
        """Refuses impossible options.

        Raises:
          ValueError: with the flag's name.
        """
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"{prefix}.weight must be a number that is not negative, got {self.weight}")
        if not 0 <= self.gamma < 1:
            raise ValueError(f"{prefix}.gamma must be at least 0 and below 1, got {self.gamma}")
        if self.num_negatives < 1:
            raise ValueError(f"{prefix}.num_negatives must be at least 1, got {self.num_negatives}")
        try:
            rewards = self.reward_by_id
        except ValueError:
            rewards = None
        if rewards is None or len(rewards) < len(self.rewards) or not all(map(math.isfinite, rewards.values())):
            raise ValueError(f"{prefix}.rewards must give each id one number, like 2:0.2,3:0.5, got "
                             f"{','.join(self.rewards)!r}")
        if self.rewards and not self.reward_feature:
            raise ValueError(f"{prefix}.rewards must come with {prefix}.reward_feature, got none")

    @property
    def reward_by_id(self) -> dict[int, float]:
        """Rewards other than 1."""
        return {int(name): float(reward) for name, _, reward in (entry.partition(":") for entry in self.rewards)}


def names_read(config: ActionConfig, schema: FeatureSchema) -> tuple[str, ...]:
    """Names of everyone's batch tensors that items are drawn from.

    Raises:
      ValueError: the schema lacks a short history, or the feature that decides rewards is not stored with both.
    """
    for history in short_histories(schema):
        known = [feature.name for feature in schema.stored_context(history)]
        if config.reward_feature and config.reward_feature not in known:
            raise ValueError(f"reward_feature={config.reward_feature} is not stored with the events of {history}; "
                             f"known: {', '.join(known)}")
    return drawn_names(schema, _drawn_from(config, schema))


def new_learner(config: ActionConfig, embedder: FeatureEmbedder) -> QLearner:
    """The networks, with weights."""
    encoders = [new_encoder(config, embedder, causal=True) for _ in range(2 if config.networks == "copies" else 1)]
    return QLearner(encoders, embedder.item_width, config.gamma, name="learner")


def step_losses(learner: QLearner, config: ActionConfig, own: LookedUp, everyone: Everyone, seed: tf.Tensor
                ) -> Iterator[tuple[StepLosses, tf.Tensor]]:
    """Losses of the replica's steps, and how much each counts, float32 `[Q]`; sequence by sequence."""
    context = (config.reward_feature,) if config.reward_feature else ()
    rows = sequence_rows(own, config.history, context)
    drawn = draw_items(everyone.looked_up, _drawn_from(config, own.reader.schema), config.num_negatives,
                       fold_seed(seed, _DRAWN))
    for number, sequence in enumerate(rows.sequences):
        row_ids = tf.pad(rows.row_ids, [[0, 0], [0, 1]], constant_values=number)
        chosen = sequence.mask
        if config.steps == "one":
            chosen = _one_of_each(sequence.mask, uniform(row_states(row_ids, fold_seed(seed, _CHOSEN))))
        steps = _steps(config, own, sequence, chosen, drawn)
        losses = learner(items_of(own, sequence), mask=sequence.mask, domain=sequence.domain, steps=steps,
                         seed=fold_seed(seed, _LEARNER), row_ids=row_ids)
        weight = tf.boolean_mask(tf.where(chosen, rows.weight[:, tf.newaxis], 0.0), chosen)
        yield losses, weight


def step_sums(learner: QLearner, config: ActionConfig, own: LookedUp, everyone: Everyone, seed: tf.Tensor,
              weigh: Callable[[tf.Tensor], tf.Tensor] = tf.ones_like) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """Sums over the replica's steps, and their number; `weigh` makes of a step's value the supervised loss' factor."""
    supervised, temporal, counts = [], [], []
    for losses, weight in step_losses(learner, config, own, everyone, seed):
        factor = weigh(tf.stop_gradient(losses.value))
        supervised.append(tf.reduce_sum(weight * factor * losses.supervised))
        temporal.append(tf.reduce_sum(weight * losses.temporal))
        counts.append(tf.reduce_sum(weight))
    return {"supervised": (tf.add_n(supervised), tf.add_n(counts)), "temporal": (tf.add_n(temporal), tf.add_n(counts))}


def _drawn_from(config: ActionConfig, schema: FeatureSchema) -> tuple[str, ...]:
    target, source = short_histories(schema)
    return {"target": (target,), "source": (source,)}.get(config.history, (target, source))


def _one_of_each(mask: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
    """One uniform real event of each row that has any, bool `[R, T]`; `draw [R]` is in [0, 1)."""
    size = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
    place = tf.minimum(tf.cast(draw * tf.cast(size, tf.float32), tf.int32), size - 1)
    return mask & tf.equal(tf.range(tf.shape(mask)[1]), place[:, tf.newaxis])


def _steps(config: ActionConfig, own: LookedUp, sequence: EventSequence, chosen: tf.Tensor, drawn: DrawnItems) -> Steps:
    taken = {name: tf.boolean_mask(values, chosen) for name, values in item_ids(own, sequence).items()}  # [Q]
    following = {name: tf.boolean_mask(tf.pad(values[:, :-1], [[0, 0], [1, 0]]), chosen)
                 for name, values in item_ids(own, sequence).items()}
    reward = tf.ones(tf.shape(next(iter(taken.values()))))
    if config.reward_feature:
        feature = tf.boolean_mask(sequence.ids[config.reward_feature], chosen)
        for of_id, value in config.reward_by_id.items():
            reward = tf.where(tf.equal(feature, of_id), value, reward)
    return Steps(chosen, reward, drawn.vectors, *(drawn.mask & ~accidental_hits(ids, drawn.ids)
                                                  for ids in (taken, following)))
