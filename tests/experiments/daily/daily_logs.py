"""Small logs of some days, whose authors come and go, and the command on them."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np

from tests.data_prep.own_logs.small_events import DAY, EVENTS_ONLY, FIRST, write_events

DAYS = ("2024-01-02", "2024-01-03", "2024-01-04")
# Two of the parts, so that little is traced; dropout draws numbers in each step.
FLAGS = ("--model.short_term=mean", "--model.long_term=recent_k", "--model.objectives=", "--recent_k.top_k=3",
         "--recent_k.attention_dim=4", "--tower.input_dropout=0.2", "--embeddings.embedding_dim=4",
         "--data.short_length=4", "--data.lifelong_length=12", "--train.batch_size=64", "--train.checkpoint_every=3",
         "--ids.table_rows=author:64,user_id:50", "--ids.max_idle_days=2", "--prep.workers=1", "--keep=2")


def write_logs(folder, days=5, users=40):
    """Events of both domains from 2024-01-01 on; each day's authors are other ones than those of three days before."""
    rng, rows = np.random.default_rng(5), []
    for day in range(days):
        for user in range(users):
            for _ in range(8):
                author = f"a{rng.integers(12 * day, 12 * day + 30)}"
                kind = ("live", "video")[int(rng.random() < 0.6)]
                rows.append((f"u{user}", FIRST + day * DAY + int(rng.integers(DAY)), kind, author, 1.0))
    write_events(folder, sorted(rows, key=lambda row: row[1]))
    (folder / "logs.toml").write_text(f"{EVENTS_ONLY}\n[negatives]\nper_positive = 2\n", encoding="utf-8")
    return folder


def command(logs, workdir, last_day, *flags):
    """The command's words."""
    return [sys.executable, "-m", "experiments.daily", f"--mapping={logs / 'logs.toml'}", f"--workdir={workdir}",
            f"--first_day={DAYS[0]}", f"--last_day={last_day}", *FLAGS, *flags]


def run(logs, workdir, last_day, *flags):
    """The finished process, with what it printed."""
    return subprocess.run(command(logs, workdir, last_day, *flags), capture_output=True, text=True, check=False)


def contents(workdir):
    """Name -> bytes of every file of a series, but for what names a place or is drawn for each export."""
    found = {}
    for folder, _, names in os.walk(workdir):
        for name in names:
            path = os.path.join(folder, name)
            if name not in ("flags.cfg", "run.lock", "fingerprint.pb"):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, workdir)] = file.read()
    return found
