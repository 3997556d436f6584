"""The data contract: which features a record and a batch hold, and which table each one reads.

A record is one *request group*: a user, the user's histories once, and C candidates. Ids are int64 with
0 = padding, 1 = out of vocabulary and 2+ = vocabulary entries. `FeatureSchema` travels as `schema.json` beside the
records and inside every export; nothing else in the package keeps a list of features, histories or labels.

Names of the tensors of a batch (shape letters: B requests, C candidates, L events of a history):

| name                                   | shape    | dtype   |
|----------------------------------------|----------|---------|
| `user_key` (raw user, for grouping)    | [B]      | int64   |
| each user feature                      | [B]      | int64   |
| each item, candidate, request feature  | [B, C]   | int64   |
| each label's key (the click's is `label`) | [B, C] | float32 |
| `timestamp` (seconds UTC), `impression_id` | [B, C] | int64 |
| `row_number` (impressions before this one in the pass over the split) | [B, C] | int64 |
| `{history}_offset` (newest events hidden from the candidate) | [B, C] | int64 |
| `candidate_mask`                       | [B, C]   | bool    |
| `{history}_{item or context feature}`  | [B, L]   | int64   |
| `{history}_timestamp`                  | [B, L]   | int64   |
| `{history}_mask`                       | [B, L]   | bool    |

A record stores the same names as variable-length int64 lists, without masks and row numbers; histories are most recent
first. `lcn_tf.data.record_rules` says what their values may be.

Features, tables and data sets are called by ASCII letters, digits and _ - . only, since TensorFlow puts other names in
place of others. Features begin with a letter, are not called like a word of Python or `self`, which are no names of a
signature's inputs, nor like a tensor of the table above or of a user's state (`state_events`, ...); names that differ
in case only, or in one of _ - . by another, are one name to TensorFlow.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import get_args

from lcn_tf import json_files, schema_versions
from lcn_tf.schema_entries import CLICK, TARGET, UNCLICKED, Feature, HistoryKind, HistorySpec, Label, usual_histories
from lcn_tf.schema_names import STATE_NAMES, check_batch_names, check_labels, check_means, check_words

__all__ = ["CLICK", "FIRST_ID", "OOV_ID", "PADDING_ID", "TARGET", "TIME_GAP", "UNCLICKED", "Feature", "FeatureSchema",
           "HistorySpec", "Label", "usual_histories"]

PADDING_ID = 0
OOV_ID = 1
FIRST_ID = 2

TIME_GAP = "time_gap"

_INPUTS = ("user", "item", "candidate", "request")  # roles of features that a request names as they are
_ROLES = (*_INPUTS, "context")


@dataclasses.dataclass(frozen=True)
class FeatureSchema:
    """Every feature of a data set by role, its tables, histories and labels.

    Attributes:
      name: data set name, also the prefix of the record files.
      tables: table name -> number of rows, padding and out-of-vocabulary rows included.
      user: features of the user, `[B]`.
      item: features that items of *both* domains have, in the order of their concatenation, `[B, C]` and `[B, L]`.
      candidate: features that only candidates have, `[B, C]`.
      request: features of the request (slot, hour ...), `[B, C]`.
      context: features stored with every history event, `[B, L]`.
      histories: by name, one of them lifelong.
      time_gap_boundaries: increasing seconds; when not empty, the context feature `time_gap` (bucketised seconds from
        an event to the candidate's moment) is derived for every event and reads the table `time_gap`.
      labels: what is predicted; candidates are ranked by the first.
      scenario: name of the request feature that tells which of several surfaces or markets an impression belongs to,
        for the parts that are conditioned on it; None where there is but one.
      vectors: table -> file beside the schema, a NumPy array `[rows, width]` of frozen content vectors for its ids.
      means: name -> features, of the user or of candidates, that hold the values of one feature with several (genres,
        tags): all of one table, each id once or 0 where there are fewer values. Models read the mean of their vectors.

    Raises:
      ValueError: a name that TensorFlow or Python does not take, that is used twice or by the package itself, or that
        stands for nothing; a size that is no whole number; no lifelong history, or several.

    Example:
      >>> from lcn_tf import Feature, FeatureSchema
      >>> from lcn_tf.schema import usual_histories
      >>> schema = FeatureSchema(
      ...     "ads", tables={"user": 500, "brand": 100, "slot": 4}, user=(Feature("user_id", "user"),),
      ...     item=(Feature("brand", "brand"),), candidate=(), request=(Feature("slot", "slot"),), context=(),
      ...     histories=usual_histories(short=24, lifelong=500))
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
    histories: Mapping[str, HistorySpec]
    time_gap_boundaries: tuple[int, ...] = ()
    labels: tuple[Label, ...] = (CLICK,)
    scenario: str | None = None
    vectors: Mapping[str, str] = dataclasses.field(default_factory=dict)
    means: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not self.item:
            raise ValueError("schema.item is empty: inner products across domains need a shared item feature")
        self._check_numbers()
        self._check_words()
        self._check_histories()
        self._check_labels()
        sides = [{feature.name: feature.table for feature in side} for side in (self.user, self.candidate)]
        check_means(self.means, sides, {feature.name for role in _INPUTS for feature in getattr(self, role)})
        for roles in (_INPUTS, ("item", "context")):
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
        for field, smallest, values in (("tables[{!r}]", FIRST_ID, self.tables),
                                        ("histories[{!r}].length", 1, self.lengths)):
            for name, value in values.items():
                if type(value) is not int or value < smallest:
                    raise ValueError(f"schema.{field.format(name)} must be a whole number of at least {smallest}, "
                                     f"got {value!r}")

    def _check_words(self) -> None:
        features = {role: [feature.name for feature in getattr(self, role)] for role in _ROLES}
        check_words({**features, "means": list(self.means)},
                    {"name": [self.name], "tables": list(self.tables), "histories": list(self.histories),
                     "labels": [name for label in self.labels for name in (label.name, label.key)]})

    def _check_batch_names(self) -> None:
        of_package = ("user_key", "timestamp", "impression_id", "row_number", "candidate_mask", *(
            f"{history}_{field}" for history in self.histories for field in ("timestamp", "offset", "mask")))
        check_labels(of_package, {label.name: label.key for label in self.labels})
        prefixes = {"item": ("", *(f"{history}_" for history in self.histories)),
                    "context": tuple(f"{history}_" for history in self.histories)}
        check_batch_names((*of_package, *self.label_keys, *STATE_NAMES), {role: {
            feature.name: [f"{prefix}{feature.name}" for prefix in prefixes.get(role, ("",))]
            for feature in getattr(self, role)} for role in _ROLES})

    def _check_histories(self) -> None:
        known = [feature.name for feature in self.context]
        for name, history in self.histories.items():
            if history.kind not in get_args(HistoryKind):
                raise ValueError(f"schema.histories[{name!r}].kind must be one of {', '.join(get_args(HistoryKind))}, "
                                 f"got {history.kind!r}")
            if type(history.domain) is not str or not history.domain:
                raise ValueError(f"schema.histories[{name!r}].domain must be a name, got {history.domain!r}")
            if unknown := sorted(set(history.context or ()) - set(known)):
                raise ValueError(f"schema.histories[{name!r}].context names {', '.join(unknown)}; known: "
                                 f"{', '.join(known) or 'none'}")
        if (lifelong := [name for name, history in self.histories.items() if history.kind == "lifelong"])[1:] or (
                not lifelong):
            raise ValueError(f"schema.histories must have one lifelong history, got {', '.join(lifelong) or 'none'}")

    def _check_labels(self) -> None:
        if not self.labels:
            raise ValueError("schema.labels is empty: there is nothing to predict")
        before: list[str] = []
        for label in self.labels:
            if label.name in before:
                raise ValueError(f"schema.labels has {label.name!r} twice")
            if label.given is not None and label.given not in before:
                raise ValueError(f"schema.labels: {label.name!r} is given {label.given!r}, which is none of the labels "
                                 f"before it: {', '.join(before) or 'none'}")
            before.append(label.name)
        for label in self.labels:
            if label.given is not None and f"{label.name}_joint" in before:
                raise ValueError(f"schema.labels: {label.name + '_joint'!r} is what metrics call {label.name!r} and "
                                 f"{label.given!r} together: choose another name")
        requests = [feature.name for feature in self.request]
        if self.scenario is not None and self.scenario not in requests:
            raise ValueError(f"schema.scenario must be a request feature, one of {', '.join(requests) or 'none'}, got "
                             f"{self.scenario!r}")
        if unknown := sorted(set(self.vectors) - set(self.tables)):
            raise ValueError(f"schema.vectors names the table {unknown[0]!r}; known tables: {sorted(self.tables)}")

    @property
    def several(self) -> frozenset[str]:
        """Names of the features of `means`: padding among their ids is no value."""
        return frozenset(member for members in self.means.values() for member in members)

    def read_as_one(self, features: Sequence[Feature]) -> dict[str, tuple[Feature, ...]]:
        """Name -> features whose vectors' mean a model reads under that name: those of `means`, all others alone."""
        name_of = {member: name for name, members in self.means.items() for member in members}
        found: dict[str, tuple[Feature, ...]] = {}
        for feature in features:
            name = name_of.get(feature.name, feature.name)
            found[name] = (*found.get(name, ()), feature)
        return found

    @property
    def lengths(self) -> dict[str, int]:
        """History name -> longest history in the records."""
        return {name: history.length for name, history in self.histories.items()}

    @property
    def lifelong(self) -> str:
        """Name of the lifelong history."""
        return self._histories_of("lifelong")[0]

    @property
    def short(self) -> tuple[str, ...]:
        """Names of the short histories."""
        return self._histories_of("short")

    def short_of(self, domain: str) -> str:
        """Name of the first short history of a domain.

        Raises:
          ValueError: there is none.
        """
        found = [name for name in self.short if self.histories[name].domain == domain]
        if not found:
            raise ValueError(f"the schema {self.name!r} has no short history of the domain {domain!r}, only "
                             f"{', '.join(self.short) or 'none'}")
        return found[0]

    def _histories_of(self, kind: HistoryKind) -> tuple[str, ...]:
        return tuple(name for name, history in self.histories.items() if history.kind == kind)

    @property
    def source(self) -> str:
        """The domain of the lifelong history."""
        return self.histories[self.lifelong].domain

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains, that of the candidates first."""
        return tuple(dict.fromkeys((TARGET, *(history.domain for history in self.histories.values()))))

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Names of the labels' tensors."""
        return tuple(label.key for label in self.labels)

    @property
    def time_gap_rows(self) -> int:
        """Rows of the `time_gap` table: padding, out of vocabulary and one per bucket."""
        return FIRST_ID + len(self.time_gap_boundaries) + 1

    @property
    def context_features(self) -> tuple[Feature, ...]:
        """Context features in embedding order, the derived `time_gap` last."""
        derived = (Feature(TIME_GAP, TIME_GAP),) if self.time_gap_boundaries else ()
        return tuple(self.context) + derived

    def stored_context(self, history: str) -> tuple[Feature, ...]:
        """Context features that are stored with the events of a history."""
        names = self.histories[history].context
        return tuple(feature for feature in self.context if names is None or feature.name in names)

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
        offsets = tuple(f"{history}_offset" for history in self.histories)
        return (*self.candidate_names, *self.label_keys, "timestamp", "impression_id", *offsets)

    def history_names(self, history: str) -> tuple[str, ...]:
        """`[B, length]` names of one history in a record."""
        fields = (*(feature.name for feature in (*self.item, *self.stored_context(history))), "timestamp")
        return tuple(f"{history}_{field}" for field in fields)

    @property
    def record_names(self) -> tuple[str, ...]:
        """Every feature of a record; each is a list of int64."""
        histories = (name for history in self.histories for name in self.history_names(history))
        return (*self.user_names, *self.impression_names, *histories)

    def reading(self, item_fields: Sequence[str] = (), context_fields: Sequence[str] = (),
                extra: Sequence[str] | None = None) -> FeatureSchema:
        """The schema of a model that reads only some features of events, from the same records.

        Args:
          item_fields: names of item features; () for all.
          context_fields: names of context features, the derived `time_gap` among them; () for all.
          extra: names of the extra histories that it reads; None for all.

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
        stored = tuple(feature for feature in kept if feature in self.context)
        histories = {name: history if history.context is None else dataclasses.replace(
            history, context=tuple(field for field in history.context if field in {feature.name for feature in stored}))
            for name, history in self.histories.items() if history.kind != "extra" or extra is None or name in extra}
        return dataclasses.replace(
            self, item=item, context=stored, histories=histories,
            tables={table: rows for table, rows in self.tables.items() if table not in unused},
            vectors={table: file for table, file in self.vectors.items() if table not in unused},
            time_gap_boundaries=self.time_gap_boundaries if TIME_GAP in {feature.name for feature in kept} else ())

    @property
    def table_of_feature(self) -> dict[str, str]:
        """Name of every id feature of a record -> the table that it reads."""
        tables = {feature.name: feature.table
                  for feature in (*self.user, *self.item, *self.candidate, *self.request)}
        return tables | {f"{history}_{feature.name}": feature.table
                         for history in self.histories for feature in (*self.item, *self.stored_context(history))}

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that differ when the schema differs."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The schema as JSON text with sorted keys (`lcn_tf.schema_versions`)."""
        return json.dumps(schema_versions.to_earliest(dataclasses.asdict(self)), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> FeatureSchema:
        """Reads what `to_json` wrote, here or in an earlier version of the package.

        Raises:
          ValueError: not JSON, a version that is not known, or a field is missing or unknown.
        """
        return cls._from_values(json.loads(text))

    @classmethod
    def _from_values(cls, values: object) -> FeatureSchema:
        values = schema_versions.to_newest(values, {field.name for field in dataclasses.fields(cls)})
        for role in _ROLES:
            values[role] = tuple(Feature(**feature) for feature in values[role])
        values["histories"] = {name: HistorySpec(**history) for name, history in values["histories"].items()}
        values["labels"] = tuple(Label(**label) for label in values["labels"])
        values["means"] = {name: tuple(members) for name, members in values["means"].items()}
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
        values = json_files.read(path)
        try:
            return cls._from_values(values)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: {error}") from error
