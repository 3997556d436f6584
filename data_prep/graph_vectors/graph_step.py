"""Training records -> graph -> vectors by id, in a prepared folder."""

from __future__ import annotations

import os

import numpy as np

from data_prep.content_vectors.table_vectors import Added, put_beside
from data_prep.errors import InputError
from data_prep.graph_vectors.config import GraphConfig
from data_prep.graph_vectors.training import trained_vectors
from data_prep.graph_vectors.training_graph import Say, read_graph
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import FIRST_ID


def add_graph_vectors(data_dir: str, table: str, user_table: str | None, config: GraphConfig,
                      say: Say) -> dict[str, Added]:
    """Writes `vectors/{table}.npy` of items and, on request, of users, and names them in the schema.

    Ids without an edge in the training records, padding and out of vocabulary have zeros. Where several users share an
    id, as with hashed ones, its vector is their mean.

    Args:
      data_dir: a prepared data set.
      table: whose ids are the items.
      user_table: table of a user feature that gets vectors, too; None for none.
      config: settings.
      say: takes lines about how far it is.

    Raises:
      InputError: what `read_graph` refuses; no user feature, or several, of the user table; no known id of a user.
      FileNotFoundError, ValueError: no prepared data set, or a damaged one.
      OSError: the folder cannot be written.
    """
    files = RecordFiles.open(data_dir)
    feature = _user_feature(files, user_table) if user_table else None
    graph = read_graph(files, table, feature, config.behaviour, config.clicks, say)
    if feature and not (graph.user_ids >= FIRST_ID).any():
        raise InputError(f"{data_dir}: no user of the training records has an id of table {user_table!r} that is in "
                         "the vocabulary")
    for name, edges in zip(graph.behaviours, graph.edges, strict=True):
        say(f"{name}: {edges.nnz:,} edges")
    say(f"{len(graph.users):,} users, {len(graph.items):,} items of table {table}")
    vectors = trained_vectors(graph, config, say)
    vectors = vectors[:, -1] if config.output == "target" else vectors.reshape(len(vectors), -1)
    users = len(graph.users)
    ordered = {table: _by_id(graph.items, vectors[users:], files.schema.tables[table])}
    if user_table:
        ordered[user_table] = _by_id(graph.user_ids, vectors[:users], files.schema.tables[user_table])
    put_beside(data_dir, ordered)
    return {name: Added(os.path.join(data_dir, "vectors", f"{name}.npy"), len(values) - FIRST_ID,
                        int(values.any(axis=1).sum()), 0, values.shape[1]) for name, values in ordered.items()}


def _user_feature(files: RecordFiles, table: str) -> str:
    reading = [feature.name for feature in files.schema.user if feature.table == table]
    if len(reading) != 1:
        known = sorted({feature.table for feature in files.schema.user})
        raise InputError(f"{os.path.join(files.data_dir, 'schema.json')}, user: expected one user feature of the table "
                         f"{table!r}, got {', '.join(reading) or 'none'}; tables of users: "
                         f"{', '.join(known) or 'none'}")
    return reading[0]


def _by_id(ids: np.ndarray, vectors: np.ndarray, rows: int) -> np.ndarray:
    """Vectors `[rows, width]` float32, means over nodes of an id; zeros of ids below `FIRST_ID` and without node."""
    known = ids >= FIRST_ID
    sums = np.zeros((rows, vectors.shape[1]), np.float32)
    np.add.at(sums, ids[known], vectors[known])
    return sums / np.maximum(np.bincount(ids[known], minlength=rows), 1)[:, np.newaxis].astype(np.float32)
