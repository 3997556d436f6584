"""What a split holds, counted in one pass over its records.

Memory does not grow with the records: histories are counted by length, impressions by day, and a user costs 8 to 24
bytes.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from data_prep.description import DAY_SECONDS
from lcn_tf.data.record_chunks import Chunk, read_chunks
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import FIRST_ID, PADDING_ID, FeatureSchema


@dataclasses.dataclass(frozen=True)
class LengthCounts:
    """How many events of one history the candidates of a split see.

    Attributes:
      impressions: `[longest + 1]` int64, impressions that see 0, 1, 2 ... events.
    """

    impressions: np.ndarray

    @property
    def mean(self) -> float:
        """Events per impression."""
        return float(self.impressions @ np.arange(len(self.impressions)) / max(self.impressions.sum(), 1))

    @property
    def empty(self) -> float:
        """Share of the impressions that see no event."""
        return float(self.impressions[0] / max(self.impressions.sum(), 1))

    def quantile(self, share: float) -> int:
        """The smallest length that at least `share` of the impressions do not exceed."""
        return int(np.searchsorted(np.cumsum(self.impressions), share * self.impressions.sum()))


@dataclasses.dataclass(frozen=True)
class SplitStatistics:
    """One split.

    Attributes:
      groups, impressions, users: how many; users are told apart by `user_key`.
      positives: label -> impressions that have it, in the order of the schema.
      bytes: of the record files.
      days: days since 1970 in the given time zone -> impressions, and those with each label, in order.
      lengths: history -> events that candidates see, after the history's offset and at most the schema's length.
      known: place (`impressions`, or a history) -> feature -> share of the ids that are not out of vocabulary; user
        features count once per impression, padding of features with several values never. A place or a feature
        without ids is left out.
    """

    groups: int
    impressions: int
    positives: Mapping[str, int]
    users: int
    bytes: int
    days: Mapping[int, tuple[int, ...]]
    lengths: Mapping[str, LengthCounts]
    known: Mapping[str, Mapping[str, float]]

    @property
    def clicks(self) -> int:
        """Impressions with the first label."""
        return next(iter(self.positives.values()))

    @property
    def click_rate(self) -> float:
        """Clicks per impression."""
        return self.clicks / max(self.impressions, 1)


def measure_split(files: RecordFiles, split: str, utc_offset: int) -> SplitStatistics:
    """Reads a split once.

    Args:
      files: an opened data set.
      split: train, validation or test.
      utc_offset: seconds to add to UTC before cutting days.

    Raises:
      RecordError: as `read_chunks`.
    """
    schema = files.schema
    groups = impressions = 0
    users = _DistinctIntegers()
    days: dict[int, np.ndarray] = {}
    lengths = {history: np.zeros(schema.lengths[history] + 1, np.int64) for history in schema.histories}
    known = _KnownIds(schema)
    for path in files.paths_of(split):
        for chunk in read_chunks(schema, path):
            moments = chunk["timestamp"]
            groups += len(moments.lengths)
            impressions += len(moments.values)
            users.add(chunk["user_key"].values)
            _count_days(days, moments.values + utc_offset, [chunk[key].values for key in schema.label_keys])
            for history, counts in lengths.items():
                counts += np.bincount(_visible(chunk, history, schema), minlength=len(counts))
            known.add(chunk)
    by_day = {day: tuple(days[day].tolist()) for day in sorted(days)}
    positives = {label.name: sum(counts[place] for counts in by_day.values())
                 for place, label in enumerate(schema.labels, 1)}
    return SplitStatistics(
        groups, impressions, positives, users.count(), sum(os.path.getsize(path) for path in files.paths_of(split)),
        by_day, {history: LengthCounts(counts) for history, counts in lengths.items()}, known.shares())


def _count_days(days: dict[int, np.ndarray], moments: np.ndarray, labels: Sequence[np.ndarray]) -> None:
    found, place = np.unique(moments // DAY_SECONDS, return_inverse=True)
    counts = [np.bincount(place, values, len(found)) for values in (None, *labels)]
    for day, added in zip(found.tolist(), np.stack(counts, 1).astype(np.int64), strict=True):
        days[day] = days.get(day, 0) + added


def _visible(chunk: Chunk, history: str, schema: FeatureSchema) -> np.ndarray:
    """`[N]` events of a history that each candidate of a chunk sees."""
    stored = np.repeat(chunk[f"{history}_timestamp"].lengths, chunk["timestamp"].lengths)
    return np.clip(stored - chunk[f"{history}_offset"].values, 0, schema.lengths[history])


class _DistinctIntegers:
    """Counts distinct int64 values; merges them in steps that double, so that adding stays linear."""

    def __init__(self):
        self._seen = np.zeros(0, np.int64)
        self._new: list[np.ndarray] = []
        self._pending = 0

    def add(self, values: np.ndarray) -> None:
        self._new.append(values)
        self._pending += len(values)
        if self._pending > max(len(self._seen), 1 << 16):
            self.count()

    def count(self) -> int:
        self._seen = np.unique(np.concatenate([self._seen, *self._new]))
        self._new, self._pending = [], 0
        return len(self._seen)


class _KnownIds:
    """Shares of ids that are not out of vocabulary, by place and feature."""

    def __init__(self, schema: FeatureSchema):
        self._users = tuple(feature.name for feature in schema.user)
        self._several = schema.several
        self._places: dict[str, Iterable[str]] = {"impressions": (*self._users, *schema.candidate_names)}
        for history in schema.histories:
            self._places[history] = [f"{history}_{feature.name}" for feature in (
                *schema.item, *schema.stored_context(history))]
        self._counts = {name: np.zeros(2, np.int64) for names in self._places.values() for name in names}

    def add(self, chunk: Chunk) -> None:
        candidates = chunk["timestamp"].lengths
        for name, counts in self._counts.items():
            ids = chunk[name].values
            weights = candidates if name in self._users else np.ones(len(ids), np.int64)
            if name in self._several:
                weights = weights * (ids != PADDING_ID)
            counts += ((ids >= FIRST_ID) @ weights, weights.sum())

    def shares(self) -> dict[str, dict[str, float]]:
        shares = {place: {name.removeprefix(f"{place}_"): float(self._counts[name][0] / self._counts[name][1])
                          for name in names if self._counts[name][1]} for place, names in self._places.items()}
        return {place: by_feature for place, by_feature in shares.items() if by_feature}
