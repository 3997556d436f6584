"""Logged requests and their labels -> a folder that training reads."""

from __future__ import annotations

import numbers
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from absl import logging

from data_prep.calendar_splits import splits_between
from data_prep.description import DAY_SECONDS
from data_prep.errors import InputError
from data_prep.preparation import days_of, split_entry
from data_prep.reading.accounting import RowCounts
from data_prep.writing import tfrecord
from data_prep.writing.metadata import write_metadata
from data_prep.writing.output_folder import new_folder, write_json
from lcn_tf import __version__
from lcn_tf.data import record_rules
from lcn_tf.data.prepared_folder import PREPARATION, SPLITS, VOCABULARIES, preparation_facts
from lcn_tf.data.record_bytes import Fingerprint
from lcn_tf.data.records import encode
from lcn_tf.models.requests import request_names, user_feature
from lcn_tf.schema import FIRST_ID, OOV_ID, PADDING_ID, FeatureSchema
from lcn_tf.serving.logged_requests import Values, asked_schema, read_requests

REQUEST, CANDIDATE = "request", "candidate"
_ABOUT = {"description": "Requests that a server logged, with their labels.", "homepage": "", "citation": "",
          "license": "that of the logs"}


def write_records(requests_path: str, labels_path: str, data_dir: str, output_dir: str) -> None:
    """Writes records of the requests' last day as test, of the one before it as validation, of all others as training.

    What the server was asked is what the model will be trained on: ids as they were sent (those outside their tables
    are out of vocabulary, as in serving), histories as long as the schema's. Requests that no record may be like
    (`lcn_tf.data.record_rules`), as those with events that are out of order, are left out and counted.

    Args:
      requests_path: `lcn_tf.serving.logged_requests.read_requests`.
      labels_path: CSV or Parquet: `request`, `candidate`, and the key of each label of the schema.
      data_dir: prepared data whose schema, vocabularies and time zone hold.
      output_dir: new or empty directory; it appears when everything is written.

    Raises:
      InputError: labels that do not fit the requests, by file, row and column; no request that a record may be like,
        or requests of fewer than three days.
      FileNotFoundError, ValueError: requests that cannot be read.
      OutputError: `output_dir` exists with contents or cannot be written.
    """
    schema, facts = asked_schema(requests_path, FeatureSchema.load(data_dir)), preparation_facts(data_dir)
    utc_offset = int(facts.get("utc_offset", 0))
    requests = list(read_requests(requests_path, schema))
    labels, counts = _labels(labels_path, schema, requests)
    groups, counts, warnings = _kept(schema, _groups(schema, requests, labels), counts)
    if not groups and warnings:
        raise InputError(f"{requests_path}: no labelled request is left: {warnings[0]}")
    for text in warnings:
        logging.warning("%s", text)
    splits = _splits(groups, utc_offset, warnings)
    with new_folder(output_dir, {"requests": requests_path, "labels": labels_path, "version": __version__}) as partial:
        fingerprint, entries, summary = Fingerprint(schema.fingerprint), {}, {}
        for split in SPLITS:
            first, end = splits[split]
            chosen = [group for group in groups if first <= group["timestamp"][0] < end]
            path = os.path.join(partial.records, f"{schema.name}-{split}.tfrecord-00000-of-00001")
            with open(path, "wb") as file:
                written = tfrecord.write(file, (encode(schema, group) for group in chosen))
            fingerprint.begin(split)
            fingerprint.add(path)
            summary[split] = _summary(schema, chosen, written)
            entries[split] = split_entry([summary[split]], days_of(splits[split], utc_offset), schema)
        for name in (VOCABULARIES, "vectors"):
            if os.path.isdir(os.path.join(data_dir, name)):
                shutil.copytree(os.path.join(data_dir, name), os.path.join(partial.records, name), dirs_exist_ok=True)
        write_metadata(partial.records, schema, [summary], _ABOUT, SPLITS)
        write_json(os.path.join(partial.records, PREPARATION), {
            "dataset": schema.name, "schema_fingerprint": schema.fingerprint,
            "rows": {counts.file: counts.to_json()}, "warnings": warnings, "splits": entries,
            "utc_offset": utc_offset, "settings": {"requests": requests_path, "labels": labels_path},
            "fingerprint": fingerprint.digits})


def _labels(path: str, schema: FeatureSchema, requests: list[Values]
            ) -> tuple[dict[int, dict[int, dict[str, int]]], RowCounts]:
    """Request -> candidate -> label key -> 0 or 1, both from 1; and what became of the candidates and of the rows."""
    try:
        table = pd.read_parquet(path) if path.endswith(".parquet") else pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: labels that cannot be read: {error}") from error
    wanted = (REQUEST, CANDIDATE, *schema.label_keys)
    for name in wanted:
        if name not in table.columns:
            raise InputError(f"{path}: no column {name!r}; there are {', '.join(map(str, table.columns))}")
    found: dict[int, dict[int, dict[str, int]]] = {}
    for number, row in enumerate(table[list(wanted)].itertuples(index=False, name=None), start=1):
        values = dict(zip(wanted, row, strict=True))
        where = f"{path}, row {number}"
        for name, value in values.items():
            allowed = "0 or 1" if name in schema.label_keys else "a whole number"
            if not _is_whole(value) or (name in schema.label_keys and value not in (0, 1)):
                raise InputError(f"{where}, column {name}: expected {allowed}, got {value!r}")
        request, candidate = int(values[REQUEST]), int(values[CANDIDATE])
        if not 1 <= request <= len(requests):
            raise InputError(f"{where}, column {REQUEST}: expected 1 to {len(requests)}, got {request}")
        if not 1 <= candidate <= len(requests[request - 1]["timestamp"]):
            raise InputError(f"{where}, column {CANDIDATE}: expected 1 to {len(requests[request - 1]['timestamp'])}, "
                             f"the candidates of request {request}, got {candidate}")
        if candidate in found.setdefault(request, {}):
            raise InputError(f"{where}: candidate {candidate} of request {request} has a row already")
        found[request][candidate] = _consistent(schema, {key: int(values[key]) for key in schema.label_keys}, where)
    candidates = sum(len(request["timestamp"]) for request in requests)
    without = candidates - len(table)
    return found, RowCounts("candidates", len(table), {"without label": without} if without else {})


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Real) and value == value and abs(value) < 2**53 and int(value) == value


def _consistent(schema: FeatureSchema, labels: dict[str, int], where: str) -> dict[str, int]:
    keys = {label.name: label.key for label in schema.labels}
    for label in schema.labels:
        if label.given and labels[label.key] > labels[keys[label.given]]:
            raise InputError(f"{where}, column {label.key}: expected 0 where {keys[label.given]} is 0, got 1")
    return labels


def _groups(schema: FeatureSchema, requests: list[Values], labels: Mapping[int, Mapping[int, Mapping[str, int]]]
            ) -> Iterator[tuple[int, Values]]:
    """The records of the requests that have a label, with the requests' numbers."""
    users, impressions, _ = request_names(schema)
    key = user_feature(schema)
    rows = {feature.name: schema.tables[feature.table]
            for feature in (*schema.user, *schema.item, *schema.candidate, *schema.request)}
    shown = 0
    for number, request in enumerate(requests, start=1):
        candidates = sorted(labels.get(number, ()))
        if not candidates:
            continue
        user = request[key][0] if key else OOV_ID
        # Users without an id of their own are told apart by their requests.
        group = {"user_key": [user if user >= FIRST_ID else -number]}
        group |= {name: [_within(request[name][0], rows[name])] for name in users}
        for name in impressions:
            values = [request[name][candidate - 1] for candidate in candidates]
            group[name] = [_within(value, rows[name]) for value in values] if name in rows else values
        for members in schema.means.values():
            _once(group, members)
        for label in schema.label_keys:
            group[label] = [labels[number][candidate][label] for candidate in candidates]
        group["impression_id"] = list(range(shown, shown + len(candidates)))
        shown += len(candidates)
        for history in schema.histories:
            group[f"{history}_offset"] = [0] * len(candidates)
            context = {f"{history}_{feature.name}": schema.tables[feature.table]
                       for feature in (*schema.item, *schema.stored_context(history))}
            for name in schema.history_names(history):
                values = request[name][:schema.lengths[history]]
                group[name] = [_within(value, context[name]) for value in values] if name in context else values
        yield number, group


def _kept(schema: FeatureSchema, groups: Iterator[tuple[int, Values]], counts: RowCounts
          ) -> tuple[list[Values], RowCounts, list[str]]:
    """The records that keep the rules, what became of the candidates, and what is wrong with the others."""
    kept, wrong, candidates = [], [], 0
    for number, group in groups:
        if why := record_rules.objection(schema, encode(schema, group)):
            wrong.append(f"request {number}: {why}")
            candidates += len(group["timestamp"])
        else:
            kept.append(group)
    if not wrong:
        return kept, counts, []
    dropped = {**counts.dropped, "of a request that no record may be like": candidates}
    return (kept, RowCounts(counts.file, counts.used - candidates, dropped),
            [f"{len(wrong)} requests are left out, as no record may be like them; the first is {wrong[0]}"])


def _once(group: Values, members: Sequence[str]) -> None:
    """Makes each id that one of the features before has padding, user by user or candidate by candidate."""
    for place in range(len(group[members[0]])):
        seen: set[int] = set()
        for name in members:
            if group[name][place] in seen:
                group[name][place] = PADDING_ID
            seen.add(group[name][place])


def _within(value: int, rows: int) -> int:
    return value if 0 <= value < rows else OOV_ID


def _splits(groups: list[Values], utc_offset: int, warnings: list[str]) -> dict[str, tuple[int, int]]:
    """The last day is test, the one before it validation."""
    days = sorted({(group["timestamp"][0] + utc_offset) // DAY_SECONDS for group in groups})
    if len(days) < len(SPLITS):
        raise InputError("; ".join([
            f"labelled requests of {len(days)} days: training, validation and test need one each", *warnings]))
    starts = [day * DAY_SECONDS - utc_offset for day in (days[0], days[-2], days[-1], days[-1] + 1)]
    return splits_between(*starts)


def _summary(schema: FeatureSchema, groups: list[Values], written: int) -> dict[str, Any]:
    """What is in a split, as the preparation counts it."""
    sizes = [len(group["timestamp"]) for group in groups]
    positives = {label.name: sum(sum(group[label.key]) for group in groups) for label in schema.labels}
    return {"groups": len(groups), "impressions": sum(sizes), "largest_group": max(sizes), "bytes": written,
            "users": len({group["user_key"][0] for group in groups}),
            "clicks": positives.pop(schema.labels[0].name), "labels": positives}
