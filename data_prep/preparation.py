"""Runs a preparation from a data set's canonical tables to a whole directory of records.

Two stages. The engine reads the files, counts vocabularies, and writes encoded impressions and events in buckets of
users; then each bucket becomes one shard of every split. A preparation that was killed goes on with the buckets that
are missing, or reads the files again where the first stage had not ended.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from absl import logging

from data_prep import engines, pipeline, vocabulary
from data_prep.config import PreparationConfig, lasting_settings, written_settings
from data_prep.description import Source
from data_prep.engines import Engine
from data_prep.errors import InputError
from data_prep.reading import log_reader
from data_prep.reading.log_reader import LogReader
from data_prep.reading.rejects import Rejects
from data_prep.writing.bucket_writer import BucketWriter, read_summary
from data_prep.writing.metadata import write_metadata
from data_prep.writing.output_folder import PartialFolder, new_folder, write_json
from lcn_tf import __version__
from lcn_tf.data.catalogue import Catalogue
from lcn_tf.data.prepared_folder import PREPARATION, SPLITS
from lcn_tf.schema import FeatureSchema

if TYPE_CHECKING:
    import ibis.expr.types as ir

_ROWS_PER_SHARD = 1_000_000  # some 200 MB of memory while a shard is written
_LEAST_SHARDS = 4  # files that training reads in turn
_UNPACKED = "unpacked"  # folder of the reader's files


def prepare_dataset(
        output_dir: str, preparation: PreparationConfig, dataset_config: Any, input_files: Sequence[str],
        read: Callable[[LogReader], Source], assign: vocabulary.Assign = vocabulary.assign,
        complete: Callable[[str, str], Sequence[str]] = lambda folder, scratch_dir: ()) -> None:
    """Writes a prepared data set.

    Args:
      output_dir: new or empty directory; it appears when everything is written.
      preparation: shared settings.
      dataset_config: the data set's own settings, a dataclass.
      input_files: the files that `read` reads.
      read: makes the canonical tables.
      assign: gives the values their ids.
      complete: adds what else belongs to a folder of records, given the folder in which `read` may have left files for
        it; returns what is odd, in words.

    Raises:
      InputError: the files do not make a data set (no row of one of them is used, no impression sees an event ...), or
        change while they are read.
      OutputError: `output_dir` exists with contents or cannot be written; memory or disk do not suffice.
    """
    states = log_reader.file_states(input_files)
    lasting = lasting_settings(dataset_config, preparation)
    with new_folder(output_dir, {"settings": lasting, "inputs": states, "version": __version__}) as partial:
        with engines.connect(preparation, partial.new("scratch")) as engine:
            def encode() -> dict[str, Any]:
                rejects = Rejects(f"{os.path.abspath(output_dir)}.rejects.csv", preparation.max_reject_share)
                logs = LogReader(engine, rejects, partial.new(_UNPACKED))
                try:
                    facts = _encode(engine, logs, read(logs), partial, preparation, assign)
                finally:
                    log_reader.check_unchanged(states)  # first: it may be why something else failed
                rejects.move_to(partial.records)
                return facts

            facts = partial.once("encoded", encode)
            _log(facts["warnings"])
            schema, splits = FeatureSchema.from_json(json.dumps(facts["schema"])), tuple(facts["days"])
            summaries, fingerprint = _write_buckets(engine, schema, splits, partial, preparation, facts["buckets"],
                                                   preparation.max_candidates if facts["cut"] else None)
            empty = _check_histories(schema, summaries, facts["domains"], list(facts["rows"]))
            _log(empty)
        write_metadata(partial.records, schema, summaries, facts["about"], splits)
        added = list(complete(partial.records, os.path.join(partial.work, _UNPACKED)))
        _log(added)
        entries = {split: split_entry([summary[split] for summary in summaries], facts["days"][split], schema)
                   for split in splits}
        write_json(os.path.join(partial.records, PREPARATION), {
            "dataset": schema.name, "schema_fingerprint": schema.fingerprint, "rows": facts["rows"],
            "warnings": facts["warnings"] + empty + added, "splits": entries, **facts["facts"],
            "settings": written_settings(dataset_config, preparation),
            "inputs": facts["inputs"], "fingerprint": fingerprint})


def _encode(engine: Engine, logs: LogReader, source: Source, partial: PartialFolder, preparation: PreparationConfig,
            assign: vocabulary.Assign) -> dict[str, Any]:
    """Writes vocabularies, items and the encoded tables, in buckets; returns what the second stage needs to know."""
    description = source.description
    _check_splits(source)
    if preparation.unclicked_length and "sampled_negatives" in source.facts:
        raise InputError(f"unclicked_length={preparation.unclicked_length}: what was not clicked is drawn for these "
                         "logs, nobody was shown it")
    vocabularies, rows = assign(engine, source, preparation, partial.records)
    _write_catalogue(partial.records, engine.store("items", pipeline.training_items(source, vocabularies)))
    buckets = preparation.shards or max(
        _LEAST_SHARDS, -(-sum(counts.used for counts in source.rows) // _ROWS_PER_SHARD))
    for name, table in (("impressions", pipeline.encode_impressions(source, preparation, vocabularies, buckets)),
                        ("events", pipeline.encode_events(source, vocabularies, buckets))):
        engine.partition(table, partial.new(name))
    return {"schema": json.loads(description.schema(rows, preparation).to_json()), "buckets": buckets,
            "rows": {counts.file: counts.to_json() for counts in source.rows},
            "warnings": logs.warnings, "domains": source.domains,
            "cut": preparation.snapshot == "user" or source.coarse_clock,
            "facts": {"utc_offset": description.utc_offset, **source.facts},
            "inputs": logs.fingerprints, "about": description.about,
            "days": {split: days_of(span, description.utc_offset) for split, span in description.splits.items()}}


def _write_catalogue(folder: str, items: ir.Table) -> None:
    """Writes the items of the training days, in the order of their ids."""
    columns = items.order_by(*items.columns).to_pyarrow()
    ids = {name: columns[name].to_numpy() for name in items.columns}
    Catalogue(domain=ids.pop("domain"), count=ids.pop("count"), ids=ids).write(folder)


def _write_buckets(engine: Engine, schema: FeatureSchema, splits: tuple[str, ...], partial: PartialFolder,
                   preparation: PreparationConfig, buckets: int, max_candidates: int | None
                   ) -> tuple[list[dict[str, dict[str, Any]]], str]:
    """Writes the buckets that are not written yet; returns the summaries of all, and the records' fingerprint."""
    os.makedirs(os.path.join(partial.work, "summaries"), exist_ok=True)
    writer = BucketWriter(partial.records, partial.work, schema, splits, buckets, preparation.exclude_recent,
                          max_candidates)
    missing = [bucket for bucket in range(buckets) if not os.path.exists(writer.summary_path(bucket))]
    # A process takes seconds to start.
    workers = preparation.workers or (os.cpu_count() or 1 if buckets > _LEAST_SHARDS else 1)
    engine.for_each(writer, missing, workers)
    return [read_summary(writer.summary_path(bucket)) for bucket in range(buckets)], writer.fingerprint()


def _check_splits(source: Source) -> None:
    """Every split needs an impression."""
    found = {SPLITS[entry["split"]]: entry["impressions"] for entry in pipeline.split_counts(
        source.impressions, source.description).to_pyarrow().to_pylist()}
    for split, span in source.description.splits.items():
        if split not in found:
            first, last = days_of(span, source.description.utc_offset)
            raise InputError(f"the {split} split ({first} to {last}) has no impression; impressions per split: {found}")


def _check_histories(schema: FeatureSchema, summaries: Sequence[Mapping[str, Mapping[str, Any]]],
                     domains: Sequence[str], files: Sequence[str]) -> list[str]:
    """What is odd about the histories, in words.

    Raises:
      InputError: no impression sees an event.
    """
    wanted = [history for history, spec in schema.histories.items() if spec.domain in domains and spec.kind != "extra"]
    splits = list(summaries[0])
    seen = {(split, history): sum(summary[split][history] for summary in summaries)
            for split in splits for history in wanted}
    if not any(seen.values()):
        raise InputError(f"no impression has an event of its user before it, so every history is empty: the files "
                         f"({', '.join(files)}) do not fit together in their users or timestamps")
    return [f"{history} is empty for every impression" for history in wanted
            if not any(seen[split, history] for split in splits)
            ] + [f"every history of the {split} split is empty" for split in splits
                 if not any(seen[split, history] for history in wanted)]


def _log(warnings: Sequence[str]) -> None:
    for text in warnings:
        logging.warning("%s", text)


def split_entry(summaries: Sequence[Mapping[str, Any]], days: Sequence[str], schema: FeatureSchema) -> dict[str, Any]:
    """The entry of a split in `preparation.json`; labels behind the first have an entry each in its `labels`."""
    entry = {name: sum(summary[name] for summary in summaries)
             for name in ("groups", "impressions", "clicks", "users", "bytes")}
    rate = entry["clicks"] / entry["impressions"]
    entry |= {"largest_group": max(summary["largest_group"] for summary in summaries),
              "first_day": days[0], "last_day": days[1], "click_rate": rate, "entropy": _entropy(rate)}
    if schema.labels[1:]:
        entry["labels"] = {}
    for label in schema.labels[1:]:
        positives = sum(summary["labels"][label.name] for summary in summaries)
        rate = positives / entry["impressions"]
        entry["labels"][label.name] = {"positives": positives, "rate": rate, "entropy": _entropy(rate)}
    return entry


def days_of(span: tuple[int, int], utc_offset: int) -> tuple[str, str]:
    """First and last day of a split, given its first second and the second after its last, as ISO dates."""
    zone = timezone(timedelta(seconds=utc_offset))
    first, end = span
    return (datetime.fromtimestamp(first, zone).date().isoformat(),
            datetime.fromtimestamp(end - 1, zone).date().isoformat())


def _entropy(rate: float) -> float:
    """Entropy of a label in nats: the logloss of predicting its rate."""
    return 0.0 - sum(p * math.log(p) for p in (rate, 1 - rate) if p > 0)  # never -0.0
