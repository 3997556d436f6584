"""Features of a mapping file: which columns they come from, and what becomes of the cells."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

from data_prep.own_logs.names import RESERVED, check_name, is_reserved

ROLES = ("user", "item", "candidate", "request", "context")

_MOST_BUCKETS = 1_000
_MOST_VALUES = 100


@dataclasses.dataclass(frozen=True)
class FeatureColumn:
    """Where a feature comes from.

    Attributes:
      column: of the logs, the items or the users; of several names, the first that a table has.
      type: how ids are told apart: as integers (`7`, `07` and `7.0` are one) or as text; not given: as integers where
        all values are written as such.
      boundaries: of a number: its id is how many of them it reaches.
      buckets: of a number: boundaries that divide the training days' values evenly, or at each power of two.
      separator, without: of a cell with several values: between them, and which never count.
      place: which of these is taken, from 1.
      values: how many of these are taken, at most; the vector is the mean of theirs. Of users and candidates only.
      missing: the value of an empty cell.
      table: features of one table share vectors; not given: the feature's own name.
    """

    MAIN_KEY: ClassVar = "column"

    column: tuple[str, ...]
    type: Literal["integer", "text"] | None = None
    boundaries: tuple[float, ...] = ()
    buckets: int | Literal["log2"] | None = None
    separator: str = ""
    without: tuple[str, ...] = ()
    place: int = 1
    values: int = 1
    missing: str | int | None = None
    table: str = ""

    def __post_init__(self):
        if not self.column:
            raise ValueError("column must name a column")
        if self.boundaries and self.buckets is not None:
            raise ValueError("boundaries and buckets exclude each other")
        if list(self.boundaries) != sorted(set(self.boundaries)):
            raise ValueError(f"boundaries must rise, got {list(self.boundaries)}")
        if len(self.boundaries) > _MOST_BUCKETS:
            raise ValueError(f"boundaries must be at most {_MOST_BUCKETS}, got {len(self.boundaries)}")
        if isinstance(self.missing, str) and (self.is_number or self.type == "integer"):
            raise ValueError(f"missing must be an integer, as the feature's ids are, got {self.missing!r}")
        if self.table:
            check_name("table", self.table)
        if isinstance(self.buckets, int) and not 2 <= self.buckets <= _MOST_BUCKETS:
            raise ValueError(f"buckets must be from 2 to {_MOST_BUCKETS}, or log2, got {self.buckets}")
        if self.is_number and (self.type or self.separator):
            raise ValueError("a number has neither type nor separator")
        if (self.without or (self.place, self.values) != (1, 1)) and not self.separator:
            raise ValueError("without, place and values need separator")
        for name in ("place", "values"):
            if not 1 <= getattr(self, name) <= _MOST_VALUES:
                raise ValueError(f"{name} must be from 1 to {_MOST_VALUES}, got {getattr(self, name)}")
        if self.values > 1 and self.missing is not None:
            raise ValueError("missing has no place beside values: what is not there does not count")

    @property
    def is_number(self) -> bool:
        """Whether it is cut into buckets."""
        return bool(self.boundaries) or self.buckets is not None


class FeaturePart(FeatureColumn):
    """One of the features that the values of a feature with several are divided over; without a value it is padding."""


@dataclasses.dataclass(frozen=True)
class Features:
    """Columns by role (`lcn_tf.schema.FeatureSchema`): feature -> where it comes from.

    A feature of several `values` is so many of one table, `genres_1`, `genres_2` ..., in its place; see `means`.
    """

    item: dict[str, FeatureColumn]
    user: dict[str, FeatureColumn] = dataclasses.field(default_factory=dict)
    candidate: dict[str, FeatureColumn] = dataclasses.field(default_factory=dict)
    request: dict[str, FeatureColumn] = dataclasses.field(default_factory=dict)
    context: dict[str, FeatureColumn] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not self.item:
            raise ValueError("item must have a feature")
        for role in ROLES:
            several = [name for name, feature in getattr(self, role).items() if feature.values > 1]
            if several and role not in ("user", "candidate"):
                raise ValueError(f"{role}.{several[0]}: features of users and candidates can have several values")
            parts = [part for name, feature in getattr(self, role).items() for part in _parts(name, feature)]
            names = [name for name, _ in parts]
            if repeated := next((name for name in names if names.count(name) > 1), None):
                raise ValueError(f"{role}.{repeated}: the name is taken by a feature of several values")
            object.__setattr__(self, role, dict(parts))
        known: dict[str, str] = {}
        for role in ROLES:
            for name in getattr(self, role):
                check_name(role, name)
                if is_reserved(name):
                    raise ValueError(f"{role}.{name}: the name is taken, as are {', '.join(RESERVED)}; choose another")
                if name.lower() in known:
                    raise ValueError(f"{role}.{name}: the name is taken by {known[name.lower()]}")
                known[name.lower()] = f"{role}.{name}"
        tables = {feature.table or name for role in ROLES for name, feature in getattr(self, role).items()}
        by_case = {table.lower(): table for table in sorted(tables)}
        for table in tables:
            if by_case[table.lower()] != table:
                raise ValueError(f"tables {table} and {by_case[table.lower()]} differ in case alone")


    @property
    def means(self) -> dict[str, tuple[str, ...]]:
        """Name of each feature with several values -> the features that hold them."""
        found: dict[str, tuple[str, ...]] = {}
        for name, feature in (*self.user.items(), *self.candidate.items()):
            if isinstance(feature, FeaturePart):
                whole = name.rpartition("_")[0]
                found[whole] = (*found.get(whole, ()), name)
        return found


def _parts(name: str, feature: FeatureColumn) -> list[tuple[str, FeatureColumn]]:
    if feature.values == 1:
        return [(name, feature)]
    shared = {**vars(feature), "values": 1, "table": feature.table or name}
    return [(f"{name}_{place}", FeaturePart(**{**shared, "place": place})) for place in range(1, feature.values + 1)]
