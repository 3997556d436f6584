"""What a data set's reader hands to the pipeline: canonical tables and the roles of their columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data_prep.config import PreparationConfig
from data_prep.reading.accounting import RowCounts
from lcn_tf.schema import (
    CLICK,
    TARGET,
    TIME_GAP,
    UNCLICKED,
    Feature,
    FeatureSchema,
    HistorySpec,
    Label,
    usual_histories,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

DOMAINS = ("target", "source")
DAY_SECONDS = 86_400


@dataclasses.dataclass(frozen=True)
class DatasetDescription:
    """Which column plays which role, and how time is cut.

    Attributes:
      name: of the data set, also the prefix of its record files.
      user, item, candidate, request, context: columns by role, see `lcn_tf.schema.FeatureSchema`; a feature's `table`
        is its vocabulary. Columns of one vocabulary have the same type (int64 or string).
      time_gap_boundaries: seconds at which the derived context feature `time_gap` is cut.
      splits: split -> first second and the second after its last, UTC; days of `utc_offset` are never divided. Of
        `SPLITS`, in their order.
      utc_offset: seconds to add to UTC before cutting days.
      about: texts for the data set's TFDS metadata (description, homepage, citation, license).
      labels: what is predicted, see `lcn_tf.schema.FeatureSchema`; the key of each is a column of the impressions.
      scenario: name of the request feature that tells surfaces or markets apart, or None.
      means: see `lcn_tf.schema.FeatureSchema`.
    """

    name: str
    user: tuple[Feature, ...]
    item: tuple[Feature, ...]
    candidate: tuple[Feature, ...]
    request: tuple[Feature, ...]
    context: tuple[Feature, ...]
    time_gap_boundaries: tuple[int, ...]
    splits: Mapping[str, tuple[int, int]]
    utc_offset: int
    about: Mapping[str, str]
    labels: tuple[Label, ...] = (CLICK,)
    scenario: str | None = None
    means: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    @property
    def several(self) -> frozenset[str]:
        """Names of the columns of `means`, which may hold nulls."""
        return frozenset(member for members in self.means.values() for member in members)

    @property
    def impression_features(self) -> tuple[Feature, ...]:
        """Encoded columns of the impressions table."""
        return (*self.item, *self.candidate, *self.request)

    @property
    def event_features(self) -> tuple[Feature, ...]:
        """Encoded columns of the events table."""
        return (*self.item, *self.context)

    @property
    def vocabulary_names(self) -> tuple[str, ...]:
        """Every vocabulary once, in the order of first use."""
        return tuple(dict.fromkeys(feature.table for feature in (
            *self.user, *self.impression_features, *self.context)))

    def schema(self, vocabulary_rows: Mapping[str, int], preparation: PreparationConfig) -> FeatureSchema:
        """The schema of the records, given the rows of each vocabulary's table (padding and OOV included)."""
        tables = dict(vocabulary_rows)
        if self.time_gap_boundaries:
            tables[TIME_GAP] = len(self.time_gap_boundaries) + 3
        histories = usual_histories(preparation.short_length, preparation.lifelong_length)
        if preparation.unclicked_length:
            histories[UNCLICKED] = HistorySpec(TARGET, preparation.unclicked_length, "extra", context=())
        roles = {role: getattr(self, role) for role in ("user", "item", "candidate", "request", "context")}
        return FeatureSchema(
            name=self.name, tables=tables, time_gap_boundaries=self.time_gap_boundaries, labels=self.labels,
            scenario=self.scenario, means=self.means, histories=histories, **roles)


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set as canonical tables, none of whose feature columns holds nulls but for those of `means`.

    Attributes:
      description: roles of the columns and the cut of time.
      impressions: `impression_id` (0-based data row of its file), `user`, `timestamp` and the key of each label (0/1,
        0 where the label that it is given is 0), all int64, and the item, candidate and request columns; every
        timestamp lies in one of the splits. With a column `split` (place in `SPLITS`), that decides in place of time.
      events: `user`, `timestamp` > 0, `domain` ("target" or "source"), `row` (position in its file, later rows count as
        more recent within a second), and the item and context columns; `in_training` (bool) where impressions have
        `split`.
      users: `user` (unique) and the user columns, a row for every user of `impressions`.
      rows: what became of each input file's rows.
      facts: further entries of `preparation.json`.
      domains: those whose events are wanted.
      coarse_clock: whether equal times say nothing of one page, so that records have `max_candidates` at most.
      described: vocabulary -> table with the column `value`: values that something else is known of, such as a text.
        They have ids however seldom they are seen.
    """

    description: DatasetDescription
    impressions: ir.Table
    events: ir.Table
    users: ir.Table
    rows: tuple[RowCounts, ...]
    facts: Mapping[str, Any]
    domains: tuple[str, ...] = DOMAINS
    coarse_clock: bool = False
    described: Mapping[str, ir.Table] = dataclasses.field(default_factory=dict)

    def training_rows(self) -> tuple[ir.Table, ir.Table]:
        """The impressions of the training split, and the events before its end."""
        if "split" in self.impressions.columns:
            return self.impressions.filter(self.impressions.split == 0), self.events.filter(self.events.in_training)
        first, end = self.description.splits["train"]
        moment = self.impressions.timestamp
        return (self.impressions.filter(moment >= first, moment < end),
                self.events.filter(self.events.timestamp < end))
