"""Generated Taobao logs as Parquet files, and the mapping file that makes the reader's records of them."""

from __future__ import annotations

import os

import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from data_prep.taobao.config import PRICE_BOUNDARIES, PROFILE_FIELDS, TIME_GAP_BOUNDARIES, TaobaoConfig

_CATEGORIES = {"ad_feature": "cate_id", "behavior_log": "cate"}
_MAPPING = """\
name = "taobao_ad"
time_zone = "Asia/Shanghai"
user = "user"
time = "time_stamp"
time_gap = {gaps}
splits = {{ first_day = {first_day}, num_days = {num_days} }}
impressions = {{ files = "raw_sample.parquet", label = "clk", domain = {{ column = "cate_id", target = {targets} }} }}
events = {{ files = "behavior_log.parquet", domain = {{ column = "cate", target = {targets} }} }}
items = {{ files = "ad_feature.parquet", key = "adgroup_id" }}
users = {{ files = "user_profile.parquet", key = "userid" }}
[features]
user = {{ user_id = "user", {profile} }}
item = {{ cate = ["cate_id", "cate"], brand = "brand" }}
request = {{ pid = "pid" }}
context = {{ btag = "btag" }}
[features.candidate]
adgroup_id = "adgroup_id"
campaign_id = "campaign_id"
customer = "customer"
price_bucket = {{ column = "price", boundaries = {prices} }}
"""


def write(logs: str, folder: str) -> str:
    """Writes the four files of generated logs as Parquet, and a mapping file beside them.

    Args:
      logs: folder of the CSV files.
      folder: created if missing.

    Returns:
      Path of the mapping file.
    """
    os.makedirs(folder, exist_ok=True)
    config, categories = TaobaoConfig(), set[int]()
    for name in ("raw_sample", "ad_feature", "user_profile", "behavior_log"):
        table = pcsv.read_csv(os.path.join(logs, f"{name}.csv"))
        table = table.rename_columns([column.strip() for column in table.column_names])
        if name in _CATEGORIES:
            column = table[_CATEGORIES[name]]
            categories.update(pc.unique(column.filter(pc.less(column, config.target_category_below))).to_pylist())
        pq.write_table(table, os.path.join(folder, f"{name}.parquet"))
    targets = ", ".join(f'"{category}"' for category in sorted(categories))
    text = _MAPPING.format(
        gaps=list(TIME_GAP_BOUNDARIES), first_day=config.first_day, num_days=config.num_days, targets=f"[{targets}]",
        profile=", ".join(f'{name} = "{name}"' for name in PROFILE_FIELDS), prices=list(PRICE_BOUNDARIES))
    path = os.path.join(folder, "logs.toml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path
