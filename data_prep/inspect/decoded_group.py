"""One request group in raw values: ids are looked up in the vocabularies that they came from."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from command_line.text_table import align
from data_prep.errors import InputError
from lcn_tf.data.prepared_folder import VOCABULARIES
from lcn_tf.data.record_chunks import Chunk, read_chunks
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import FIRST_ID, OOV_ID, PADDING_ID

_ROWS = 8  # candidates, and events of each history, that are shown
_RESERVED = {PADDING_ID: "PADDING", OOV_ID: "OOV"}


def describe_group(files: RecordFiles, split: str, utc_offset: int) -> str:
    """A request group as text: of the first records of a split, the one with most events in all three histories.

    Args:
      files: an opened data set.
      split: train, validation or test.
      utc_offset: seconds to add to UTC for the times that are shown.

    Raises:
      RecordError: as `read_chunks`.
      InputError: a vocabulary without the values of the group's ids.
    """
    path, chunk = next((path, chunk) for path in files.paths_of(split) for chunk in read_chunks(files.schema, path))
    events = np.stack([chunk[f"{history}_timestamp"].lengths for history in files.schema.histories])
    record = int(np.lexsort((-events.sum(0), -events.min(0)))[0])
    cells = _Cells(files, chunk, record, utc_offset)
    schema = files.schema
    offsets = [name for name in (f"{history}_offset" for history in schema.histories) if chunk[name].of(record).any()]
    lines = [f"{os.path.basename(path)}, record {record}: user {chunk['user_key'].of(record)[0]}",
             *(f"  {feature.name} = {cells.texts(feature.name)[0]}" for feature in schema.user),
             *_rows("candidates", cells.table(["timestamp", *schema.label_keys, *schema.candidate_names, *offsets]),
                    len(chunk["timestamp"].of(record)))]
    for history in schema.histories:
        *features, moment = schema.history_names(history)
        names = [moment, *features]
        table = [[name.removeprefix(f"{history}_") for name in names], *cells.table(names)[1:]]
        lines += _rows(history, table, len(chunk[names[0]].of(record)))
    return "\n".join(lines)


def _rows(title: str, table: list[list[str]], count: int) -> list[str]:
    lines = [f"{title}: {count}", *(f"  {line}" for line in align(table if count else []))]
    return lines + ([f"  ... {count - _ROWS} more"] if count > _ROWS else [])


class _Cells:
    """The first values of one record's features as texts."""

    def __init__(self, files: RecordFiles, chunk: Chunk, record: int, utc_offset: int):
        self._utc_offset = utc_offset
        self._tables = files.schema.table_of_feature
        self._lists = {name: lists.of(record)[:_ROWS].tolist() for name, lists in chunk.items()}
        ids: dict[str, set[int]] = {}
        for name, table in self._tables.items():
            ids.setdefault(table, set()).update(self._lists[name])
        self._raw = {table: raw_values(files.data_dir, table, wanted) for table, wanted in ids.items()}

    def texts(self, name: str) -> list[str]:
        if name in self._tables:
            return [self._raw[self._tables[name]][value] for value in self._lists[name]]
        if name.endswith("timestamp"):
            moments = np.array(self._lists[name], "datetime64[s]") + np.timedelta64(self._utc_offset, "s")
            return [str(moment).replace("T", " ") for moment in moments]
        return [str(value) for value in self._lists[name]]

    def table(self, names: list[str]) -> list[list[str]]:
        return [names, *map(list, zip(*(self.texts(name) for name in names), strict=True))]


def raw_values(data_dir: str, table: str, ids: set[int]) -> Mapping[int, str]:
    """Id -> raw value, `OOV`, or `#id` where the table has no vocabulary file, as when its values were hashed.

    Raises:
      InputError: the file has no line for an id.
    """
    path = os.path.join(data_dir, VOCABULARIES, f"{table}.txt")
    wanted = {value for value in ids if value >= FIRST_ID}
    values = {value: _RESERVED[value] for value in ids - wanted}
    if not os.path.exists(path):
        return values | {value: f"#{value}" for value in wanted}
    with open(path, encoding="utf-8", newline="\n") as file:
        values.update((number, line.rstrip("\n")) for number, line in enumerate(file, FIRST_ID) if number in wanted)
    missing = sorted(wanted - set(values))
    if missing:
        raise InputError(f"{path}: no line {missing[0] - FIRST_ID + 1} for the id {missing[0]} of the records")
    return values
