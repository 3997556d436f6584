"""The Taobao preparation as one would write it with pandas: everything in memory, a loop over requests.

The measure for `data_preparation`, and a second implementation for its test; the defaults of `python -m
data_prep.taobao` only. Run by itself: `python -m experiments.benchmarks.pandas_preparation LOGS OUTPUT_DIR`.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import pandas as pd

from data_prep.taobao.config import PRICE_BOUNDARIES, PROFILE_FIELDS, TaobaoConfig, describe
from lcn_tf.data.prepared_folder import SPLITS
from lcn_tf.schema import FIRST_ID, OOV_ID

SHORT, LIFELONG = 24, 500


def prepare(logs: str, output_dir: str) -> None:
    """Writes `{split}.tfrecord` files of request groups.

    Args:
      logs: folder of the four files.
      output_dir: created if missing.
    """
    import tensorflow as tf

    config = TaobaoConfig()
    splits = describe(config).splits
    shown, log, profiles = _tables(logs, config)
    shown = shown.merge(profiles, on="user", how="left")
    shown[list(PROFILE_FIELDS)] = shown[list(PROFILE_FIELDS)].fillna(-1).astype(np.int64)
    _encode(shown, log, profiles, splits["train"])

    users = log.groupby("user").indices
    times, is_target = log["time_stamp"].to_numpy(), log["is_target"].to_numpy()
    events = {name: log[name].to_numpy() for name in ("cate", "brand", "btag")}
    os.makedirs(output_dir, exist_ok=True)
    writers = {split: tf.io.TFRecordWriter(os.path.join(output_dir, f"{split}.tfrecord")) for split in SPLITS}
    names = ("cate", "brand", "adgroup_id", "campaign_id", "customer", "price_bucket", "pid")
    for (user, second), group in shown.groupby(["user", "time_stamp"]):
        group = group.sort_values("impression_id")
        record = {"user_key": [user], "user_id": [group["user_id"].iloc[0]]}
        record.update({name: [group[name].iloc[0]] for name in PROFILE_FIELDS})
        record.update({name: group[name] for name in names})
        record.update(label=group["clk"], timestamp=group["time_stamp"], impression_id=group["impression_id"])
        rows = users.get(user, np.zeros(0, np.int64))
        rows = rows[:np.searchsorted(times[rows], second)][::-1]
        domains = {True: rows[is_target[rows]], False: rows[~is_target[rows]]}
        for history, domain, length in (("short_target", True, SHORT), ("short_source", False, SHORT),
                                        ("lifelong_source", False, LIFELONG)):
            chosen = domains[domain][:length]
            record[f"{history}_offset"] = [0] * len(group)
            record[f"{history}_timestamp"] = times[chosen]
            record.update({f"{history}_{name}": values[chosen] for name, values in events.items()})
        split = next(split for split in SPLITS if splits[split][0] <= second < splits[split][1])
        features = {name: tf.train.Feature(int64_list=tf.train.Int64List(value=values))
                    for name, values in record.items()}
        writers[split].write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    for writer in writers.values():
        writer.close()


def _tables(logs: str, config: TaobaoConfig) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Used impressions with their ads, used events in order of time, and profiles."""
    shown, ads, profiles, log = (pd.read_csv(os.path.join(logs, f"{name}.csv"), skipinitialspace=True) for name in (
        "raw_sample", "ad_feature", "user_profile", "behavior_log"))
    profiles = profiles.rename(columns=str.strip).rename(columns={"userid": "user"})
    shown["impression_id"] = np.arange(len(shown))
    shown = shown.merge(ads.rename(columns={"cate_id": "cate"}), on="adgroup_id")
    first, end = config.splits["train"][0], config.splits["test"][1]
    shown = shown[shown["time_stamp"].between(first, end - 1)
                  & (shown["cate"] < config.target_category_below)].copy()
    shown["price_bucket"] = np.searchsorted(PRICE_BOUNDARIES, shown["price"], side="right")
    log = log[(log["time_stamp"] > 0) & (log["time_stamp"] < end)
              & log["user"].isin(shown["user"].unique())].copy()
    log["is_target"] = log["cate"] < config.target_category_below
    for table in (shown, log):
        table["brand"] = table["brand"].fillna(-1).astype(np.int64)
    return shown, log.sort_values(["user", "time_stamp"], kind="stable").reset_index(drop=True), profiles


def _encode(shown: pd.DataFrame, log: pd.DataFrame, profiles: pd.DataFrame, train: tuple[int, int]) -> None:
    """Replaces values by ids in place; vocabularies are counted on the training days."""
    shown["user_id"] = shown["user"]
    in_training = shown[shown["time_stamp"].between(train[0], train[1] - 1)]
    acted = log[log["time_stamp"] < train[1]]
    for name in ("user_id", *PROFILE_FIELDS, "cate", "brand", "adgroup_id", "campaign_id", "customer", "price_bucket",
                 "pid", "btag"):
        parts = [table[name] for table in (in_training, acted) if name in table]
        counts = pd.concat(parts).value_counts().sort_index().sort_values(ascending=False, kind="stable")
        ids = pd.Series(np.arange(len(counts)) + FIRST_ID, index=counts.index)
        for table in (shown, log):
            if name in table:
                table[name] = table[name].map(ids).fillna(OOV_ID).astype(np.int64)


if __name__ == "__main__":
    prepare(*sys.argv[1:])
