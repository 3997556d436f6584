"""The click model: embeddings -> short-term and long-term interests -> tower -> logit, plus auxiliary losses.

Every row of the paper's tables is a composition of this class. Losses are means over the *global* batch, so the number
of replicas changes neither their value nor their gradient. Shape letters: B requests, C candidates, N candidate rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs

from lcn_tf.contracts import Head, LongTerm, Objective, OwnLoss, ShortTerm, Tower, TrainingInputs
from lcn_tf.embeddings import FeatureEmbedder
from lcn_tf.embeddings.batch_rows import Gradient, dense_gradient, merged_gradient
from lcn_tf.embeddings.embedder import visible_events
from lcn_tf.embeddings.history import LIFELONG, NEGATIVE
from lcn_tf.metrics import StreamingAUC
from lcn_tf.models.microbatches import check_independent, sum_over_parts
from lcn_tf.models.negative_events import add_negative_events, negative_pool_names
from lcn_tf.models.requests import example_batch

Batch = Mapping[str, tf.Tensor]

_HISTORY_LENGTHS = {"target_length": "short_target", "source_length": "lifelong_source"}


class CTRModel(tfrs.Model):
    """A click model composed of an embedder, encoders, a tower, a head and training objectives.

    Args:
      embedder: owns the tables and the schema.
      short_term: "short_target" and "short_source" -> encoder of that history.
      long_term: model of the lifelong history. Terms of its own loss (`lcn_tf.contracts.OwnLoss`) join as
        "<name>_<term>".
      tower: network over the concatenated features and interests.
      head: hidden state -> logit.
      objectives: name -> auxiliary loss with a `weight`; absent from `call`.
      seed: of the objectives' sampling, which also depends on the step.

    Call arguments:
      batch: tensors as in the table of `lcn_tf.schema` (label, impression_id and user_key are not needed).

    Returns:
      logit `[B, C]` float32; the click probability is its sigmoid.
    """

    def __init__(self, embedder: FeatureEmbedder, short_term: Mapping[str, ShortTerm], long_term: LongTerm,
                 tower: Tower, head: Head, objectives: Mapping[str, Objective], seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.embedder = embedder
        self.short_term = dict(short_term)
        self.long_term = long_term
        self.tower = tower
        self.head = head
        self.objectives = dict(objectives)
        self.seed = seed
        self.microbatches = 1
        self.task = tfrs.tasks.Ranking(
            loss=tf.keras.losses.BinaryCrossentropy(from_logits=True, reduction=tf.keras.losses.Reduction.SUM))
        self.auc = StreamingAUC(name="auc")
        self.losses_seen: dict[str, tf.keras.metrics.Mean] = {
            name: tf.keras.metrics.Mean(name=name)
            for name in ("loss", *self._click_terms(), *self._penalty_terms(), *self._objective_terms())}

    @property
    def _own_loss(self) -> OwnLoss | None:
        """The long-term model where it learns from a loss of its own."""
        model = self.long_term
        return model if isinstance(model, OwnLoss) and model.own_terms else None

    def _click_terms(self) -> list[str]:
        own = self._own_loss
        return ["ctr_loss", *(f"{self.long_term.name}_{term}" for term in (own.own_terms if own else ()))]

    def _objective_terms(self) -> list[str]:
        return [f"{name}_{term}" for name, objective in self.objectives.items() for term in objective.terms]

    def _penalty_terms(self) -> list[str]:
        return ["embeddings_l2"] if self.embedder.tables.config.l2 else []

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        """What `fit` shows: the streaming AUC and the running mean of every loss."""
        return [*self.losses_seen.values(), self.auc]

    def build_weights(self) -> None:
        """Creates every weight, training-only ones included."""
        batch = example_batch(self.embedder.schema, self.embedder.lengths)
        self(batch)
        if self._own_loss:
            events = [1, self.embedder.lengths[LIFELONG]]
            drawn = {f"{NEGATIVE}{field.name}": tf.zeros(events, tf.int64) for field in self.embedder.schema.item}
            self._logit_and_own_losses({**batch, **drawn, "label": tf.zeros([1, 1])}, training=False)
        for objective in self.objectives.values():
            objective.build_weights(self.embedder)

    def compile(self, *args: Any, microbatches: int = 1, **kwargs: Any) -> None:
        """As `tf.keras.Model.compile`.

        Args:
          *args: of `tf.keras.Model.compile`.
          microbatches: parts of each replica's batch whose click losses are computed one after the other, in the memory
            that one part needs; the result is that of the whole batch.
          **kwargs: of `tf.keras.Model.compile`.

        Raises:
          ValueError: fewer than one part, or several and a layer whose result depends on how the batch is divided.
        """
        if microbatches < 1:
            raise ValueError(f"microbatches must be at least 1, got {microbatches}")
        if microbatches > 1:
            check_independent(self)
        self.microbatches = microbatches
        super().compile(*args, **kwargs)

    def call(self, batch: Batch, training: bool = False) -> tf.Tensor:
        """Logits `[B, C]` of a batch."""
        candidate = self.embedder.candidate(batch)
        features, history = self.features(batch, candidate, training), self.embedder.history(batch, LIFELONG)
        return self._logit(batch, features, self.long_term(candidate, history, training=training), training)

    def _logit(self, batch: Batch, features: list[tf.Tensor], interest: tf.Tensor, training: bool) -> tf.Tensor:
        hidden = self.tower(tf.concat([*features, interest], -1), mask=batch["candidate_mask"], training=training)
        return self.head(hidden)

    def _logit_and_own_losses(self, batch: Batch, training: bool = True) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """As a call, and the terms of the long-term model's own loss by candidate."""
        own = self._own_loss
        if own is None:
            return self(batch, training=training), {}
        candidate = self.embedder.candidate(batch)
        features, history = self.features(batch, candidate, training), self.embedder.history(batch, LIFELONG)
        inputs = TrainingInputs(tf.concat(features, -1), batch["label"], batch["candidate_mask"])
        interest, losses = own.interest_and_losses(candidate, history, inputs, training)
        return self._logit(batch, features, interest, training), losses

    def features(self, batch: Batch, candidate: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """The tower's inputs but the lifelong interest, `[B, C, width]` each, in their order.

        Features of the user, items (`candidate`, `[B, C, D]`), features of candidate and request, short-term interests.
        """
        candidates = tf.shape(candidate)[1]
        user = [tf.repeat(feature[:, tf.newaxis], candidates, axis=1) for feature in self.embedder.user(batch)]
        interests = [encoder(candidate, self.embedder.history(batch, name), training=training)
                     for name, encoder in self.short_term.items()]
        return [*user, candidate, *self.embedder.candidate_side(batch), *interests]

    def compute_losses(self, batch: Batch, training: bool = True) -> dict[str, tf.Tensor]:
        """This replica's share of every loss term, weights applied; over the replicas they sum to the batch's loss.

        "ctr_loss" is the mean binary cross-entropy over the N candidate rows of the global batch (paper, eq. 2).
        """
        batch = self._with_negatives(batch)
        losses, logit = self._click_losses(batch, self._candidate_rows(batch), training)
        self._update_auc(batch, logit)
        return {**losses, **self._whole_batch_losses(batch)}

    def _candidate_rows(self, batch: Batch) -> tf.Tensor:
        """N of the global batch, float32."""
        return _sum_over_replicas(tf.reduce_sum(tf.cast(batch["candidate_mask"], tf.float32)))

    def _update_auc(self, batch: Batch, logit: tf.Tensor) -> None:
        self.auc.update_state(batch["label"], logit, sample_weight=tf.cast(batch["candidate_mask"], tf.float32))

    def _click_losses(self, batch: Batch, rows: tf.Tensor, training: bool = True
                      ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """The losses that are sums over requests, divided by `rows`, and the logits `[B, C]`."""
        real = batch["candidate_mask"]
        logit, own = self._logit_and_own_losses(batch, training)
        totals = {"ctr_loss": self.task(
            labels=tf.reshape(batch["label"], [-1, 1]), predictions=tf.reshape(logit, [-1, 1]),
            sample_weight=tf.reshape(tf.cast(real, tf.float32), [-1]), training=training, compute_metrics=False)}
        for term, loss in own.items():
            totals[f"{self.long_term.name}_{term}"] = tf.reduce_sum(tf.where(real, loss, 0.0))
        return {name: tf.math.divide_no_nan(total, rows) for name, total in totals.items()}, logit

    def _with_negatives(self, batch: Batch) -> Batch:
        """The batch with negatives of its lifelong events, where the long-term model contrasts them."""
        schema, own = self.embedder.schema, self._own_loss
        if own is None or own.contrasted_events == 0 or f"{NEGATIVE}{schema.item[0].name}" in batch:
            return batch
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        everyone = batch if replicas == 1 else _global_batch(batch, negative_pool_names(schema))
        return add_negative_events(batch, everyone, schema, self.embedder.lengths["short_source"],
                                   own.contrasted_events, self._seed(0))

    def _seed(self, index: int) -> tf.Tensor:
        """Of the draws of this step, int64 `[2]`."""
        return tf.stack([tf.constant(self.seed + index, tf.int64), tf.cast(self.optimizer.iterations, tf.int64)])

    def _whole_batch_losses(self, batch: Batch) -> dict[str, tf.Tensor]:
        """The losses that are no sums over requests: of objectives that compare them, and of the rows they share."""
        losses = {name: self.embedder.row_penalty(batch) for name in self._penalty_terms()}
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        for index, (name, objective) in enumerate(self.objectives.items()):
            names = objective.batch_names(self.embedder.schema)
            seen = batch if objective.per_replica or replicas == 1 else _global_batch(batch, names)
            for term, value in objective(seen, self.embedder, self._seed(index)).items():
                losses[f"{name}_{term}"] = objective.weight * value / replicas
        return losses

    def compute_loss(self, batch: Batch, training: bool = True) -> tf.Tensor:
        """This replica's share of the total loss `L_CTR + sum of weighted objectives` (paper, eq. 14) and penalties."""
        return tf.add_n(list(self.compute_losses(batch, training).values()))

    def compute_gradients(self, batch: Batch) -> tuple[dict[str, tf.Tensor], list[Gradient | None]]:
        """The terms of `compute_losses`, and the gradient of their sum by every trainable variable.

        Tables are looked up once for the whole batch: the gradient of each names the batch's distinct ids, once each.
        With microbatches, objectives and penalties come first: they alone need the whole batch at once.
        """
        variables, whole = self.trainable_variables, self.microbatches == 1
        batch = self._with_negatives(batch)
        with tf.GradientTape() as lookup:
            looked_up = self.embedder.look_up(batch)
        rows = {name: looked_up[name] for name in self.embedder.row_names()}
        with tf.GradientTape() as tape:
            tape.watch(rows)
            losses = self.compute_losses(looked_up) if whole else self._whole_batch_losses(looked_up)
            total = tf.add_n([tf.constant(0.0), *losses.values()])
        direct, of_rows = tape.gradient(total, [variables, list(rows.values())])
        of_rows = [dense_gradient(*pair) for pair in zip(of_rows, rows.values(), strict=True)]
        if not whole:
            candidates, names = self._candidate_rows(batch), self._click_terms()
            of_requests = {name: value for name, value in looked_up.items() if name not in rows}
            tables = {table.ref() for table in self.embedder.trainable_variables}  # read through their rows alone
            weights = [None if weight.ref() in tables else weight for weight in variables]
            clicks, added, logit = sum_over_parts(lambda part: self._click_losses(part, candidates), names, of_requests,
                                                  rows, self.microbatches, [*weights, *rows.values()])
            self._update_auc(batch, logit)
            losses = {**clicks, **losses}
            direct = list(map(merged_gradient, direct, added[:len(variables)]))
            of_rows = list(map(merged_gradient, of_rows, added[len(variables):]))
        through_rows = lookup.gradient(list(rows.values()), variables, of_rows)
        return losses, list(map(merged_gradient, direct, through_rows))

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """One step of the optimiser; returns running means over the global batches of the epoch."""
        losses, gradients = self.compute_gradients(batch)
        total = tf.add_n(list(losses.values()))
        pairs = zip(gradients, self.trainable_variables, strict=True)
        self.optimizer.apply_gradients([(gradient, variable) for gradient, variable in pairs if gradient is not None])
        replicas = tf.cast(tf.distribute.get_strategy().num_replicas_in_sync, tf.float32)
        for name, value in {"loss": total, **losses}.items():  # the mean over replicas of R * share is the global value
            self.losses_seen[name].update_state(value * replicas)
        return {metric.name: metric.result() for metric in self.metrics}

    def predict_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Flat vectors `[N]` of a batch's candidate rows: their keys, numbers, labels, logits and history lengths.

        `target_length` and `source_length` (int64) count the events of "short_target" and "lifelong_source" that the
        candidate sees.
        """
        mask = batch["candidate_mask"]
        user_key = tf.broadcast_to(batch["user_key"][:, tf.newaxis], tf.shape(mask))
        values = {"user_key": user_key, "impression_id": batch["impression_id"], "row_number": batch["row_number"],
                  "label": batch["label"], "logit": self(self.embedder.look_up(batch), training=False)}
        for name, history in _HISTORY_LENGTHS.items():
            visible = visible_events(batch, history, self.embedder.lengths[history])  # [B, C, L]
            values[name] = tf.math.count_nonzero(visible, axis=-1)
        return {name: tf.boolean_mask(value, mask) for name, value in values.items()}


def _sum_over_replicas(value: tf.Tensor) -> tf.Tensor:
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def _global_batch(batch: Batch, names: tuple[str, ...]) -> dict[str, tf.Tensor]:
    """The named tensors of all replicas, concatenated in the order of the global batch."""
    context = tf.distribute.get_replica_context()
    dtypes = {name: batch[name].dtype for name in names}
    # An operation of the replica's own knows its device; what the input pipeline of several machines returns does not.
    local = {name: tf.cast(batch[name], tf.int32) if dtypes[name] == tf.bool else tf.identity(batch[name])
             for name in names}
    return {name: tf.cast(context.all_gather(value, axis=0), dtypes[name]) for name, value in local.items()}
