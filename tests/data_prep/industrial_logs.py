"""Small industrial-style logs for tests: rows as lists of cells, with missing cells, equal seconds and odd rows."""

from __future__ import annotations

import csv
import datetime
import pathlib

import numpy as np

HEADERS = {
    "impressions.csv": ["user", "timestamp", "room_id", "author", "category", "page", "clicked", "stay_seconds"],
    "events.csv": ["user", "timestamp", "domain", "author", "category", "watch_seconds", "finished"],
    "users.csv": ["user", "gender", "age_band", "city_level"],
    "video_impressions.csv": ["user", "timestamp", "author", "category", "page", "clicked", "watch_seconds"],
}
# Of each `row_set`, the file of impressions and the domains of its events.
SHOWN = {"target": ("impressions.csv", ("live", "video")), "source": ("video_impressions.csv", ("video",))}
WATCH = (1, 3, 7, 15, 30, 60, 120, 300, 600)
PROFILE = ("gender", "age_band", "city_level")
Logs = dict[str, list[list]]


def second(day: int, hour: int = 0, minute: int = 0, hours_ahead: int = 8) -> int:
    """Seconds UTC of a moment of January 2024 on a clock ahead of UTC."""
    zone = datetime.timezone(datetime.timedelta(hours=hours_ahead))
    return int(datetime.datetime(2024, 1, 1, hour, minute, tzinfo=zone).timestamp()) + (day - 1) * 86_400


def write_logs(directory: pathlib.Path, logs: Logs, line_end: str = "\n", headers=HEADERS) -> pathlib.Path:
    """Writes the files; returns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, rows in logs.items():
        lines = [headers[name], *rows]
        text = "".join(",".join(str(cell) for cell in line) + line_end for line in lines)
        (directory / name).write_bytes(text.encode())
    return directory


def random_logs(seed: int, users: int = 7, pages: int = 50, events: int = 400) -> Logs:
    """Random logs whose seconds collide often; user 3 has no events, user 5 no profile."""
    rng = np.random.default_rng(seed)
    moments = [second(day, int(rng.integers(24)), int(rng.integers(60))) for day in range(1, 8) for _ in range(4)]
    rooms = [[100 + room, 40 + room % 5, ["games", "music", "", "NULL"][room % 4]] for room in range(12)]
    shown = [(int(rng.integers(1, users + 1)), int(rng.choice(moments))) for _ in range(pages)]
    shown += [(1, second(day, 12)) for day in range(9)]
    impressions = []
    for user, moment in shown:
        for room in rng.choice(12, 3, replace=False).tolist():
            clicked = int(rng.random() < 0.3)
            stay = round(float(rng.exponential(40.0)), 1) if clicked else rng.choice(["", "0"])
            impressions.append([user, moment, *rooms[room], rng.choice(["feed", "live", ""]), clicked, stay])
    impressions.append([2, 0, *rooms[0], "feed", 0, 0])
    impressions.append([users + 2, second(7, 7), *rooms[1], "feed", 1, 5])  # a user of the test day only
    log = []
    for _ in range(events):
        user = int(rng.integers(1, users + 3))
        moment = int(rng.choice(moments)) - int(rng.choice([0, 0, 1, 60, 86_400, 900_000]))
        author = rng.choice([38, 39, 40, 41, 42, "", "NULL", "43.0"])
        watched = rng.choice([0, 0.5, 1, 2.9, 3, 14, 15, 599, 600, 7_000, ""])
        live = [moment, "live", author, rng.choice(["games", "music", ""]), watched, ""]
        video = [moment, "video", author, rng.choice(["cats", "news", ""]), watched, rng.choice([0, 1, "1.0", ""])]
        log.append([4 if user == 3 else user, *(live if rng.random() < 0.4 else video)])
    log += [list(row) for row in log[:17]]
    for column, value in ((3, 77), (4, "dance"), (5, 4), (6, "")):  # almost the same rows
        log += [[*row[:column], value, *row[column + 1:]] for row in log[:5]]
    log += [[1, -5, "video", 38, "cats", 1, 0], [1, second(3), "search", 38, "cats", 1, 0],
            [1, second(8), "video", 38, "cats", 1, 0], [2, second(6, 1), "video", 99, "late", 1, 0]]
    profiles = [[user, "fm"[user % 2], ["18-24", "", "NULL"][user % 3], 1 + user % 4]
                for user in range(1, users + 1) if user != 5]
    profiles += [[users + 70, "f", "", 1], [2, "f", "50+", 4]]  # a stranger, and a user listed again
    # The videos' authors and categories are those of the events, and users 6 and 7 are shown none.
    videos = [[user % 5 + 1, moment, 38 + room % 6, ["cats", "news", "", "NULL"][room % 4], *rest]
              for user, moment, room, _, _, *rest in impressions]
    return {"impressions.csv": _shuffled(rng, impressions), "events.csv": _shuffled(rng, log), "users.csv": profiles,
            "video_impressions.csv": _shuffled(rng, videos)}


def with_further(logs: Logs) -> tuple[Logs, dict[str, list[str]]]:
    """Logs with the columns and the file that they may have, and their headers."""
    cells = {"impressions.csv": ("scenario", ["home", "", "nearby", "NULL", "home"]),
             "events.csv": ("feedback", ["watch", "like", "", "watch", "follow", "NULL", "watch"])}
    further = {name: [[*row, values[number % len(values)]] for number, row in enumerate(logs[name])]
               for name, (_, values) in cells.items()}
    texts = [[author, f"{('cat', 'dog')[author % 2]} videos{' daily' * (author % 3)}"]
             for author in (*range(36, 46), 9)]
    headers = {**HEADERS, **{name: [*HEADERS[name], column] for name, (column, _) in cells.items()},
               "item_texts.csv": ["id", "text"]}
    return {**logs, **further, "item_texts.csv": texts}, headers


def long_stay(row, seconds):
    """The second label of a row of either file of impressions."""
    stayed = row.get("stay_seconds", row.get("watch_seconds"))
    return int(row["clicked"] == "1" and stayed not in ("", "NULL") and float(stayed) >= seconds)


def plain_tables(input_dir, first, end, row_set="target", long_stay_seconds=0):
    """Impressions, events and users of the files in plain Python, for `references_data.reference_records`.

    Args:
      input_dir: the folder.
      first, end: first second of the days used, and the second after their last.
      row_set, long_stay_seconds: as in `IndustrialConfig`.
    """
    shown, domains = SHOWN[row_set]
    impressions = []
    for number, row in enumerate(_rows(input_dir, shown)):
        if first <= int(row["timestamp"]) < end:
            impressions.append({
                "user": int(row["user"]), "timestamp": int(row["timestamp"]), "impression_id": number,
                "label": int(row["clicked"]), "author": _integer(row["author"]), "category": _text(row["category"]),
                "page": _text(row["page"]), **({"room_id": row["room_id"]} if row_set == "target" else {}),
                **({"long_stay": long_stay(row, long_stay_seconds)} if long_stay_seconds else {})})
    users = {impression["user"]: {"user_id": str(impression["user"])} | dict.fromkeys(PROFILE, "-1")
             for impression in impressions}
    listed = set()
    for row in _rows(input_dir, "users.csv"):
        user = int(row["user"])
        if user in users and user not in listed:
            users[user] |= {name: _text(row[name]) for name in PROFILE}
        listed.add(user)
    events = []
    for number, row in enumerate(_rows(input_dir, "events.csv")):
        moment = int(row["timestamp"])
        if int(row["user"]) in users and 0 < moment < end and row["domain"] in domains:
            watched = _text(row["watch_seconds"])
            bucket = "-1" if watched == "-1" else str(sum(float(watched) >= boundary for boundary in WATCH))
            events.append({"user": int(row["user"]), "timestamp": moment, "row": number, "seconds": watched,
                           "domain": "target" if row["domain"] == "live" else "source",
                           "author": _integer(row["author"]), "category": _text(row["category"]), "watch": bucket,
                           "finished": _integer(row["finished"])})
    return impressions, events, users


def _rows(input_dir, name):
    with open(input_dir / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _text(cell):
    return "-1" if cell in ("", "NULL") else cell


def _integer(cell):
    return "-1" if cell in ("", "NULL") else str(int(float(cell)))


def _shuffled(rng, rows):
    return [rows[index] for index in rng.permutation(len(rows))]
