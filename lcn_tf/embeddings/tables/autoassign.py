"""Shared rows for ids that are read rarely, rows of their own for the others: a table *inspired by* AutoAssign+.

Of AutoAssign+ (Liu et al., KAIS 2023) only the abstract is public: ids of low frequency share a small set of embeddings
of their field, and an agent decides as data streams by which ids stay in the table and which leave it. All else here is
a reconstruction. Shape letters: R ids, S own rows, K shared rows, d width, U distinct ids.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import tensorflow as tf

from lcn_tf.contracts import TableSpec
from lcn_tf.embeddings.actor_critic_rows import ActorCriticRows
from lcn_tf.embeddings.row_keeping import FrequentRows, RecentRows
from lcn_tf.ops.event_hash import INCREMENT, mixed
from lcn_tf.ops.reached_boundaries import reached_boundaries
from lcn_tf.schema import FIRST_ID

VERSION = 1

_COUNT_ENDS = (1, 3, 7, 15, 31, 63, 127, 255)  # where buckets of the number of reads begin, behind that of 0
_HASHES = 2
_NONE = 0  # in the place of a row or an id: there is none; row 0 is nobody's


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of shared and own rows."""

    capacity: float = dataclasses.field(
        default=0.5, metadata={"help": "reading: rows that ids can have of their own, as a share of the ids"})
    min_events: int = dataclasses.field(
        default=8, metadata={"help": "reading: steps that read an id before it gets a row of its own"})
    shared_rows: int = dataclasses.field(
        default=16, metadata={"help": "reading: rows that ids without one of their own mix"})
    codes: int = dataclasses.field(
        default=256, metadata={"help": "reading: hash buckets, two for an id, that have weights for the mixture"})
    code_scale: float = dataclasses.field(
        default=1.0, metadata={"help": "reading: standard deviation of the mixture's logits before training"})
    policy: Literal["recent", "frequent", "actor_critic"] = dataclasses.field(
        default="recent", metadata={"help": "reading: who keeps rows: the last read, the most read, or whom an actor "
                                            "wants"})
    half_life: int = dataclasses.field(
        default=1000, metadata={"help": "of frequent: steps after which a read counts half"})
    period: int = dataclasses.field(
        default=100, metadata={"help": "reading: of actor_critic: steps from one decision to the next"})
    patience: int = dataclasses.field(
        default=3, metadata={"help": "reading: of actor_critic: decisions against a row in turn that free it"})
    row_cost: float = dataclasses.field(
        default=0.1, metadata={"help": "reading: of actor_critic: cost of a row; the mean gain of rows is 1"})

    def __post_init__(self):
        if not 0 < self.capacity <= 1:
            raise ValueError(f"autoassign.capacity must be above 0 and at most 1, got {self.capacity}")
        for name in ("min_events", "shared_rows", "codes", "half_life", "period", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"autoassign.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("code_scale", "row_cost"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"autoassign.{name} must be a number of at least 0, got {getattr(self, name)}")

    def keeper(self, rows: int) -> RecentRows:
        """Who decides which ids lose their rows."""
        if self.policy == "recent":
            return RecentRows(rows, name="keeper")
        if self.policy == "frequent":
            return FrequentRows(rows, self.half_life, name="keeper")
        return ActorCriticRows(rows, self.period, self.patience, self.row_cost, name="keeper")


class AutoAssignTable(tf.keras.layers.Layer):
    """A row of its own for an id that has one, else a mixture of the table's shared rows C.

        mixture = softmax(A_1[h_1(id)] + A_2[h_2(id)] + b[log2 of 1 + reads, rounded down]) C

    A, b and C are trained by the model's loss as own rows are, in float32. Of ids without a row, two have the same
    vector if both hashes and the bucket of their reads agree. A read is a step in which a real candidate sees the id,
    however often. With its `min_events`-th read an id gets a free row, whose first value is the mixture that the id had
    until then, after the step's update. Are none free, the id's row that the policy gives up first, and that this step
    did not read, passes on: the other id begins anew, with no reads. The id of values out of vocabulary stands for
    many: it is not counted, and has buckets to itself. So has padding.

    Args:
      config: see there.
      spec: of the table.

    Raises:
      ValueError: workers of parameter servers, which would not agree on who has which row.

    Attributes:
      own_rows: own rows, `[1 + S, d]`; row 0 stays 0.
      shared: C, `[K, d]`.
      codes: A, `[2, codes + 1, K]`.
      count_logits: b, `[9, K]`.
      row_of: the row of each id, or 0, int32 `[R]`.
      counts: reads of each id in training, int32 `[R]`.
      owner: the id of each row, or 0, int64 `[1 + S]`; the row is its own as long as `row_of` agrees.
      keeper: who decides which ids lose their rows.
    """

    def __init__(self, config: Config, spec: TableSpec, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        if isinstance(tf.distribute.get_strategy(), tf.distribute.ParameterServerStrategy):
            raise ValueError(f"model.tables={spec.name}:autoassign: workers of strategy.name=parameter_server would "
                             "not agree on which ids have rows")
        self.min_events = config.min_events
        rows = 1 + max(1, round(config.capacity * spec.rows))
        self.own_rows = self.add_weight(name=f"{spec.name}_own", shape=[rows, spec.width], initializer="zeros")
        self.shared = self.add_weight(name=f"{spec.name}_shared", shape=[config.shared_rows, spec.width],
                                      initializer=spec.initializer)
        self.codes = self.add_weight(
            name=f"{spec.name}_codes", shape=[_HASHES, config.codes + 1, config.shared_rows],
            initializer=tf.keras.initializers.RandomNormal(stddev=config.code_scale / math.sqrt(_HASHES)))
        self.count_logits = self.add_weight(
            name=f"{spec.name}_count_logits", shape=[len(_COUNT_ENDS) + 1, config.shared_rows], initializer="zeros")
        state = {"trainable": False, "initializer": "zeros"}
        self.row_of = self.add_weight(name=f"{spec.name}_row_of", shape=[spec.rows], dtype=tf.int32, **state)
        self.owner = self.add_weight(name=f"{spec.name}_owner", shape=[rows], dtype=tf.int64, **state)
        self.counts = self.add_weight(name=f"{spec.name}_counts", shape=[spec.rows], dtype=tf.int32, **state)
        self.keeper = config.keeper(rows)

    @property
    def row_weights(self) -> list[tf.Variable]:
        """Of `lcn_tf.contracts.HasRowWeights`: own rows, and what mixtures are made of."""
        return self.trainable_weights

    @property
    def by_id(self) -> tuple[tf.Variable, ...]:
        """Of `lcn_tf.contracts.GivesRows`: an id without row and reads is a new one."""
        return self.row_of, self.counts

    def rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Ids `[...]` -> vectors `[..., d]` float32; the gradient of own rows names those that are read, or row 0.

        Raises:
          tf.errors.InvalidArgumentError: on the CPU, an id outside the table (a GPU returns zeros).
        """
        flat = tf.reshape(ids, [-1])
        rows = tf.gather(self.row_of, flat)
        own, others = (tf.cast(tf.where(which)[:, 0], tf.int32) for which in (rows != _NONE, tf.equal(rows, _NONE)))
        # Replicas cannot add up gradients that name no row.
        named = tf.pad(tf.gather(rows, own), [[0, tf.maximum(1 - tf.size(own), 0)]], constant_values=_NONE)
        vectors = tf.dynamic_stitch([own, others], [
            tf.gather(self.own_rows, named)[:tf.size(own)], self.mixtures(tf.gather(flat, others))])
        shape = [*ids.shape, self.own_rows.shape[1]]
        return tf.ensure_shape(tf.reshape(vectors, tf.concat([tf.shape(ids), shape[-1:]], 0)), shape)

    def mixtures(self, ids: tf.Tensor) -> tf.Tensor:
        """Ids `[U]` -> mixtures of the shared rows `[U, d]`; weights have dense gradients, whatever ids share them."""
        state, places = tf.cast(ids, tf.int64), []
        for _ in range(_HASHES):
            state = mixed(state + INCREMENT)
            places.append(1 + state % (self.codes.shape[1] - 1))
        places = tf.where(ids < FIRST_ID, tf.zeros([], tf.int64), tf.stack(places))  # [2, U]
        buckets = reached_boundaries(tf.gather(self.counts, ids), _COUNT_ENDS)
        logits = tf.reduce_sum(tf.gather(self.codes, places, axis=1, batch_dims=1), axis=0)  # [U, K]
        logits += tf.one_hot(buckets, len(_COUNT_ENDS) + 1) @ self.count_logits
        return tf.nn.softmax(logits) @ self.shared

    def give_rows(self, ids: tf.Tensor, gradient: tf.Tensor, seen: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Of `lcn_tf.contracts.GivesRows`."""
        now = tf.cast(seed[1], tf.int64)
        ids, norms = tf.boolean_mask(ids, seen), tf.norm(tf.boolean_mask(gradient, seen), axis=-1)
        order = tf.argsort(ids)  # the same with any number of replicas
        ids, norms = tf.gather(ids, order), tf.gather(norms, order)
        rows = tf.gather(self.row_of, ids)
        self.keeper.note(tf.boolean_mask(rows, rows != _NONE), tf.boolean_mask(norms, rows != _NONE), now)

        reads = tf.gather(self.counts, ids) + 1
        waiting = tf.where(tf.equal(rows, _NONE) & (reads >= self.min_events))[:, 0]
        waiting = tf.gather(waiting, tf.argsort(tf.gather(reads, waiting), direction="DESCENDING", stable=True))
        given = tf.cond(tf.size(waiting) > 0, lambda: self._free_rows(tf.size(waiting), now),
                        lambda: tf.zeros([0], tf.int32))
        waiting = waiting[:tf.size(given)]
        newcomers = tf.gather(ids, waiting)
        vectors = self.mixtures(newcomers)
        self._take(given)
        for variable, places, values in ((self.row_of, newcomers, given), (self.owner, given, newcomers),
                                         (self.own_rows, given, vectors)):
            variable.scatter_update(tf.IndexedSlices(values, places))
        self.keeper.begin(given, tf.gather(reads, waiting), now)
        self.counts.scatter_add(tf.IndexedSlices(tf.ones_like(reads), ids))

        owned = self._owned()
        reads = tf.gather(self.counts, self.owner)  # [1 + S]
        self._take(self.keeper.lost(owned, reads, seed))
        return given

    def _owned(self) -> tf.Tensor:
        """Which rows have an id, bool `[1 + S]`."""
        rows = tf.range(self.own_rows.shape[0])
        return (self.owner != _NONE) & tf.equal(tf.gather(self.row_of, self.owner), rows)

    def _free_rows(self, count: tf.Tensor, now: tf.Tensor) -> tf.Tensor:
        """At most `count` rows that are free, or else are to be, int32 `[N]`."""
        owned, infinite = self._owned(), tf.constant(math.inf, tf.float64)
        staying = owned & (tf.equal(self.keeper.last_read, now) if self.keeper.forced else True)
        ranks = tf.where(staying, infinite, tf.where(owned, self.keeper.ranks(), -infinite))
        ranks = tf.concat([infinite[tf.newaxis], ranks[1:]], 0)  # row 0 is nobody's
        count = tf.minimum(count, tf.math.count_nonzero(ranks < infinite, dtype=tf.int32))
        return tf.math.top_k(-ranks, count).indices  # of equal ones the first

    def _take(self, rows: tf.Tensor) -> None:
        """Takes rows `[N]` from the ids that have them: these begin anew."""
        rows = tf.boolean_mask(rows, tf.gather(self._owned(), rows))
        ids = tf.gather(self.owner, rows)
        for variable, value in ((self.row_of, _NONE), (self.counts, 0)):
            variable.scatter_update(tf.IndexedSlices(tf.fill(tf.shape(ids), value), ids))
        self.owner.scatter_update(tf.IndexedSlices(tf.fill(tf.shape(rows), tf.constant(_NONE, tf.int64)), rows))


def build(config: Config, spec: TableSpec) -> AutoAssignTable:
    """The table of a configuration."""
    return AutoAssignTable(config, spec, name=spec.name)
