"""Data preparation in plain Python, group by group and event by event: slow, and easy to check by eye.

Records are compared as raw values (`OOV` for a value without an id), not as ids, so that the order of a vocabulary does
not matter here.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections import Counter

OOV = "OOV"
DAY = 86_400
PROFILE = ("cms_segid", "cms_group_id", "final_gender_code", "age_level", "pvalue_level", "shopping_level",
           "occupation", "new_user_class_level")
PRICES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000)


def taobao_tables(input_dir, day_starts, target_category_below=2000, row_set="target",
                  behaviors=("pv", "cart", "fav", "buy")):
    """Impressions, events and users of the four files, as lists of dicts of texts and ints.

    Args:
      day_starts: first second of each day used, and of the day after the last.
    """
    ads = {int(row["adgroup_id"]): row for row in _rows(input_dir, "ad_feature.csv")}
    impressions = []
    for number, row in enumerate(_rows(input_dir, "raw_sample.csv")):
        ad = ads.get(int(row["adgroup_id"]))
        if ad is None or not day_starts[0] <= int(row["time_stamp"]) < day_starts[-1]:
            continue
        if row_set != "all" and (int(ad["cate_id"]) < target_category_below) != (row_set == "target"):
            continue
        impressions.append({
            "user": int(row["user"]), "timestamp": int(row["time_stamp"]), "impression_id": number,
            "label": int(row["clk"]), "cate": ad["cate_id"], "brand": _integer(ad["brand"]),
            "adgroup_id": row["adgroup_id"],
            "campaign_id": ad["campaign_id"], "customer": ad["customer"], "pid": row["pid"],
            "price_bucket": str(sum(float(ad["price"]) >= price for price in PRICES))})
    users = {impression["user"]: {"user_id": str(impression["user"])} | dict.fromkeys(PROFILE, "-1")
             for impression in impressions}
    for row in _rows(input_dir, "user_profile.csv"):
        if int(row["userid"]) in users:
            users[int(row["userid"])] |= {name: _integer(row[name]) for name in PROFILE}
    events = []
    for number, row in enumerate(_rows(input_dir, "behavior_log.csv")):
        behaviour = "pv" if row["btag"] == "ipv" else row["btag"]
        moment = int(row["time_stamp"])
        if int(row["user"]) in users and 0 < moment < day_starts[-1] and behaviour in behaviors:
            domain = "target" if int(row["cate"]) < target_category_below else "source"
            if (row_set, domain) == ("source", "target"):
                continue
            events.append({"user": int(row["user"]), "timestamp": moment, "row": number, "domain": domain,
                           "cate": row["cate"], "brand": _integer(row["brand"]), "btag": behaviour})
    return impressions, events, users


def reference_records(impressions, events, users, roles, train_end, *, snapshot="request", gap=0, utc_offset=0,
                      short_length=24, lifelong_length=500, exclude_recent=False, min_count=1, deduplicate=False,
                      test_start=None, max_candidates=64, hash_bins=None, labels=("label",)):
    """Every record, as `{(user, moment): {feature: [raw values]}}`.

    A key of snapshot `user` is (user, first timestamp, number of the user's record).

    Args:
      roles: role -> column names (`user`, `item`, `candidate`, `request`, `context`).
      train_end: the second after the training days.
      test_start: first second of the test days; needed for snapshot `user`.
      hash_bins: gives hashed ids in place of raw values.
      labels: columns of the impressions.
    """
    if deduplicate:
        firsts = {}
        for event in sorted(events, key=lambda event: event["row"]):
            firsts.setdefault(tuple(value for key, value in event.items() if key != "row"), event)
        events = list(firsts.values())
    counts = {name: Counter() for role in roles.values() for name in role}
    shown = [name for role in ("item", "candidate", "request") for name in roles[role]]
    for impression in impressions:
        if impression["timestamp"] < train_end:
            for name in shown:
                counts[name][impression[name]] += 1
            for name in roles["user"]:
                counts[name][users[impression["user"]][name]] += 1
    acted = [*roles["item"], *roles["context"]]
    for event in events:
        if event["timestamp"] < train_end:
            for name in acted:
                counts[name][event[name]] += 1

    def known(name, value):
        if hash_bins:
            return hashed_id(value, hash_bins)
        return value if counts[name][value] >= min_count else OOV

    by_user = {}
    for event in sorted(events, key=lambda event: (event["timestamp"], event["row"]), reverse=True):
        by_user.setdefault((event["user"], event["domain"]), []).append(event)
    groups = {}
    for impression in sorted(impressions, key=lambda shown: (shown["timestamp"], shown["impression_id"])):
        user, moment = impression["user"], impression["timestamp"]
        if snapshot == "day":
            moment = (moment + utc_offset) // DAY * DAY - utc_offset
        cutoff = moment - gap
        key = user, moment
        if snapshot == "user":
            split = (moment >= train_end) + (moment >= test_start)
            key = next((key for key, group in groups.items() if key[0] == user and key[3] == split
                        and len(group) < max_candidates), (user, moment, len(groups), split))
        groups.setdefault(key, []).append((impression, cutoff))
    records = {}
    for (user, moment, *number), group in groups.items():
        record = {"user_key": [user]}
        record |= {name: [known(name, users[user][name])] for name in roles["user"]}
        record |= {name: [known(name, impression[name]) for impression, _ in group] for name in shown}
        for name in (*labels, "timestamp", "impression_id"):
            record[name] = [impression[name] for impression, _ in group]
        for history, domain, skipped, length in (
                ("short_target", "target", 0, short_length), ("short_source", "source", 0, short_length),
                ("lifelong_source", "source", short_length if exclude_recent else 0, lifelong_length)):
            all_events = by_user.get((user, domain), [])
            windows = []
            for _, cutoff in group:
                visible = [place for place, event in enumerate(all_events) if event["timestamp"] < cutoff]
                windows.append(visible[skipped:skipped + length])
            seen = sorted(set().union(*windows))
            stored = all_events[seen[0]:seen[-1] + 1] if seen else []
            record[f"{history}_offset"] = [window[0] - seen[0] if window else len(stored) for window in windows]
            record[f"{history}_timestamp"] = [event["timestamp"] for event in stored]
            record |= {f"{history}_{name}": [known(name, event[name]) for event in stored] for name in acted}
        records[(user, moment, *number[:1])] = record
    return records


def hashed_id(value, bins):
    """The id of a raw value with hashed vocabularies."""
    return 2 + int(hashlib.md5(value.encode()).hexdigest()[:13], 16) % bins


def read_records(data_dir, split):
    """The records of a prepared split in the order of their files, ids turned back into raw values unless hashed."""
    import tensorflow as tf

    from lcn_tf.schema import FIRST_ID, FeatureSchema
    from tests.synthetic import HISTORIES

    schema = FeatureSchema.load(data_dir)
    tables = {}
    for feature in (*schema.user, *schema.item, *schema.candidate, *schema.request):
        tables[feature.name] = feature.table
    for history in HISTORIES:
        tables |= {f"{history}_{feature.name}": feature.table for feature in (*schema.item, *schema.context)}
    values = {}
    for table in set(tables.values()):
        path = os.path.join(data_dir, "vocabularies", f"{table}.txt")
        if not os.path.exists(path):  # hashed
            values[table] = range(schema.tables[table])
            continue
        with open(path, encoding="utf-8") as file:
            values[table] = ["PADDING", OOV, *file.read().splitlines()]
        if len(values[table]) != schema.tables[table] or FIRST_ID != 2:
            raise ValueError(f"vocabulary {table} has {len(values[table])} rows, schema {schema.tables[table]}")
    records = []
    files = sorted(name for name in os.listdir(data_dir) if name.startswith(f"{schema.name}-{split}.tfrecord"))
    for file in files:
        for serialized in tf.data.TFRecordDataset(os.path.join(data_dir, file)).as_numpy_iterator():
            features = tf.train.Example.FromString(serialized).features.feature
            if sorted(features) != sorted(schema.record_names):
                raise ValueError(f"{file}: a record has the features {sorted(features)}")
            record = {name: list(feature.int64_list.value) for name, feature in features.items()}
            for name, table in tables.items():
                record[name] = [values[table][number] for number in record[name]]
            records.append(record)
    return records


def read_catalogue(data_dir):
    """The items of the catalogue: (place of the domain, raw values) -> count."""
    from lcn_tf.data.catalogue import Catalogue
    from lcn_tf.schema import FeatureSchema

    schema = FeatureSchema.load(data_dir)
    found, columns = Catalogue.read(str(data_dir), schema), []
    for feature in schema.item:
        with open(os.path.join(data_dir, "vocabularies", f"{feature.table}.txt"), encoding="utf-8") as file:
            values = ["PADDING", OOV, *file.read().splitlines()]
        columns.append([values[number] for number in found.ids[feature.name]])
    items = list(zip(found.domain.tolist(), *columns, strict=True))
    if len(set(items)) < len(items):
        raise ValueError("an item is there twice")
    return dict(zip(items, found.count.tolist(), strict=True))


def read_preparation(data_dir):
    """`preparation.json` of a prepared data set."""
    with open(os.path.join(data_dir, "preparation.json"), encoding="utf-8") as file:
        return json.load(file)


def _rows(input_dir, name):
    with open(os.path.join(input_dir, name), encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    return [dict(zip([cell.strip() for cell in lines[0]], cells, strict=True)) for cells in lines[1:]]


def _integer(text):
    """Canonical text of an integer cell; a missing one is -1."""
    return "-1" if text in ("", "NULL") else str(int(float(text)))
