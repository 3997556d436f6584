"""Small Taobao-format logs for tests: rows as lists of cell texts, in all the quirks of the real files."""

from __future__ import annotations

import datetime
import pathlib

import numpy as np

HEADERS = {
    "raw_sample.csv": ["user", "time_stamp", "adgroup_id", "pid", "nonclk", "clk"],
    "ad_feature.csv": ["adgroup_id", "cate_id", "campaign_id", "customer", "brand", "price"],
    "user_profile.csv": ["userid", "cms_segid", "cms_group_id", "final_gender_code", "age_level", "pvalue_level",
                         "shopping_level", "occupation", "new_user_class_level "],
    "behavior_log.csv": ["user", "time_stamp", "btag", "cate", "brand"],
}
Logs = dict[str, list[list]]


def second(day: int, hour: int = 0, minute: int = 0, moment: int = 0, year: int = 2017, month: int = 5) -> int:
    """Seconds UTC of a moment of May 2017 on a clock of UTC+8."""
    zone = datetime.timezone(datetime.timedelta(hours=8))
    return int(datetime.datetime(year, month, day, hour, minute, moment, tzinfo=zone).timestamp())


def write_logs(directory: pathlib.Path, logs: Logs, line_end: str = "\n", headers=HEADERS) -> pathlib.Path:
    """Writes the files; returns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, rows in logs.items():
        lines = [headers[name], *rows]
        text = "".join(",".join(str(cell) for cell in line) + line_end for line in lines)
        (directory / name).write_bytes(text.encode())
    return directory


def random_logs(seed: int, users: int = 7, pages: int = 60, events: int = 400) -> Logs:
    """Random logs whose seconds collide often: page loads, events of the same second, duplicates, odd cells.

    Every split has a target-domain impression; user 3 has no events, user 5 no profile, and
    the last user is not seen in training.
    """
    rng = np.random.default_rng(seed)
    moments = [second(day, int(rng.integers(24)), int(rng.integers(60)), int(rng.integers(60)))
               for day in range(6, 14) for _ in range(5)]
    moments += [second(day) for day in range(6, 14)]
    ads = [[ad, 100 + 7 * (ad % 5) if ad % 3 else 2000 + 11 * (ad % 4), 1 + ad % 7, 1 + ad % 3,
            "NULL" if ad % 4 == 1 else f"{30 + ad % 6}.0" if ad % 4 == 2 else 30 + ad % 6,
            f"{0.5 * 3 ** (ad % 9):.2f}"] for ad in range(1, 20)]
    pages_shown = [(int(rng.integers(1, users + 1)), int(rng.choice(moments))) for _ in range(pages)]
    pages_shown += [(1, second(day, 12)) for day in range(6, 13)]
    impressions = []
    for user, moment in pages_shown:
        for ad in (*rng.choice(np.arange(1, 20), rng.choice([3, 5]), replace=False).tolist(), 1):
            click = int(rng.random() < 0.3)
            impressions.append([user, moment, ad, str(rng.choice(["430548_1007", "430539_1007"])), 1 - click, click])
    impressions.append([2, second(7, 3), 99, "430548_1007", 1, 0])  # an ad that ad_feature does not have
    impressions.append([users + 2, second(12, 7), 1, "430548_1007", 1, 0])  # a user of the test day only
    impressions.append([2, 0, 1, "430548_1007", 1, 0])
    log = []
    for _ in range(events):
        user = int(rng.integers(1, users + 3))
        cate = int(rng.choice([100, 107, 121, 1999, 2000, 2011, 2022, 5000]))
        moment = int(rng.choice(moments)) - int(rng.choice([0, 0, 1, 60, 86_400, 900_000]))
        log.append([4 if user == 3 else user, moment, str(rng.choice(["pv", "ipv", "cart", "fav", "buy"])), cate,
                    int(rng.integers(30, 40))])
    log += [list(row) for row in log[:17]]
    for column, value in ((2, "fav"), (3, 2044), (4, 44)):  # almost the same rows
        log += [[*row[:column], value, *row[column + 1:]] for row in log[:5]]
    log += [[1, second(11, 1), "pv", 3000, 50], [2, second(11, 1), "pv", 1000, 51]]  # not seen in training
    log += [[1, -5, "pv", 100, 31], [1, 0, "pv", 100, 31], [1, second(7), "seen", 100, 31]]
    profiles = [[user, user % 4, user % 3, 1 + user % 2, user % 7, "" if user % 2 else user % 3, 1 + user % 3, user % 2,
                 "" if user % 3 == 1 else 1 + user % 4] for user in range(1, users + 1) if user != 5]
    profiles.append([users + 70, 0, 0, 1, 0, "", 1, 0, ""])
    return {"raw_sample.csv": _shuffled(rng, impressions), "ad_feature.csv": _shuffled(rng, ads),
            "user_profile.csv": profiles, "behavior_log.csv": _shuffled(rng, log)}


def _shuffled(rng, rows):
    return [rows[index] for index in rng.permutation(len(rows))]
