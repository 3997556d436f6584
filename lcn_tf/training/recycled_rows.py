"""Rows of embedding tables that begin anew: with the values that they had before training, and empty slots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from lcn_tf.contracts import GivesRows, RowState, Table
from lcn_tf.embeddings.tables.dense import DenseTable
from lcn_tf.models import CTRModel
from lcn_tf.optimizers.slots import slots_of


class Rows(NamedTuple):
    """Rows of a variable.

    Attributes:
      variable: `[rows, ...]`.
      places: int64 `[n]`.
      values: `[n, ...]`.
    """

    variable: tf.Variable
    places: np.ndarray
    values: tf.Tensor


def rows_of(model: CTRModel, ids: Mapping[str, np.ndarray]) -> list[Rows]:
    """What the rows of ids hold now, in tables and in the slots of their optimiser.

    Read before a checkpoint is restored, they are those of a model that has not been trained: given back to the ids
    with `put_back`, these know nothing of what the rows stood for earlier.

    Args:
      model: compiled.
      ids: table -> int64 ids.

    Raises:
      ValueError: a table that neither is dense nor gives rows nor is a `RowState`; the message names it.
    """
    found = []
    for tables in filter(None, (model.embedder.tables, model.embedder.search_tables)):
        for name, table in tables.tables.items():
            if name not in ids or not len(ids[name]):
                continue
            variables, size = _variables(model, name, table), model.embedder.schema.tables[name]
            copies = int(variables[0].shape[0]) // size  # of each domain's own, where they are kept apart
            places = np.concatenate([ids[name] + size * copy for copy in range(copies)])
            found += [Rows(variable, places, tf.gather(variable, places)) for variable in variables]
    return found


def _variables(model: CTRModel, name: str, table: Table) -> list[tf.Variable]:
    if isinstance(table, DenseTable):
        return [table.vectors, *slots_of(model.optimizer, table.vectors)]
    if isinstance(table, GivesRows):
        return list(table.by_id)
    if isinstance(table, RowState):
        return [*table.stored, *table.slots]
    raise ValueError(f"table {name!r}: rows of a {type(table).__name__} cannot begin anew, those of dense tables "
                     "and of such as keep their state by row can")


def put_back(rows: Sequence[Rows]) -> None:
    """Gives rows the values that `rows_of` found."""
    for variable, places, values in rows:
        variable.assign(tf.tensor_scatter_nd_update(variable, places[:, np.newaxis], values))
