"""Mapping files of the formats that have readers of their own, for tests."""

from __future__ import annotations

import pathlib

from data_prep.config import PreparationConfig
from data_prep.industrial.config import TIME_GAP_BOUNDARIES
from data_prep.own_logs.config import OwnLogsConfig
from data_prep.own_logs.prepare import prepare

SMALL = PreparationConfig(short_length=5, lifelong_length=20, shards=2, memory_limit="500MB")

INDUSTRIAL = f"""
name = "industrial"
time_zone = "+08:00"
user = "user"
time = "timestamp"
time_gap = {list(TIME_GAP_BOUNDARIES)}
splits = {{ first_day = 2024-01-01, num_days = 7 }}
impressions = {{ files = "impressions.csv", label = "clicked", labels = {{ long_stay = "stay_seconds >= 30" }} }}
events = {{ files = "events.csv", domain = {{ column = "domain", target = "live", source = "video" }} }}
users = {{ files = "users.csv", key = "user" }}
[features]
user = {{ user_id = "user", gender = "gender", age_band = "age_band", city_level = "city_level" }}
item = {{ author = {{ column = "author", type = "integer" }}, category = "category" }}
candidate = {{ room_id = "room_id" }}
request = {{ page = "page" }}
[features.context]
watch = {{ column = "watch_seconds", boundaries = [1, 3, 7, 15, 30, 60, 120, 300, 600] }}
finished = {{ column = "finished", type = "integer" }}
"""


def prepared(folder: pathlib.Path, mapping: str, name: str = "prepared",
             preparation: PreparationConfig = SMALL) -> pathlib.Path:
    """Writes a mapping into the folder of its logs, and prepares them beside it."""
    path = folder / f"{name}.toml"
    path.write_text(mapping, encoding="utf-8")
    prepare("", str(folder.parent / name), OwnLogsConfig(str(path)), preparation)
    return folder.parent / name


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """The files that training reads: records, vocabularies, catalogue, schema."""
    others = ("LICENSE", "dataset_info.json", "preparation.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name not in others}
