"""The training records of a prepared data set as graphs of users and items, one for each behaviour.

Nothing else is read, so a graph knows what a model may know that is trained on these records: clicks of the training
days, and events before the impressions of those days. An event lies in the records of every later request of its user
and is one edge all the same.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from data_prep.errors import InputError
from lcn_tf.data.prepared_folder import VOCABULARIES
from lcn_tf.data.record_chunks import Chunk, read_chunks
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import FIRST_ID, OOV_ID, PADDING_ID, Feature, FeatureSchema

TRAIN = "train"
Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class TrainingGraph:
    """Who did what with which, as far as training records know. U users, I items, both with an edge at least.

    Attributes:
      users: their keys, int64 `[U]`, increasing.
      user_ids: the id of each by the feature that was asked for, int64 `[U]`; zeros where none was.
      items: their ids in the table, int64 `[I]`, increasing.
      behaviours: name of each, that of the target last.
      edges: for each behaviour a matrix `[U, I]` float32 of ones.
    """

    users: np.ndarray
    user_ids: np.ndarray
    items: np.ndarray
    behaviours: tuple[str, ...]
    edges: tuple[sp.csr_array, ...]


def read_graph(files: RecordFiles, table: str, user_feature: str | None, behaviour: str | None, clicks: bool,
               say: Say) -> TrainingGraph:
    """Reads the training records once; memory grows with the distinct edges, about 50 bytes each.

    Values that are out of vocabulary are no nodes: they stand for many. Extra histories, such as what was shown and
    not clicked, are no edges.

    Args:
      files: an opened data set.
      table: whose ids are the items.
      user_feature: whose ids users have in the result; None for none.
      behaviour: context feature whose values are the behaviours; None: the events' domain is.
      clicks: whether clicked candidates are edges of a last behaviour.
      say: takes a line about how far it is.

    Raises:
      InputError: no item feature reads the table, or several do; a context feature that is not known or not stored with
        a history; no edge.
      RecordError: as `read_chunks`.
    """
    schema = files.schema
    item = _item_feature(files, table)
    if behaviour is not None:
        _check_stored(files, behaviour)
    found = _Edges(schema, item, user_feature, behaviour, clicks)
    paths = files.paths_of(TRAIN)
    for number, path in enumerate(paths, 1):
        for chunk in read_chunks(schema, path):
            found.add(chunk)
        say(f"read {number} of {len(paths)} files of training records: {found.count:,} edges")
    if not found.count:
        raise InputError(f"{files.data_dir}: no event and no click of the training records has an id of table "
                         f"{table!r} that is in the vocabulary")
    return found.graph(lambda code: _name(files, behaviour, code))


def _item_feature(files: RecordFiles, table: str) -> Feature:
    reading = [feature for feature in files.schema.item if feature.table == table]
    if len(reading) != 1:
        known = sorted({feature.table for feature in files.schema.item})
        raise InputError(f"{_schema_file(files)}, item: expected one item feature of the table {table!r}, got "
                         f"{', '.join(feature.name for feature in reading) or 'none'}; tables of items: "
                         f"{', '.join(known)}")
    return reading[0]


def _check_stored(files: RecordFiles, behaviour: str) -> None:
    schema = files.schema
    if behaviour not in [feature.name for feature in schema.context]:
        raise InputError(f"{_schema_file(files)}, context: no feature {behaviour!r}; known: "
                         f"{', '.join(feature.name for feature in schema.context) or 'none'}")
    for history in _histories(schema):
        if behaviour not in [feature.name for feature in schema.stored_context(history)]:
            raise InputError(f"{_schema_file(files)}, histories: {history} is stored without {behaviour!r}")


def _schema_file(files: RecordFiles) -> str:
    return os.path.join(files.data_dir, "schema.json")


def _histories(schema: FeatureSchema) -> list[str]:
    return [name for name, history in schema.histories.items() if history.kind != "extra"]


def _name(files: RecordFiles, behaviour: str | None, code: int) -> str:
    """What an event's code stands for."""
    if behaviour is None:
        return f"events of the {files.schema.domains[code]} domain"
    if code == OOV_ID:
        return f"{behaviour} out of vocabulary"
    table = {feature.name: feature.table for feature in files.schema.context}[behaviour]
    path = os.path.join(files.data_dir, VOCABULARIES, f"{table}.txt")
    if not os.path.exists(path):
        return f"{behaviour} {code}"
    with open(path, encoding="utf-8", newline="\n") as file:
        return f"{behaviour} {file.read().split(chr(10))[code - FIRST_ID]}"


class _Edges:
    """Distinct edges as one integer each: (user's number x items + item) x behaviours + behaviour.

    They are merged in steps that double, so that adding stays linear.
    """

    def __init__(self, schema: FeatureSchema, item: Feature, user_feature: str | None, behaviour: str | None,
                 clicks: bool):
        self._schema, self._item, self._behaviour, self._clicks = schema, item, behaviour, clicks
        self._user_feature = user_feature
        tables = {feature.name: feature.table for feature in schema.context}
        self._click = len(schema.domains) if behaviour is None else schema.tables[tables[behaviour]]
        self._number: dict[int, int] = {}  # user's key -> number, by first appearance
        self._ids: dict[int, int] = {}  # user's number -> id
        self._seen = np.zeros(0, np.int64)
        self._new: list[np.ndarray] = []
        self._pending = 0

    def add(self, chunk: Chunk) -> None:
        """The edges of some records."""
        users = np.array([self._number.setdefault(key, len(self._number))
                          for key in chunk["user_key"].values.tolist()], np.int64)
        if self._user_feature:
            self._ids.update(zip(users.tolist(), chunk[self._user_feature].values.tolist(), strict=True))
        for history in _histories(self._schema):
            domain = self._schema.domains.index(self._schema.histories[history].domain)
            items = chunk[f"{history}_{self._item.name}"]
            codes = domain if self._behaviour is None else chunk[f"{history}_{self._behaviour}"].values
            self._add(np.repeat(users, items.lengths), items.values, codes)
        if self._clicks:
            items = chunk[self._item.name]
            clicked = chunk[self._schema.label_keys[0]].values == 1
            self._add(np.repeat(users, items.lengths)[clicked], items.values[clicked], self._click)

    def _add(self, users: np.ndarray, items: np.ndarray, behaviours: np.ndarray | int) -> None:
        rows = self._schema.tables[self._item.table]
        codes = (users * rows + items) * (self._click + 1) + behaviours
        codes = np.unique(codes[items >= FIRST_ID])
        self._new.append(codes)
        self._pending += len(codes)
        if self._pending > max(len(self._seen), 1 << 16):
            self._merge()

    def _merge(self) -> None:
        self._seen = np.unique(np.concatenate([self._seen, *self._new]))
        self._new, self._pending = [], 0

    @property
    def count(self) -> int:
        """How many there are."""
        self._merge()
        return len(self._seen)

    def graph(self, name: Callable[[int], str]) -> TrainingGraph:
        """Nodes and behaviours that have an edge, in an order that does not depend on that of the records."""
        self._merge()
        codes, behaviours = np.divmod(self._seen, self._click + 1)
        numbers, items = np.divmod(codes, self._schema.tables[self._item.table])
        every_key = np.fromiter(self._number, np.int64, len(self._number))
        users, rows = np.unique(every_key[numbers], return_inverse=True)
        ids, columns = np.unique(items, return_inverse=True)
        found = np.unique(behaviours)
        edges = []
        for code in found:
            of = behaviours == code
            ones = np.ones(int(of.sum()), np.float32)
            edges.append(sp.csr_array((ones, (rows[of], columns[of])), shape=(len(users), len(ids))))
            edges[-1].sort_indices()
        names = tuple("clicks" if code == self._click else name(int(code)) for code in found)
        user_ids = np.array([self._ids.get(self._number[key], PADDING_ID) for key in users.tolist()], np.int64)
        return TrainingGraph(users, user_ids, ids, names, tuple(edges))
