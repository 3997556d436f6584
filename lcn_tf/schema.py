"""The data contract: which features a record and a batch hold, and which table each one reads.

A record is one *request group*: a user, the user's three histories once, and C candidates. Ids are int64 with
0 = padding, 1 = out of vocabulary and 2+ = vocabulary entries. `FeatureSchema` travels as `schema.json` beside the
records and inside every export; nothing else in the package keeps a list of feature names.

Names of the tensors of a batch (shape letters: B requests, C candidates, S short, L lifelong):

| name                                   | shape    | dtype   |
|----------------------------------------|----------|---------|
| `user_key` (raw user, for grouping)    | [B]      | int64   |
| each user feature                      | [B]      | int64   |
| each item, candidate, request feature  | [B, C]   | int64   |
| `label`                                | [B, C]   | float32 |
| `timestamp` (seconds UTC), `impression_id` | [B, C] | int64 |
| `row_number` (impressions before this one in the pass over the split) | [B, C] | int64 |
| `{history}_offset` (newest events hidden from the candidate) | [B, C] | int64 |
| `candidate_mask`                       | [B, C]   | bool    |
| `{history}_{item or context feature}`  | [B, S or L] | int64 |
| `{history}_timestamp`                  | [B, S or L] | int64 |
| `{history}_mask`                       | [B, S or L] | bool  |

A record stores the same names as variable-length int64 lists, without masks and row numbers; histories are most recent
first. `lcn_tf.data.record_rules` says what their values may be.

Features, tables and data sets are called by ASCII letters, digits and _ - . only, since TensorFlow puts other names in
place of others. Features begin with a letter, are not called like a word of Python or `self`, which are no names of a
signature's inputs, nor like a tensor of the table above; names that differ in case only, or in one of _ - . by another,
are one name to TensorFlow.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import keyword
import os
import re
from collections.abc import Mapping, Sequence

PADDING_ID = 0
OOV_ID = 1
FIRST_ID = 2

HISTORIES = ("short_target", "short_source", "lifelong_source")
TIME_GAP = "time_gap"

_ROLES = ("user", "item", "candidate", "request", "context")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_FEATURE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


@dataclasses.dataclass(frozen=True)
class Feature:
    """A categorical feature.

    Attributes:
      name: key in records and batches (history features are prefixed with the history's name there).
      table: embedding table whose rows the ids index; features of one table share ids and weights.
    """

    name: str
    table: str


@dataclasses.dataclass(frozen=True)
class FeatureSchema:
    """Every feature of a data set by role, the tables and the longest stored histories.

    Attributes:
      name: data set name, also the prefix of the record files.
      tables: table name -> number of rows, padding and out-of-vocabulary rows included.
      user: features of the user, `[B]`.
      item: features that items of *both* domains have, in the order of their concatenation, `[B, C]` and `[B, L]`.
      candidate: features that only candidates have, `[B, C]`.
      request: features of the request (slot, hour ...), `[B, C]`.
      context: features stored with every history event, `[B, L]`.
      lengths: history name -> longest history in the records.
      time_gap_boundaries: increasing seconds; when not empty, the context feature `time_gap` (bucketised seconds from
        an event to the candidate's moment) is derived for every event and reads the table `time_gap`.

    Raises:
      ValueError: a name that TensorFlow or Python does not take, that is used twice or by the package itself, an
        unknown table, a size that is no whole number, a history missing from `lengths`.

    Example:
      >>> from lcn_tf import Feature, FeatureSchema
      >>> schema = FeatureSchema(
      ...     "ads", tables={"user": 500, "brand": 100, "slot": 4}, user=(Feature("user_id", "user"),),
      ...     item=(Feature("brand", "brand"),), candidate=(), request=(Feature("slot", "slot"),), context=(),
      ...     lengths={"short_target": 24, "short_source": 24, "lifelong_source": 500})
      >>> schema.candidate_names, schema.history_names("lifelong_source")
      (('brand', 'slot'), ('lifelong_source_brand', 'lifelong_source_timestamp'))
      >>> FeatureSchema.from_json(schema.to_json()) == schema
      True
    """

    name: str
    tables: Mapping[str, int]
    user: tuple[Feature, ...]
    item: tuple[Feature, ...]
    candidate: tuple[Feature, ...]
    request: tuple[Feature, ...]
    context: tuple[Feature, ...]
    lengths: Mapping[str, int]
    time_gap_boundaries: tuple[int, ...] = ()

    def __post_init__(self):
        if not self.item:
            raise ValueError("schema.item is empty: inner products across domains need a shared item feature")
        if set(self.lengths) != set(HISTORIES):
            raise ValueError(f"schema.lengths has {sorted(self.lengths)}, expected {sorted(HISTORIES)}")
        self._check_numbers()
        self._check_words()
        for roles in (("user", "item", "candidate", "request"), ("item", "context")):
            names = [feature.name for role in roles for feature in getattr(self, role)]
            if "context" in roles and self.time_gap_boundaries:
                names.append(TIME_GAP)
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"schema features {repeated} are defined twice among {roles}")
        self._check_batch_names()
        for role in _ROLES:
            for feature in getattr(self, role):
                if self.time_gap_boundaries and feature.table == TIME_GAP:
                    raise ValueError(f"schema.{role}: feature {feature.name!r} reads the table {TIME_GAP!r}, which is "
                                     "that of the derived feature of this name: choose another table")
                if feature.table not in self.tables:
                    raise ValueError(f"schema.{role} feature {feature.name!r} names table {feature.table!r}; "
                                     f"known tables: {sorted(self.tables)}")
        if list(self.time_gap_boundaries) != sorted(set(self.time_gap_boundaries)):
            raise ValueError(f"schema.time_gap_boundaries must increase, got {self.time_gap_boundaries}")
        if self.time_gap_boundaries and self.tables.get(TIME_GAP) != self.time_gap_rows:
            raise ValueError(f"schema.tables[{TIME_GAP!r}] must be {self.time_gap_rows}, "
                             f"got {self.tables.get(TIME_GAP)}")

    def _check_numbers(self) -> None:
        for field, smallest in (("tables", FIRST_ID), ("lengths", 1)):
            for name, value in getattr(self, field).items():
                if type(value) is not int or value < smallest:
                    raise ValueError(f"schema.{field}[{name!r}] must be a whole number of at least {smallest}, "
                                     f"got {value!r}")

    def _check_words(self) -> None:
        """Names by themselves: their characters, and the words of Python."""
        for role in _ROLES:
            for feature in getattr(self, role):
                if type(feature.name) is not str or not _FEATURE_NAME.fullmatch(feature.name):
                    raise ValueError(f"schema.{role}: feature {feature.name!r} cannot be an input of an exported "
                                     "model: expected ASCII letters, digits and _ - . behind a letter")
                if role != "context" and (keyword.iskeyword(feature.name) or feature.name == "self"):
                    raise ValueError(f"schema.{role}: feature {feature.name!r} cannot be an input of an exported "
                                     "model: the word is one of Python's own")
        for field, name in (("name", self.name), *(("tables", table) for table in self.tables)):
            if type(name) is not str or not _NAME.fullmatch(name):
                raise ValueError(f"schema.{field}: {name!r} is no name: expected ASCII letters, digits and _ - . "
                                 "behind a letter or digit")

    def _check_batch_names(self) -> None:
        """Names beside each other: no two tensors of a batch have one that TensorFlow would take for the other's."""
        of_package = ("user_key", "label", "timestamp", "impression_id", "row_number", "candidate_mask", *(
            f"{history}_{field}" for history in HISTORIES for field in ("timestamp", "offset", "mask")))
        owners = {_as_tensorflow_sees(name): f"the tensor {name!r} of the package" for name in of_package}
        for role in _ROLES:
            prefixes = {"item": ("", *(f"{history}_" for history in HISTORIES)),
                        "context": tuple(f"{history}_" for history in HISTORIES)}.get(role, ("",))
            for feature in getattr(self, role):
                for name in (f"{prefix}{feature.name}" for prefix in prefixes):
                    owner = owners.setdefault(_as_tensorflow_sees(name), f"schema.{role} feature {feature.name!r}")
                    if owner != f"schema.{role} feature {feature.name!r}":
                        raise ValueError(f"schema.{role}: feature {feature.name!r} would have the name of {owner}"
                                         f"{f' as {name!r}' if name != feature.name else ''}: choose another")

    @property
    def time_gap_rows(self) -> int:
        """Rows of the `time_gap` table: padding, out of vocabulary and one per bucket."""
        return FIRST_ID + len(self.time_gap_boundaries) + 1

    @property
    def context_features(self) -> tuple[Feature, ...]:
        """Context features in embedding order, the derived `time_gap` last."""
        derived = (Feature(TIME_GAP, TIME_GAP),) if self.time_gap_boundaries else ()
        return tuple(self.context) + derived

    @property
    def user_names(self) -> tuple[str, ...]:
        """`[B]` int64 names of a record, `user_key` first."""
        return ("user_key", *(feature.name for feature in self.user))

    @property
    def candidate_names(self) -> tuple[str, ...]:
        """`[B, C]` int64 id names of a record: item, candidate and request features."""
        return tuple(feature.name for role in (self.item, self.candidate, self.request) for feature in role)

    @property
    def impression_names(self) -> tuple[str, ...]:
        """All `[B, C]` names of a record."""
        offsets = tuple(f"{history}_offset" for history in HISTORIES)
        return (*self.candidate_names, "label", "timestamp", "impression_id", *offsets)

    def history_names(self, history: str) -> tuple[str, ...]:
        """`[B, length]` names of one history in a record."""
        fields = (*(feature.name for feature in (*self.item, *self.context)), "timestamp")
        return tuple(f"{history}_{field}" for field in fields)

    @property
    def record_names(self) -> tuple[str, ...]:
        """Every feature of a record; each is a list of int64."""
        histories = (name for history in HISTORIES for name in self.history_names(history))
        return (*self.user_names, *self.impression_names, *histories)

    def reading(self, item_fields: Sequence[str] = (), context_fields: Sequence[str] = ()) -> FeatureSchema:
        """The schema of a model that reads only some features of events, from the same records.

        Args:
          item_fields: names of item features; () for all.
          context_fields: names of context features, the derived `time_gap` among them; () for all.

        Returns:
          The schema without the other features, and without the tables that nothing else reads. Order is kept.

        Raises:
          ValueError: a name that is not known.
        """
        context = self.context_features
        for option, names, known in (("item_fields", item_fields, self.item),
                                     ("context_fields", context_fields, context)):
            if unknown := sorted(set(names) - {feature.name for feature in known}):
                raise ValueError(f"data.{option} names {', '.join(unknown)}; known: "
                                 f"{', '.join(feature.name for feature in known) or 'none'}")
        item = tuple(feature for feature in self.item if not item_fields or feature.name in item_fields)
        kept = tuple(feature for feature in context if not context_fields or feature.name in context_fields)
        dropped = {*self.item, *context} - {*item, *kept}
        used = {feature.table for feature in (*self.user, *item, *self.candidate, *self.request, *kept)}
        unused = {feature.table for feature in dropped} - used
        return dataclasses.replace(
            self, item=item, context=tuple(feature for feature in kept if feature in self.context),
            tables={table: rows for table, rows in self.tables.items() if table not in unused},
            time_gap_boundaries=self.time_gap_boundaries if TIME_GAP in {feature.name for feature in kept} else ())

    @property
    def table_of_feature(self) -> dict[str, str]:
        """Name of every id feature of a record -> the table that it reads."""
        tables = {feature.name: feature.table
                  for feature in (*self.user, *self.item, *self.candidate, *self.request)}
        return tables | {f"{history}_{feature.name}": feature.table
                         for history in HISTORIES for feature in (*self.item, *self.context)}

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that differ when the schema differs."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The schema as JSON text with sorted keys."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> FeatureSchema:
        """Reads what `to_json` wrote.

        Raises:
          ValueError: not JSON, or a field is missing or unknown.
        """
        values = json.loads(text)
        fields = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or set(values) != fields:
            found = sorted(values) if isinstance(values, dict) else type(values).__name__
            raise ValueError(f"not a FeatureSchema: expected the keys {sorted(fields)}, got {found}")
        for role in _ROLES:
            values[role] = tuple(Feature(**feature) for feature in values[role])
        values["time_gap_boundaries"] = tuple(values["time_gap_boundaries"])
        return cls(**values)

    @classmethod
    def load(cls, data_dir: str | os.PathLike[str]) -> FeatureSchema:
        """Reads `schema.json` of a prepared data set.

        Raises:
          FileNotFoundError: no `schema.json` in `data_dir`.
          ValueError: the file is not a schema; the message names the file.
        """
        path = os.path.join(os.fspath(data_dir), "schema.json")
        if not os.path.exists(path):
            raise FileNotFoundError(f"{path} does not exist: {data_dir} is not a prepared data set")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        try:
            return cls.from_json(text)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: {error}") from error


def _as_tensorflow_sees(name: str) -> str:
    """What two names have in common that TensorFlow does not tell apart as inputs of a signature."""
    return re.sub("[-.]", "_", name).lower()
