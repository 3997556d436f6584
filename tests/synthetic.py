"""A small made-up data set: a schema with every role, random request groups, and the folder preparation writes.

Sizes are different primes, so that no axis or table can stand in for another. A click depends on the parity of the
candidate's category, so that a model can learn something within a few hundred impressions.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence

import numpy as np

from lcn_tf.data.catalogue import Catalogue
from lcn_tf.schema import FIRST_ID, TIME_GAP, Feature, FeatureSchema, HistorySpec, usual_histories

Group = dict[str, list[int]]

HISTORIES = tuple(usual_histories())
LENGTHS = {"short_target": 5, "short_source": 7, "lifelong_source": 23}
GROUPS = {"train": 61, "validation": 13, "test": 17}
CLICK_PROBABILITY = (0.8, 0.2)  # of candidates with an even and an odd category id
MOMENT = 1_700_000_000


def make_schema(name: str = "synthetic", lengths: Mapping[str, int] = LENGTHS, time_gap: bool = True) -> FeatureSchema:
    """Two user, two item, one candidate, one request, one context feature, and the time gap by default."""
    boundaries = (60, 3_600, 86_400) if time_gap else ()
    tables = {"user": 43, "age": 5, "item": 61, "category": 11, "price": 7, "slot": 3, "behaviour": 6}
    if time_gap:
        tables[TIME_GAP] = FIRST_ID + len(boundaries) + 1
    return FeatureSchema(
        name=name, tables=tables, user=(Feature("user_id", "user"), Feature("age", "age")),
        item=(Feature("item_id", "item"), Feature("category", "category")), candidate=(Feature("price", "price"),),
        request=(Feature("slot", "slot"),), context=(Feature("behaviour", "behaviour"),),
        histories=histories_of(lengths), time_gap_boundaries=boundaries)


def histories_of(lengths: Mapping[str, int]) -> dict[str, HistorySpec]:
    """The usual histories, as long as given."""
    return {name: dataclasses.replace(history, length=lengths[name]) for name, history in usual_histories().items()}


def make_group(schema: FeatureSchema, rng: np.random.Generator, user_key: int, candidates: int,
               lengths: Mapping[str, int], offsets: bool = False, first_impression: int = 0) -> Group:
    """One random request group.

    Args:
      schema: of `make_schema`.
      rng: source of every draw.
      user_key: raw user.
      candidates: C.
      lengths: events of each history.
      offsets: hide a random number of the newest events from each candidate (0 otherwise).
      first_impression: impression id of the first candidate.
    """
    def ids(feature: Feature, size: int) -> list[int]:
        return rng.integers(1, schema.tables[feature.table], size).tolist()

    group: Group = {"user_key": [user_key]}
    group.update({feature.name: ids(feature, 1) for feature in schema.user})
    impressions = (*schema.item, *schema.candidate, *schema.request)
    group.update({feature.name: ids(feature, candidates) for feature in impressions})
    odd = np.array(group[schema.item[-1].name]) % 2
    first = schema.labels[0].key
    group[first] = (rng.random(candidates) < np.take(CLICK_PROBABILITY, odd)).astype(int).tolist()
    group["timestamp"] = [MOMENT] * candidates
    group["impression_id"] = list(range(first_impression, first_impression + candidates))
    for history in schema.histories:
        length, fields = lengths[history], (*schema.item, *schema.stored_context(history))
        group.update({f"{history}_{feature.name}": ids(feature, length) for feature in fields})
        group[f"{history}_timestamp"] = (MOMENT - np.cumsum(rng.integers(1, 20_000, length))).tolist()
        hidden = rng.integers(0, length + 1, candidates) if offsets else np.zeros(candidates, int)
        group[f"{history}_offset"] = hidden.tolist()
    for label in schema.labels[1:]:
        group[label.key] = (rng.integers(0, 2, candidates) * (group[first] if label.given else 1)).tolist()
    return group


def make_groups(schema: FeatureSchema, count: int, seed: int = 0, max_candidates: int = 5, offsets: bool = False,
                first_impression: int = 0) -> list[Group]:
    """Random request groups of 1 to `max_candidates` candidates and histories of random length.

    Of every five groups, the first has full histories, the second none, the third no source domain.
    """
    rng = np.random.default_rng(seed)
    groups: list[Group] = []
    for index in range(count):
        lengths = {history: int(rng.integers(0, schema.lengths[history] + 1)) for history in schema.histories}
        if index % 5 == 0:
            lengths = dict(schema.lengths)
        elif index % 5 == 1:
            lengths = dict.fromkeys(schema.histories, 0)
        elif index % 5 == 2:
            lengths.update(short_source=0, lifelong_source=0)
        candidates = int(rng.integers(1, max_candidates + 1))
        groups.append(make_group(schema, rng, 1_000 + index, candidates, lengths, offsets, first_impression))
        first_impression += candidates
    return groups


def catalogue(schema: FeatureSchema, items: int = 47, seed: int = 1) -> Catalogue:
    """Random items, different ones, of every domain of the schema."""
    rng = np.random.default_rng(seed)
    ends = [len(schema.domains), *(schema.tables[feature.table] for feature in schema.item)]
    drawn = np.stack([rng.integers(int(place > 0), end, items) for place, end in enumerate(ends)])
    domain, *ids = np.unique(drawn, axis=1)
    return Catalogue({feature.name: column for feature, column in zip(schema.item, ids, strict=True)}, domain,
                     rng.integers(1, 100, len(domain)))


def write_records(data_dir: str | os.PathLike[str], schema: FeatureSchema | None = None,
                  groups: Mapping[str, int | Sequence[Group]] | None = None, shards: int = 2, seed: int = 0,
                  max_candidates: int = 5, offsets: bool = False) -> dict[str, list[Group]]:
    """Writes a prepared data set, without the metadata that only TFDS reads.

    Args:
      data_dir: folder, created if need be.
      schema: `make_schema()` when absent.
      groups: split -> number of random groups, or the groups themselves; `GROUPS` when absent.
      shards: files of each split; groups are dealt out in turn.
      seed: of the random groups.
      max_candidates: of the random groups.
      offsets: whether the random groups hide events from candidates.

    Returns:
      split -> its groups.
    """
    import tensorflow as tf

    from lcn_tf.data import records

    schema = schema or make_schema()
    os.makedirs(os.path.join(data_dir, "vocabularies"), exist_ok=True)
    written: dict[str, list[Group]] = {}
    facts: dict[str, dict[str, int]] = {}
    impressions = 0
    for index, (split, wanted) in enumerate((groups or GROUPS).items()):
        if isinstance(wanted, int):
            wanted = make_groups(schema, wanted, seed + index, max_candidates, offsets, impressions)
        written[split] = list(wanted)
        for shard in range(shards):
            name = f"{schema.name}-{split}.tfrecord-{shard:05d}-of-{shards:05d}"
            with tf.io.TFRecordWriter(os.path.join(data_dir, name)) as writer:
                for group in written[split][shard::shards]:
                    writer.write(records.encode(schema, group))
        labels = [label for group in written[split] for label in group[schema.labels[0].key]]
        users = {group["user_key"][0] for group in written[split]}
        largest = max((len(group["timestamp"]) for group in written[split]), default=0)
        facts[split] = {"groups": len(written[split]), "impressions": len(labels), "clicks": sum(labels),
                        "users": len(users), "largest_group": largest}
        impressions += len(labels)
    _write_text(data_dir, "schema.json", schema.to_json())
    for table, rows in schema.tables.items():
        lines = (f"{table}_{row}\n" for row in range(FIRST_ID, rows))
        _write_text(data_dir, os.path.join("vocabularies", f"{table}.txt"), "".join(lines))
    preparation = {"dataset": schema.name, "settings": {"seed": seed}, "inputs": {}, "fingerprint": schema.fingerprint,
                   "rows": {}, "splits": facts}
    _write_text(data_dir, "preparation.json", json.dumps(preparation, indent=2))
    return written


def _write_text(data_dir: str | os.PathLike[str], name: str, text: str) -> None:
    with open(os.path.join(data_dir, name), "w", encoding="utf-8") as file:
        file.write(text)
