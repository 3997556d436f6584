"""The peak memory of training a model like LCN, as a formula of its sizes.

Of the options that are off by default, the L2 penalty on rows adds about three tensors `[U, d]`; dropout, weight decay
and a schedule of the learning rate add nothing that could be measured.

Shape letters: B requests, C candidates, L lifelong events, S short ones, K1 and K2 events MSA and FSA keep, D item
width, R table rows, U rows of them that a batch reads, d table width.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

import tensorflow as tf

from lcn_tf.contracts import RowState
from lcn_tf.models import CTRModel
from lcn_tf.optimizers.slots import slots_of

_FLOAT, _ID, _MASK = 4, 8, 1  # bytes


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What the memory of a training step depends on.

    Attributes:
      requests: B of a replica's batch; in flat batches its impressions.
      candidates: C, padded; 1 in flat batches.
      lifelong_length: L.
      short_length: S, of each of two short histories.
      embedding_dim: d.
      item_fields: D / d.
      context_fields: of an event, its timestamp for the time gap included.
      msa_top_k: K1.
      fsa_top_k: K2.
      table_rows: R, over all tables.
      unique_ids: U, over all tables.
      optimizer: of the tables, as `TrainConfig.optimizer`.
      microbatches: parts of the batch.
    """

    requests: int
    candidates: int
    lifelong_length: int
    short_length: int
    embedding_dim: int
    item_fields: int
    context_fields: int
    msa_top_k: int
    fsa_top_k: int
    table_rows: int
    unique_ids: int
    optimizer: str
    microbatches: int = 1


@dataclasses.dataclass(frozen=True)
class Constants:
    """Measured on the CPU (`experiments.benchmarks.memory --fit`): how many tensors of each kind are alive at the peak.

    Attributes:
      traced: MiB of the traced step, beside a TensorFlow that is loaded.
      ids: `[L]` of every request of the batch, to find the distinct ones.
      flat_events: `[L, D]` of a request of one candidate.
      grouped_events: `[L, D]` of a request of several candidates.
      kept: `[C, K1 + K2, D]` of a request.
      gradients: `[U, d]` of a batch taken at once.
      gradients_of_parts: `[U, d]` of a batch in microbatches.
      dense_update: `[R, d]` of an optimiser that updates every row.
    """

    traced: float = 216.0
    ids: float = 10.0
    flat_events: float = 1.1
    grouped_events: float = 1.3
    kept: float = 2.1
    gradients: float = 6.3
    gradients_of_parts: float = 14.7
    dense_update: float = 4.0


def training_bytes(sizes: Sizes, constants: Constants = Constants()) -> float:
    """Peak memory of training in float32, without what Python and TensorFlow take once they are loaded.

    The larger of two phases, beside what stays: losses and gradients of one part of the batch, and the optimiser's
    update.

    Args:
      sizes: see there.
      constants: numbers of tensors.

    Raises:
      ValueError: an optimiser other than adam, row_sparse_adam and adagrad.
    """
    slots = {"adam": 2, "row_sparse_adam": 2, "adagrad": 1}
    if sizes.optimizer not in slots:
        raise ValueError(f"optimizer must be one of {', '.join(slots)}, got {sizes.optimizer!r}")
    width = sizes.item_fields * sizes.embedding_dim  # D
    table = _FLOAT * sizes.table_rows * sizes.embedding_dim
    rows = _FLOAT * sizes.unique_ids * sizes.embedding_dim
    fields = _ID * (sizes.item_fields + sizes.context_fields) + _MASK
    batch = sizes.requests * (sizes.lifelong_length + 2 * sizes.short_length) * fields
    ids = _FLOAT * constants.ids * sizes.requests * sizes.lifelong_length
    staying = constants.traced * 2**20 + (1 + slots[sizes.optimizer]) * table + batch + ids

    events = constants.flat_events if sizes.candidates == 1 else constants.grouped_events
    kept = constants.kept * sizes.candidates * (sizes.msa_top_k + sizes.fsa_top_k)
    requests = math.ceil(sizes.requests / sizes.microbatches)
    part = _FLOAT * requests * width * (events * sizes.lifelong_length + kept)
    gradients = constants.gradients if sizes.microbatches == 1 else constants.gradients_of_parts
    update = 0 if sizes.optimizer == "row_sparse_adam" else constants.dense_update * table
    return staying + max(gradients * rows + part, constants.gradients * rows + update)


@dataclasses.dataclass(frozen=True)
class TableBytes:
    """Memory of a model's tables, search tables among them.

    Attributes:
      stored: what look-ups read: vectors, or codes and step sizes, with projections.
      slots: what only training needs beside: moments and accumulators.
    """

    stored: int
    slots: int


def table_bytes(model: CTRModel) -> TableBytes:
    """The memory of the tables of a model, once for all its replicas; without slots unless it is compiled."""
    stored: list[tf.Variable] = []
    slots: list[tf.Variable] = []
    for tables in filter(None, (model.embedder.tables, model.embedder.search_tables)):
        stored += tables.weights
        slots += [slot for table in tables.tables.values() if isinstance(table, RowState) for slot in table.slots]
        if model.optimizer is not None:
            slots += [slot for weight in tables.trainable_weights for slot in slots_of(model.optimizer, weight)]
    return TableBytes(bytes_of(stored), bytes_of(slots))


def bytes_of(variables: Iterable[tf.Variable]) -> int:
    """What variables take."""
    return sum(math.prod(variable.shape) * variable.dtype.size for variable in variables)
