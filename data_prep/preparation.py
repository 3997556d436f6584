"""Runs a preparation from a data set's canonical tables to a whole directory of records."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from ibis.backends.duckdb import Backend

from data_prep import accounting, engine, pipeline, vocabulary
from data_prep.config import PreparationConfig
from data_prep.description import SPLITS, DatasetDescription, Source
from data_prep.errors import InputError
from data_prep.output_folder import new_folder
from data_prep.writer import ShardWriter

# Settings that change how the work is done and not what comes out.
_WITHOUT_EFFECT = ("memory_limit",)


def prepare_dataset(
        output_dir: str, preparation: PreparationConfig, dataset_config: Any, input_files: Sequence[str],
        read: Callable[[Backend], Source]) -> None:
    """Writes a prepared data set.

    Args:
      output_dir: new or empty directory; it appears when everything is written.
      preparation: shared settings.
      dataset_config: the data set's own settings, a dataclass.
      input_files: paths whose fingerprints are stored.
      read: makes the canonical tables on the given engine.

    Raises:
      InputError: the files do not make a data set.
      OutputError: `output_dir` exists with contents or cannot be written.
    """
    with new_folder(output_dir) as folder:
        scratch = os.path.join(folder, "scratch")
        os.makedirs(scratch)
        with engine.connect(scratch, preparation.memory_limit) as connection:
            record = _write_records(connection, read(connection), folder, preparation)
        shutil.rmtree(scratch)
        settings = {**dataclasses.asdict(dataset_config), **dataclasses.asdict(preparation)}
        inputs = {os.path.basename(path): accounting.file_fingerprint(path) for path in input_files}
        lasting = {name: value for name, value in settings.items() if name not in _WITHOUT_EFFECT}
        record |= {"settings": settings, "inputs": inputs, "fingerprint": accounting.fingerprint(
            {"settings": lasting, "inputs": inputs, "schema": record["schema_fingerprint"]})}
        with open(os.path.join(folder, "preparation.json"), "w", encoding="utf-8") as file:
            json.dump(record, file, indent=2)


def _write_records(
        connection: Backend, source: Source, folder: str, preparation: PreparationConfig) -> dict[str, Any]:
    """Writes vocabularies, shards and metadata; returns the data set's part of `preparation.json`."""
    description = source.description
    vocabularies = {name: connection.create_table(
        f"vocabulary_{name}", vocabulary.vocabulary(source, name, preparation.min_count))
        for name in description.vocabulary_names}
    table_rows = vocabulary.write(vocabularies, os.path.join(folder, "vocabularies"))
    schema = description.schema(table_rows, preparation)
    impressions = connection.create_table(
        "encoded_impressions", pipeline.encode_impressions(source, preparation, vocabularies))
    events = connection.create_table("encoded_events", pipeline.encode_events(source, vocabularies))
    splits = _splits(impressions, description)
    writer = ShardWriter(folder, schema, preparation.shards, preparation.exclude_recent)
    for shard in range(preparation.shards):
        writer.write(
            shard, pipeline.shard_impressions(impressions, shard, preparation.shards).to_pyarrow(),
            {domain: pipeline.shard_events(events, domain, shard, preparation.shards).to_pyarrow()
             for domain in ("target", "source")})
    writer.finish(description.about)
    return {"dataset": description.name, "schema_fingerprint": schema.fingerprint,
            "rows": {counts.file: counts.to_json() for counts in source.rows}, "splits": splits, **source.facts}


def _splits(impressions, description: DatasetDescription) -> dict[str, dict[str, Any]]:
    counts = {entry["split"]: entry for entry in pipeline.split_counts(impressions).to_pyarrow().to_pylist()}
    splits = {}
    for split in SPLITS:
        first, last = _days(description, split)
        if split not in counts:
            shown = {name: int(entry["impressions"]) for name, entry in counts.items()}
            raise InputError(f"the {split} split ({first} to {last}) has no impression; impressions per split: {shown}")
        names = ("groups", "impressions", "clicks", "users", "largest_group")
        entry = {name: int(counts[split][name]) for name in names}
        rate = entry["clicks"] / entry["impressions"]
        splits[split] = {**entry, "first_day": first, "last_day": last, "click_rate": rate, "entropy": _entropy(rate)}
    return splits


def _days(description: DatasetDescription, split: str) -> tuple[str, str]:
    """First and last day of a split, as ISO dates of the data set's own time zone."""
    zone = timezone(timedelta(seconds=description.utc_offset))
    first, end = description.splits[split]
    return (datetime.fromtimestamp(first, zone).date().isoformat(),
            datetime.fromtimestamp(end - 1, zone).date().isoformat())


def _entropy(rate: float) -> float:
    """Entropy of a click in nats: the logloss of predicting the click rate."""
    return -sum(p * math.log(p) for p in (rate, 1 - rate) if p > 0)


def read_record(data_dir: str) -> Mapping[str, Any]:
    """The `preparation.json` of a prepared data set."""
    with open(os.path.join(data_dir, "preparation.json"), encoding="utf-8") as file:
        return json.load(file)
