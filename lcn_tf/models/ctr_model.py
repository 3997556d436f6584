"""The training step: look up, forward, losses, gradients, update of weights and tables, `after_update`.

Every row of the paper's tables is a composition of this class. Losses are means over the *global* batch, so the number
of replicas changes neither their value nor their gradient. Shape letters: B requests, C candidates, N candidate rows,
U distinct ids, d table width.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_recommenders as tfrs

from lcn_tf.contracts import (
    AfterUpdate,
    ComparesRows,
    Everyone,
    GivesRows,
    Head,
    LongTerm,
    Objective,
    ReadsItems,
    ReadsOthers,
    ShortTerm,
    Tower,
)
from lcn_tf.embeddings import FeatureEmbedder, LookedUp
from lcn_tf.embeddings.distinct_rows import Gradient, dense_gradient, merged_gradient
from lcn_tf.embeddings.row_reader import NEGATIVE, ROWS_OF
from lcn_tf.metrics import StreamingAUC
from lcn_tf.models.global_batch import StepInputs, gather, requests_before
from lcn_tf.models.microbatches import ADDS_LOSS, check_independent, sum_over_parts
from lcn_tf.models.negative_events import add_negative_events, negative_pool, negative_pool_names
from lcn_tf.models.network import Batch, Network
from lcn_tf.models.table_updates import forward_state, pass_again, second_passes, seed_name, table_step, update_tables
from lcn_tf.models.task_balance import BALANCE, BalanceConfig, GradNorm, LearntWeights, PCGrad, create, last_shared
from lcn_tf.ops.replica_exchange import everyones_rows, prefixed, sum_over_replicas, unprefixed

_ADDED = "added_losses"  # by `add_loss`
_FIRST_NAME = "crp"  # whose draws are those of the seed itself


class StepGradients(NamedTuple):
    """What a step is made of.

    Attributes:
      losses: terms of the loss.
      gradients: of their sum, by every trainable variable.
      step: what was read.
      of_rows: gradients of what was read.
      seen: losses and norms that `GradNorm` goes by, `[T]` each; None for other balances.
    """

    losses: dict[str, tf.Tensor]
    gradients: list[Gradient | None]
    step: StepInputs
    of_rows: list[tf.Tensor]
    seen: tuple[tf.Tensor, tf.Tensor] | None


class Differentiated(NamedTuple):
    """Losses of a step's inputs, and their gradients.

    Attributes:
      losses: terms of the loss.
      logit: of the first label, `[B, C]`.
      of_variables: gradients of their sum by the variables that were asked for.
      of_rows: by what was read.
      seen: see `StepGradients`.
    """

    losses: dict[str, tf.Tensor]
    logit: tf.Tensor
    of_variables: list[Gradient | None]
    of_rows: list[tf.Tensor]
    seen: tuple[tf.Tensor, tf.Tensor] | None


class CTRModel(Network):
    """A click model composed of an embedder, encoders, a tower, a head and training objectives.

    Args:
      embedder, short_term, long_term, tower, head, objectives: of `Network`. Terms of the long-term model's own loss
        (`lcn_tf.contracts.OwnLoss`) join as "<name>_<term>", those of an objective likewise.
      seed: of the objectives' sampling, which also depends on their names and the step.
      balance: how the losses of several labels are balanced.

    Raises:
      ValueError: labels to balance, but a head of a single one; an objective with a weight, but without a term.

    Call arguments, returns: as of `Network`.
    """

    def __init__(self, embedder: FeatureEmbedder, short_term: Mapping[str, ShortTerm | ReadsOthers],
                 long_term: LongTerm, tower: Tower, head: Head, objectives: Mapping[str, Objective], seed: int = 0,
                 balance: BalanceConfig = BalanceConfig(), **kwargs):  # noqa: B008
        super().__init__(embedder, short_term, long_term, tower, head, objectives, **kwargs)
        for name, objective in self.objectives.items():
            if objective.weight and not objective.terms:
                raise ValueError(f"the objective {name!r} trains nothing, since all of its terms are left out or have "
                                 "weight 0: leave it out of model.objectives")
        self.balance = create(balance, head.terms)
        self.seed = seed
        self.microbatches = 1
        self.task = tfrs.tasks.Ranking(
            loss=tf.keras.losses.BinaryCrossentropy(from_logits=True, reduction=tf.keras.losses.Reduction.SUM))
        self.auc = StreamingAUC(name="auc")
        names = ("loss", *self._click_terms(), *self._penalty_terms(), *self._objective_terms(),
                 *self._balance_terms())
        self.losses_seen: dict[str, tf.keras.metrics.Mean] = {name: tf.keras.metrics.Mean(name=name) for name in names}
        self._added = tf.keras.metrics.Mean(name=_ADDED)
        self._adds = False  # until a step is traced in which a part calls `add_loss`

    def _click_terms(self) -> list[str]:
        own = self.own_loss
        return [*self.head.terms, *(f"{self.long_term.name}_{term}" for term in (own.own_terms if own else ()))]

    def _objective_terms(self) -> list[str]:
        return [f"{name}_{term}" for name, objective in self.objectives.items() for term in objective.terms]

    def _balance_terms(self) -> list[str]:
        return [BALANCE] if isinstance(self.balance, LearntWeights) else []

    def _penalty_terms(self) -> list[str]:
        return ["embeddings_l2"] if self.embedder.tables.config.l2 else []

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        """What `fit` shows: the streaming AUC and the running mean of every loss."""
        return [*self.losses_seen.values(), *([self._added] if self._adds else []), self.auc]

    def build_weights(self) -> None:
        """Creates every weight, training-only ones included."""
        super().build_weights()
        if self.balance:
            self.balance.build_weights()

    def after_restore(self) -> None:
        """Is to be called once a checkpoint is loaded, which knows whether parts of the model add losses."""
        self._adds = self._adds or float(tf.convert_to_tensor(self._added.count)) > 0

    def compile(self, *args: Any, microbatches: int = 1, **kwargs: Any) -> None:
        """As `tf.keras.Model.compile`.

        Args:
          *args: of `tf.keras.Model.compile`.
          microbatches: parts of each replica's batch whose click losses are computed one after the other, in the memory
            that one part needs; the result is that of the whole batch.
          **kwargs: of `tf.keras.Model.compile`.

        Raises:
          ValueError: fewer than one part, or several and a layer or a balance of labels whose result depends on how the
            batch is divided; or GradNorm with asynchronous workers.
        """
        if microbatches < 1:
            raise ValueError(f"microbatches must be at least 1, got {microbatches}")
        if microbatches > 1:
            check_independent(self)
            if self.balance and self.balance.whole_batch:
                raise ValueError(f"microbatches must be 1 with balance.method={self.balance.method}, which compares "
                                 f"the labels' gradients of a whole batch, got {microbatches}")
        if isinstance(self.balance, GradNorm):
            last_shared(self.tower)  # refuses a tower without
            if isinstance(self.distribute_strategy, tf.distribute.ParameterServerStrategy):
                raise ValueError("balance.method=gradnorm needs replicas that step together, which those of "
                                 "strategy.name=parameter_server do not")
        self.microbatches = microbatches
        with self.distribute_strategy.scope():
            for table in second_passes(self.embedder.tables.tables).values():
                table.build_slots()
        super().compile(*args, **kwargs)

    def compute_losses(self, batch: Batch, training: bool = True) -> dict[str, tf.Tensor]:
        """This replica's share of every loss term, weights applied; over the replicas they sum to the batch's loss.

        "ctr_loss" is the mean binary cross-entropy over the N candidate rows of the global batch (paper, eq. 2).
        """
        batch = self._with_items(batch)
        step = self._inputs(self.embedder.read(batch), batch)
        losses, logit = self._all_losses(step, training)
        self._update_auc(step.own, logit)
        return losses

    def _inputs(self, own: LookedUp, batch: Batch) -> StepInputs:
        of_tables = (seed_name(name) for name, table in self.embedder.tables.tables.items()
                     if isinstance(table, GivesRows))
        names = (*self.objectives, *of_tables, *([BALANCE] if self.balance else []))
        return StepInputs(own, self._everyone(batch), {name: self._seed(name) for name in names})

    def _all_losses(self, step: StepInputs, training: bool = True) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """The losses, and the logits `[B, C]` of the first label."""
        losses, logit = self._click_losses(step.own, self._counts(step.own), training)
        losses.update(self._whole_batch_losses(step))
        return {**losses, **self._added_losses()}, logit

    def _added_losses(self) -> dict[str, tf.Tensor]:
        """What parts added by `add_loss` in this step."""
        if not self.losses:
            return {}
        self._adds = True
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return {_ADDED: tf.add_n([tf.cast(loss, tf.float32) for loss in self.losses]) / replicas}

    def _counts(self, own: LookedUp) -> dict[str, tf.Tensor]:
        """Click term -> what it is the mean over in the global batch, float32 scalars."""
        counted = dict(self.head.counted(own.labels, own.mask))
        counted.update({term: own.mask for term in self._click_terms() if term not in counted})
        return {term: sum_over_replicas(tf.reduce_sum(tf.cast(rows, tf.float32))) for term, rows in counted.items()}

    def _update_auc(self, own: LookedUp, logit: tf.Tensor) -> None:
        label = own.labels[self.head.labels[0]]
        self.auc.update_state(label, logit, sample_weight=tf.cast(own.mask, tf.float32))

    def _click_losses(self, own: LookedUp, counts: Mapping[str, tf.Tensor], training: bool = True
                      ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """The losses that are sums over requests, divided by `counts`, and the logits `[B, C]` of the first label."""
        logits, of_long_term = self(own, training=training, returns="losses")
        counted, totals = self.head.counted(own.labels, own.mask), {}
        for term, (label, logit) in self.head.targets(logits, own.labels).items():
            totals[term] = self.head.terms[term] * self.task(
                labels=tf.reshape(label, [-1, 1]), predictions=tf.reshape(logit, [-1, 1]),
                sample_weight=tf.reshape(tf.cast(counted[term], tf.float32), [-1]), training=training,
                compute_metrics=False)
        for term, loss in of_long_term.items():
            totals[f"{self.long_term.name}_{term}"] = tf.reduce_sum(tf.where(own.mask, loss, 0.0))
        losses = {name: tf.math.divide_no_nan(total, counts[name]) for name, total in totals.items()}
        if isinstance(self.balance, LearntWeights):
            terms = self.head.terms
            shares = [tf.math.divide_no_nan(tf.reduce_sum(tf.cast(counted[term], tf.float32)), counts[term])
                      for term in terms]
            losses[BALANCE] = self.balance.added_loss(tf.stack([losses[term] for term in terms]), tf.stack(shares))
        return losses, logits[self.head.labels[0]]

    def _losses_of_part(self, part: LookedUp, counts: Mapping[str, tf.Tensor]
                        ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        found = self._click_losses(part, counts)
        if self.losses:
            raise ValueError(ADDS_LOSS)
        return found

    def _with_items(self, batch: Batch) -> Batch:
        """The batch with every item that the losses read beside its own."""
        added = {f"{ROWS_OF}{name} {feature}": rows for name, objective in self.objectives.items()
                 if isinstance(objective, ReadsItems)
                 for feature, rows in objective.rows_read(self._seed(name)).items()}
        return self._with_negatives({**batch, **added} if added else batch)

    def _with_negatives(self, batch: Batch) -> Batch:
        """The batch with negatives of its lifelong events, where the long-term model contrasts them."""
        schema, own = self.embedder.schema, self.own_loss
        if own is None or own.contrasted_events == 0 or f"{NEGATIVE}{schema.item[0].name}" in batch:
            return batch
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        everyone = batch if replicas == 1 else gather(batch, negative_pool_names(schema))
        return add_negative_events(batch, everyone, schema, self.embedder.lengths[negative_pool(schema)],
                                   own.contrasted_events, self._seed())

    def _everyone(self, batch: Batch) -> Everyone | None:
        """What the objectives read of the batch of all replicas; None where that is the replica's own."""
        names = {name for objective in self.objectives.values() if not objective.per_replica
                 for name in objective.reads(self.embedder.schema)}
        if tf.distribute.get_strategy().num_replicas_in_sync == 1 or not names:
            return None
        return Everyone(self.embedder.look_up(gather(batch, sorted(names))), requests_before(batch))

    def _seed(self, name: str = _FIRST_NAME) -> tf.Tensor:
        """Of the draws of an objective in this step, int64 `[2]`; of what the name says, never of its place in a list.

        Names differ by their checksums. CRP's draws are those of the seed itself, as they were when it was alone.
        """
        offset = zlib.crc32(name.encode()) ^ zlib.crc32(_FIRST_NAME.encode())
        return tf.stack([tf.constant(self.seed + offset, tf.int64), tf.cast(self.optimizer.iterations, tf.int64)])

    def _whole_batch_losses(self, step: StepInputs) -> dict[str, tf.Tensor]:
        """The losses that are no sums over requests: of objectives that compare them, and of the rows they share."""
        losses = {}
        for name in self._penalty_terms():
            own = step.own if step.own.reader.rows else self.embedder.look_up(step.own.batch)
            losses[name] = own.row_penalty()
        own_rows, rows = self._compared_rows(step)
        for name, objective in self.objectives.items():
            seen = step.seen_by(objective)._replace(own_rows=own_rows.get(name, {}), rows=rows.get(name, {}))
            for term, (total, count) in objective(step.own, seen, step.seeds[name]).items():
                losses[f"{name}_{term}"] = objective.weight * tf.math.divide_no_nan(total, sum_over_replicas(count))
        return losses

    def _compared_rows(self, step: StepInputs) -> tuple[dict[str, dict[str, tf.Tensor]],
                                                        dict[str, dict[str, tf.Tensor]]]:
        """Objective -> what it exchanges: the replica's, and everyone's, in a single exchange."""
        own_rows = {name: objective.own_rows(step.own, step.seeds[name]) for name, objective in self.objectives.items()
                    if isinstance(objective, ComparesRows)}
        every = everyones_rows({key: values for name, rows in own_rows.items()
                                for key, values in prefixed(f"{name} ", rows).items()})
        return own_rows, {name: unprefixed(f"{name} ", every) for name in own_rows}

    def compute_loss(self, batch: Batch, training: bool = True) -> tf.Tensor:
        """This replica's share of the total loss `L_CTR + sum of weighted objectives` (paper, eq. 14) and penalties."""
        return tf.add_n(list(self.compute_losses(batch, training).values()))

    def compute_gradients(self, batch: Batch) -> tuple[dict[str, tf.Tensor], list[Gradient | None]]:
        """The terms of `compute_losses`, and the gradient of their sum by every trainable variable.

        Tables are looked up once for the whole batch: the gradient of each names the batch's distinct ids, once each.
        With microbatches, objectives and penalties come first: they alone need the whole batch at once.
        """
        return self._gradients(self._with_items(batch))[:2]

    def _gradients(self, batch: Batch) -> StepGradients:
        """As `compute_gradients`, and what was read with the gradient of its rows."""
        variables = self.trainable_variables
        with tf.GradientTape() as lookup:
            step = self._inputs(self.embedder.look_up(batch), batch)
        losses, logit, direct, of_rows, seen = self._differentiated(step, variables)
        self._update_auc(step.own, logit)
        through_rows = lookup.gradient(step.rows(), variables, of_rows)
        return StepGradients(losses, list(map(merged_gradient, direct, through_rows)), step, of_rows, seen)

    def _differentiated(self, step: StepInputs, variables: Sequence[tf.Variable]) -> Differentiated:
        """The losses of inputs that were looked up, and their gradients."""
        rows, whole, logit = step.rows(), self.microbatches == 1, None
        with tf.GradientTape(persistent=bool(self.balance and self.balance.whole_batch)) as tape:
            tape.watch(rows)
            if whole:
                losses, logit = self._all_losses(step)
            else:
                losses = self._whole_batch_losses(step)
            total = tf.add_n([tf.constant(0.0), *losses.values()])
        seen = None
        if isinstance(self.balance, GradNorm):
            seen = self.balance.seen(tape, losses, last_shared(self.tower))
        if isinstance(self.balance, PCGrad):
            direct, of_rows = self.balance.gradients(tape, losses, variables, self.embedder.trainable_variables, step,
                                                     step.seeds[BALANCE])
        else:
            direct, of_rows = tape.gradient(total, [list(variables), rows])
        of_rows = [dense_gradient(*pair) for pair in zip(of_rows, rows, strict=True)]
        if not whole:
            counts, names = self._counts(step.own), [*self._click_terms(), *self._balance_terms()]
            tables = {table.ref() for table in self.embedder.trainable_variables}  # read through their rows alone
            weights = [None if weight.ref() in tables else weight for weight in variables]
            clicks, added, logit = sum_over_parts(
                lambda begin, end: self._losses_of_part(step.own.part(begin, end), counts), names, step.own.mask, rows,
                self.microbatches, [*weights, *rows])
            losses = {**clicks, **losses}
            direct = list(map(merged_gradient, direct, added[:len(variables)]))
            of_rows = list(map(merged_gradient, of_rows, added[len(variables):]))
        return Differentiated(losses, logit, direct, of_rows, seen)

    # No tensor decides what Python does here, and conversion would cost each process seconds.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """One step of the optimiser; returns running means over the global batches of the epoch."""
        losses, gradients, step, of_rows, seen = self._gradients(self._with_items(batch))
        tables = self.embedder.tables.tables
        again = second_passes(tables)
        told = table_step(step.own, self.optimizer) if again else None
        pairs = zip(gradients, self.trainable_variables, strict=True)
        self.optimizer.apply_gradients([(gradient, variable) for gradient, variable in pairs if gradient is not None])
        update_tables(tables, step, of_rows, self.optimizer)
        if told is not None:
            compared = self.trainable_variables if isinstance(self.balance, PCGrad) else []
            pass_again(again, step, of_rows, told, lambda second: self._differentiated(second, compared).of_rows,
                       forward_state(self))
        if isinstance(self.balance, GradNorm) and seen is not None:
            self.balance.update(*seen)
        for name, objective in self.objectives.items():
            if isinstance(objective, AfterUpdate):
                objective.after_update(step.own, step.seen_by(objective), step.seeds[name])
        replicas = tf.cast(tf.distribute.get_strategy().num_replicas_in_sync, tf.float32)
        added = losses.pop(_ADDED, None)
        total = tf.add_n([*losses.values(), *([] if added is None else [added])])
        for name, value in {"loss": total, **losses}.items():  # the mean over replicas of R * share is the global value
            self.losses_seen[name].update_state(value * replicas)
        if added is not None:
            self._added.update_state(added * replicas)
        return {metric.name: metric.result() for metric in self.metrics}
