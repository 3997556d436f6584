"""A sample for docs/own_logs.md: `python -m data_prep.own_logs.sample --output_dir=site`.

The industrial generator's users and clicks, written as a site of its own might: Parquet by day with milliseconds and
users as texts, packed text files with local times, no column that says "clicked".
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence

import pandas as pd
from absl import app, flags

from command_line import flag_files
from data_prep.industrial.generator import generate
from data_prep.industrial.generator_config import GeneratorConfig

_ZONE = "Asia/Shanghai"
_USERS = 400


def write_sample(output_dir: str, users: int = _USERS, workers: int | None = None) -> None:
    """Writes `shown/dt=.../rooms.parquet`, `entered.parquet`, `plays.csv.gz` and `members.csv`.

    Args:
      output_dir: created if missing; files of the same names are replaced.
      users: their number.
      workers: processes; None for one for each processor.

    Raises:
      OSError: `output_dir` cannot be written.
    """
    os.makedirs(output_dir, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output_dir) as folder:
        generate(folder, GeneratorConfig(preset="small", num_users=users), workers)
        shown, events, members = (pd.read_csv(os.path.join(folder, f"{name}.csv"), dtype={"user": str})
                                  for name in ("impressions", "events", "users"))
    for table in (shown, events, members):
        table["user"] = "m" + table["user"]
    days = pd.to_datetime(shown["timestamp"], unit="s", utc=True).dt.tz_convert(_ZONE).dt.date.astype(str)
    rooms = pd.DataFrame({
        "member": shown["user"], "at_ms": shown["timestamp"] * 1_000, "live": shown["room_id"], "host": shown["author"],
        "topic": shown["category"], "tab": shown["page"], "stayed": shown["stay_seconds"].fillna(0.0)})
    for day, part in rooms.groupby(days):
        os.makedirs(os.path.join(output_dir, "shown", f"dt={day}"), exist_ok=True)
        part.to_parquet(os.path.join(output_dir, "shown", f"dt={day}", "rooms.parquet"), index=False)
    is_live = events["domain"] == "live"
    entered = events[is_live]
    pd.DataFrame({"member": entered["user"], "at": pd.to_datetime(entered["timestamp"], unit="s", utc=True),
                  "host": entered["author"], "topic": entered["category"], "seconds": entered["watch_seconds"]}
                 ).to_parquet(os.path.join(output_dir, "entered.parquet"), index=False)
    played = events[~is_live]
    local = pd.to_datetime(played["timestamp"], unit="s", utc=True).dt.tz_convert(_ZONE).dt.tz_localize(None)
    pd.DataFrame({"when": local, "member": played["user"], "creator": played["author"], "topic": played["category"],
                  "seconds": played["watch_seconds"]}).to_csv(
        os.path.join(output_dir, "plays.csv.gz"), index=False, sep=";")
    members.rename(columns={"user": "id", "city_level": "city"}).to_csv(
        os.path.join(output_dir, "members.csv"), index=False)


def main(argv: Sequence[str]) -> None:
    """Writes the sample and lists its files; exits with 1 where that cannot be done."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {list(argv[1:])}")
    output_dir = flags.FLAGS.output_dir
    try:
        write_sample(output_dir, flags.FLAGS.users)
    except OSError as error:
        sys.exit(f"error: output_dir {output_dir} cannot be written: {error}")
    for folder, _, names in sorted(os.walk(output_dir)):
        for name in sorted(names):
            print(os.path.relpath(os.path.join(folder, name), output_dir))


if __name__ == "__main__":
    flags.DEFINE_string("output_dir", None, "directory of the sample; created if missing", required=True)
    flags.DEFINE_integer("users", _USERS, "number of users", lower_bound=20)
    app.run(main, flags_parser=flag_files.parse_or_exit)
