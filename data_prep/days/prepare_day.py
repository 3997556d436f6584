"""One more day of own logs -> its records, and the vocabularies as they are with it."""

from __future__ import annotations

import dataclasses
import os
from datetime import date

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from data_prep import vocabulary
from data_prep.config import PreparationConfig
from data_prep.days.config import LastingIdsConfig
from data_prep.days.lasting_ids import WAITING, LastingIds
from data_prep.description import DAY_SECONDS, Source
from data_prep.engines import Engine
from data_prep.errors import InputError
from data_prep.own_logs.config import OwnLogsConfig
from data_prep.own_logs.prepare import prepare_mapping
from data_prep.own_logs.splitting import OneDay
from lcn_tf import json_files
from lcn_tf.data.prepared_folder import PREPARATION, VOCABULARIES, preparation_facts

_FOLDER = "lasting_ids"  # in a day's folder: a Parquet file for each vocabulary, before idle values leave


@dataclasses.dataclass(frozen=True)
class PreparedDay:
    """The records of a day and its vocabularies.

    Attributes:
      day: ISO date.
      folder: of the records.
      config: sizes of the vocabularies.
    """

    day: str
    folder: str
    config: LastingIdsConfig

    @property
    def number(self) -> int:
        """The day as `LastingIds` counts days."""
        return _number(self.day)

    @property
    def vocabularies(self) -> list[str]:
        """Their names."""
        return sorted(name.removesuffix(".parquet") for name in os.listdir(os.path.join(self.folder, _FOLDER)))

    def ids(self, name: str) -> LastingIds:
        """A vocabulary as the records have it."""
        return LastingIds.read(os.path.join(self.folder, _FOLDER, f"{name}.parquet"), name, self.config.rows_of(name))

    def ids_after(self, name: str) -> LastingIds:
        """A vocabulary at the end of the day: without those that were idle for too long."""
        return self.ids(name).without_idle(self.number, self.config.max_idle_days)

    def admitted(self) -> dict[str, np.ndarray]:
        """Vocabulary -> the ids that have their meaning since this day."""
        return {name: self.ids(name).admitted(self.number) for name in self.vocabularies}

    def settled(self) -> dict[str, object]:
        """What all later days take over from a first one, as fields of `OneDay`."""
        facts = preparation_facts(self.folder)
        json_files.check(os.path.join(self.folder, PREPARATION), facts, {"utc_offset": int})
        return {"utc_offset": facts["utc_offset"], "boundaries": facts.get("boundaries", {})}


def prepare_day(mapping: OwnLogsConfig, input_dir: str, output_dir: str, one_day: OneDay, before: PreparedDay | None,
                config: LastingIdsConfig, preparation: PreparationConfig) -> None:
    """Prepares the impressions of a day, or of the first days together, all in the split "train".

    Values are counted over the impressions and events of the day; of the first over all events until then. Those
    that are seen often enough are admitted before the records are written; idle ones leave after that.

    Args:
      mapping: where the mapping file is; its splits are not read.
      input_dir: folder from which it names files; "": that of the mapping file.
      output_dir: new or empty directory; it appears when everything is written.
      one_day: the day, with what is settled since the first one.
      before: the day before; None for the first.
      config: sizes of the vocabularies.
      preparation: settings shared by all data sets.

    Raises:
      InputError: the mapping or the files do not make records of that day, or do not fit the days before.
      OutputError: `output_dir` exists with contents or cannot be written.
      ValueError: a setting that is of no use here.
    """
    if preparation.vocabulary != "counted":
        raise ValueError("vocabulary must be counted for days, as hashed ids last anyhow, got "
                         f"{preparation.vocabulary}")
    if preparation.unclicked_length:
        raise ValueError("unclicked_length must be 0 for days, whose records know only what was shown on their day, "
                         f"got {preparation.unclicked_length}")

    def assign(engine: Engine, source: Source, preparation: PreparationConfig,
               folder: str) -> tuple[dict[str, ir.Table], dict[str, int]]:
        impressions, events = source.training_rows()
        if before:
            events = events.filter(events.timestamp >= source.description.splits["train"][0])
        names = source.description.vocabulary_names
        config.check(names)
        if before and set(names) != set(before.vocabularies):
            raise InputError(f"{mapping.mapping}, features: the tables are {', '.join(sorted(names))}, those of "
                             f"{before.day} were {', '.join(before.vocabularies)}: start another series of days")
        os.makedirs(os.path.join(folder, _FOLDER), exist_ok=True)
        tallies = vocabulary.tally(engine, source, impressions, events)
        tables, rows = {}, {}
        for name in names:
            counts = _counts(source, name, tallies)
            known = before.ids_after(name) if before else LastingIds.empty(name, config.rows_of(name))
            ids = known.with_day(_number(one_day.day), counts, preparation.min_count)
            path = os.path.join(folder, _FOLDER, f"{name}.parquet")
            ids.write(path)
            stored = engine.load_parquet(f"vocabulary_{name}", path)
            tables[name] = stored.filter(stored.id != WAITING).select("value", "id")
            rows[name] = vocabulary.write(os.path.join(folder, VOCABULARIES), name, ids.texts())
        return tables, rows

    prepare_mapping(mapping, input_dir, output_dir, preparation, one_day, assign)


def _counts(source: Source, name: str, tallies: vocabulary.Tallies) -> pa.Table:
    """`value`, `total` and `last_day` of a vocabulary."""
    counts = vocabulary.counts(source, name, tallies).to_pyarrow()
    seconds = counts["last"].to_numpy() + source.description.utc_offset
    days = seconds // DAY_SECONDS + date(1970, 1, 1).toordinal()
    return pa.table({"value": counts["value"], "total": counts["total"], "last_day": days})


def _number(day: str) -> int:
    return date.fromisoformat(day).toordinal()
