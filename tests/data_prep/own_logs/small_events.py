"""A small log of events of both domains, its mapping, and what is in the records made of it, for tests."""

from __future__ import annotations

import numpy as np

from tests import references_data

DAY = 86_400
FIRST = 1_704_067_200  # 2024-01-01, UTC
SPLITS = ("train", "validation", "test")

EVENTS_ONLY = """
user = "user"
time = "at"
events = { files = "events.csv", domain = { column = "kind", target = "live", source = "video" } }
[features]
user = { user_id = "user" }
item = { author = "author" }
"""


def write_events(folder, rows, header="user,at,kind,author,seconds", name="events.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(f"{line}\n" for line in (header, *(",".join(map(str, row)) for row in rows))),
                               encoding="utf-8")
    return folder


def random_events(seed, rows=600, users=9, days=8):
    rng = np.random.default_rng(seed)
    return [(f"u{rng.integers(users)}", FIRST + int(rng.integers(days * DAY)),
             ["live", "video"][int(rng.random() < 0.6)], f"a{rng.integers(30)}", round(float(rng.exponential(20)), 1))
            for _ in range(rows)]


def records(folder):
    return {split: references_data.read_records(folder, split) for split in SPLITS}


def vocabulary(folder, name):
    return (folder / "vocabularies" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
