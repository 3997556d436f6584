"""What of a training step spans the replicas: the batch of all of them, sums over them, gradients of tables' rows.

Shape letters: B requests, U distinct ids, d table width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from lcn_tf import contracts
from lcn_tf.contracts import Everyone, Objective
from lcn_tf.embeddings import LookedUp
from lcn_tf.ops.row_gradients import sum_rows

Batch = Mapping[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class StepInputs:
    """What a step reads.

    Attributes:
      own: the replica's batch.
      everyone: what objectives read of all replicas; None where there is but one, or nothing is read.
      seeds: of the objectives' draws in this step, by their names, int64 `[2]`.
    """

    own: LookedUp
    everyone: Everyone | None
    seeds: Mapping[str, tf.Tensor]

    def seen_by(self, objective: Objective) -> Everyone:
        """The batch that an objective sees beside the replica's own."""
        if self.everyone is None or objective.per_replica:
            return Everyone(self.own, tf.constant(0))
        return self.everyone

    def rows(self) -> list[tf.Tensor]:
        """Every tensor of rows that was looked up, in a fixed order."""
        return [tensor for looked_up in self._looked_up() for rows in looked_up.reader.rows.values()
                for tensor in rows[1:] if tensor is not None]

    def row_blocks(self) -> list[tuple[tf.Tensor, list[int]]]:
        """Ids `[U]`, each once, and the places in `rows` of what was read of them, table by table."""
        blocks, place = [], 0
        for looked_up in self._looked_up():
            for rows in looked_up.reader.rows.values():
                blocks.append((rows.ids, [place, place + 1]))  # gathered and attended: the same weights
                place += 2
                if rows.search is not None:
                    blocks.append((rows.ids, [place]))
                    place += 1
        return blocks

    def of_table(self, table: str, gradients: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """A table's part of the gradients of `rows`: ids `[U]`, which may be repeated, and their gradients `[U, d]`."""
        ids, found, place = [], [], 0
        for looked_up in self._looked_up():
            for name, rows in looked_up.reader.rows.items():
                count = sum(tensor is not None for tensor in rows[1:])
                if name == table:
                    ids.append(rows.ids)
                    gathered, attended = gradients[place:place + 2]
                    found.append(tf.ensure_shape(gathered + attended, rows.gathered.shape))
                place += count
        return tf.concat(ids, 0), tf.concat(found, 0)

    def reads_of_table(self, table: str, gradients: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The global batch's ids of a table, each once, `[U]`, gradients `[U, d]`, and which are seen, bool `[U]`.

        An id is seen if `LookedUp.seen_rows` says so on any replica.
        """
        ids, gradient = self.of_table(table, gradients)
        seen = self.own.seen_rows(table)  # of the rows that come first
        seen = tf.pad(seen, [[0, tf.size(ids) - tf.size(seen)]])
        ids, sums = summed_by_id(ids, tf.concat([gradient, seen[:, tf.newaxis]], axis=1))
        return ids, sums[:, :-1], sums[:, -1] > 0

    def _looked_up(self) -> list[contracts.LookedUp]:
        return [self.own] if self.everyone is None else [self.own, self.everyone.looked_up]


def summed_by_id(ids: tf.Tensor, gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Ids and gradients of all replicas, each id once: int64 `[U]` and float32 `[U, d]`, the same on every replica."""
    context, width = tf.distribute.get_replica_context(), gradient.shape[-1]
    if context is not None and context.num_replicas_in_sync > 1:
        ids, gradient = context.all_gather(ids, axis=0), context.all_gather(gradient, axis=0)
    distinct, places = tf.unique(ids)
    return distinct, sum_rows(places, tf.ensure_shape(gradient, [None, width]), tf.size(distinct))


def gather(batch: Batch, names: Sequence[str]) -> dict[str, tf.Tensor]:
    """The named tensors of all replicas, concatenated in the order of the global batch."""
    context = tf.distribute.get_replica_context()
    dtypes = {name: batch[name].dtype for name in names}
    # An operation of the replica's own knows its device; what the input pipeline of several machines returns does not.
    local = {name: tf.cast(batch[name], tf.int32) if dtypes[name] == tf.bool else tf.identity(batch[name])
             for name in names}
    return {name: tf.cast(context.all_gather(value, axis=0), dtypes[name]) for name, value in local.items()}


def requests_before(batch: Batch) -> tf.Tensor:
    """Requests B of the replicas before this one, int32 scalar."""
    context = tf.distribute.get_replica_context()
    requests = context.all_gather(tf.shape(batch["candidate_mask"])[:1], axis=0)  # by replica
    return tf.reduce_sum(requests[:context.replica_id_in_sync_group])
