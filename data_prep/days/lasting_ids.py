"""Ids of values that come and go: an id keeps its meaning while its value has it, and is another's only after that."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.errors import InputError
from lcn_tf.schema import FIRST_ID

WAITING = 0  # in place of an id, of a value that has none yet
_COLUMNS = {"id": np.int64, "total": np.int64, "last_day": np.int64, "since": np.int64}


@dataclasses.dataclass(frozen=True)
class LastingIds:
    """A vocabulary of at most so many values.

    Days are numbers, as `datetime.date.toordinal` gives them.

    Attributes:
      name: of the vocabulary, for messages.
      rows: of its embedding table: ids are from `FIRST_ID` to `rows - 1`.
      values: one row for each value that has an id or waits for one: `value` (int64 or text), `id` (`WAITING` without),
        `total` (how often it was seen since it came), `last_day` (on which it was seen), `since` (the day from which it
        has its id).
    """

    name: str
    rows: int
    values: pd.DataFrame

    @classmethod
    def empty(cls, name: str, rows: int) -> LastingIds:
        """Without values."""
        return cls(name, rows, pd.DataFrame({"value": [], **{column: np.zeros(0, kind)
                                                             for column, kind in _COLUMNS.items()}}))

    @classmethod
    def read(cls, path: str, name: str, rows: int) -> LastingIds:
        """What `write` wrote."""
        return cls(name, rows, pq.read_table(path).to_pandas())

    def write(self, path: str) -> None:
        """Writes a Parquet file: those with an id in its order, then those that wait, by value."""
        ordered = self.values.sort_values(["id", "value"], ignore_index=True)
        with_id = ordered.id != WAITING
        pq.write_table(pa.Table.from_pandas(pd.concat([ordered[with_id], ordered[~with_id]]), preserve_index=False),
                       path)

    @property
    def known(self) -> pd.DataFrame:
        """The rows of values that have an id."""
        return self.values[self.values.id != WAITING]

    def with_day(self, day: int, counts: pa.Table, min_count: int) -> LastingIds:
        """After another day: values that were seen often enough are admitted while there are free ids.

        The most frequent come first, equals by value; each gets the lowest id that is free. Who finds none waits.

        Args:
          day: later than all before.
          counts: `value`, `total` and `last_day` of the values that were seen.
          min_count: how often a value is seen, over the days since it came, before it gets an id.

        Raises:
          InputError: values of another type than before.
        """
        seen = counts.to_pandas().rename(columns={"total": "seen", "last_day": "seen_on"})
        before = self._of_type(seen.value) if len(self.values) else self.values.astype({"value": seen.value.dtype})
        values = before.merge(seen, on="value", how="outer", sort=True)
        values["total"] = values.total.fillna(0) + values.seen.fillna(0)
        values["last_day"] = values.seen_on.fillna(values.last_day)
        values["id"] = values.id.fillna(WAITING)
        values["since"] = values.since.fillna(0)
        values = values.drop(columns=["seen", "seen_on"]).astype(_COLUMNS)
        waiting = values[(values.id == WAITING) & (values.total >= min_count)]
        free = np.setdiff1d(np.arange(FIRST_ID, self.rows), values.id.to_numpy())
        chosen = waiting.sort_values(["total", "value"], ascending=[False, True]).index[:len(free)]
        values.loc[chosen, "id"] = free[:len(chosen)]
        values.loc[chosen, "since"] = day
        return dataclasses.replace(self, values=values)

    def without_idle(self, day: int, max_idle_days: int) -> LastingIds:
        """At the end of a day: without the values that were seen on none of the last so many days; their ids are free.

        One that returns later is a new value.
        """
        kept = day - self.values.last_day < max_idle_days
        return dataclasses.replace(self, values=self.values[kept].reset_index(drop=True))

    def admitted(self, day: int) -> np.ndarray:
        """Ids that have their meaning since a day, ascending int64."""
        return np.sort(self.known.id[self.known.since == day].to_numpy())

    def texts(self) -> pa.ChunkedArray:
        """The value of each id from `FIRST_ID` on, null where none has it."""
        known = self.known
        found = pd.Series(None, index=range(FIRST_ID, self.rows), dtype=object)
        found.loc[known.id.to_numpy()] = known.value.astype(str).to_numpy()
        return pa.chunked_array([pa.array(found, pa.string())])

    def _of_type(self, seen: pd.Series) -> pd.DataFrame:
        """The values in the type of those that were seen."""
        integers = [pd.api.types.is_integer_dtype(values) for values in (self.values.value, seen)]
        if integers[0] == integers[1] or not len(seen):
            return self.values
        before, now = ("integers" if found else "texts" for found in integers)
        raise InputError(f"vocabulary {self.name}: its values were {before} and are now {now}, such as "
                         f"{seen.iloc[0]!r}: say which in the mapping file, with type = \"integer\" or \"text\" of its "
                         "features")
