"""Small logs in the format of UserBehavior.csv, with the quirks of the real file."""

from __future__ import annotations

import pathlib

import numpy as np

from tests.data_prep.taobao_logs import second

Row = tuple[int, int, int, str, int]
FIRST = second(25, month=11)
DAY = 86_400
# Item -> category; item 41 is in two of them.
ITEMS = {item: 4_000 + 37 * (item % 23) for item in range(1, 90)}


def random_log(seed: int, users: int = 11, rows: int = 900) -> list[Row]:
    """Rows of nine days, users sorted as texts, each one's by time; seconds collide.

    There are exact duplicates, an item with two categories, and rows before and after the nine days. The last user
    appears on the test day only.
    """
    rng = np.random.default_rng(seed)
    moments = FIRST + rng.integers(0, 9 * DAY, 200)
    log: list[Row] = []
    for _ in range(rows):
        user, item = int(rng.integers(1, users)), int(rng.choice(list(ITEMS)))
        category = 4_999 if item == 41 and rng.random() < 0.5 else ITEMS[item]
        behaviour = str(rng.choice(["pv", "pv", "pv", "pv", "cart", "fav", "buy"]))
        log.append((user, item, category, behaviour, int(rng.choice(moments))))
    log += log[:25]  # exact duplicates
    log += [(1, 3, ITEMS[3], "pv", moment) for moment in (1_505_117_799, -5, 0, FIRST - 1, FIRST + 9 * DAY)]
    log += [(2, item, ITEMS[item], "pv", FIRST + day * DAY) for day in range(9) for item in (5, 7)]  # first seconds
    log += [(users + 5, item, ITEMS[item], "pv", FIRST + 8 * DAY + 60 * item) for item in ITEMS]
    log += [(3, 3, ITEMS[3], "share", FIRST + 5), (98, 5, ITEMS[5], "fav", FIRST + 9)]  # user 98 views nothing
    return sorted(log, key=lambda row: (str(row[0]), row[4]))


def write_log(directory: pathlib.Path, rows: list[Row], line_end: str = "\n") -> pathlib.Path:
    """Writes UserBehavior.csv; returns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    text = "".join(",".join(map(str, row)) + line_end for row in rows)
    (directory / "UserBehavior.csv").write_bytes(text.encode())
    return directory
