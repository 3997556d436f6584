"""The folder of a series of days.

| in the work folder             | what                                                                             |
|--------------------------------|----------------------------------------------------------------------------------|
| `settled.json`                 | what the first day decided for all others, the mapping and flags of its records  |
| `flags.cfg`                    | the flags of the series                                                          |
| `days/2026-01-31/day.json`     | what came of a day; the day is done where this folder is                         |
| `days/2026-01-31/records/`     | its records and vocabularies                                                     |
| `days/2026-01-31/history.csv`  | means of its training                                                            |
| `days/2026-01-31/model/`       | weights and optimiser after it                                                   |
| `days/.2026-02-01/`            | the day that is under way; of a first one, `asked.json` says what it depends on  |
| `published/20260131/`          | the versions for a server                                                        |
| `progress.csv`, `progress.png` | every day measured before it was trained on                                      |
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from datetime import date, timedelta
from typing import Any

from data_prep.calendar_splits import calendar_day
from data_prep.days.config import LastingIdsConfig
from data_prep.days.prepare_day import PreparedDay
from data_prep.own_logs.splitting import OneDay
from experiments.daily.config import DailyConfig
from lcn_tf import json_files
from lcn_tf.checkpoint_folder import latest_checkpoint
from lcn_tf.json_files import Optional
from lcn_tf.training import results

_DAYS, _PUBLISHED, _RECORDS, _MODEL, _EXPORT = "days", "published", "records", "model", "export"
_SETTLED, _DAY, _ASKED = "settled.json", "day.json", "asked.json"
_SHAPE = {"first_day": str, "first_days": int, "preset": Optional([str]), "utc_offset": Optional(int),
          "boundaries": Optional({str: [float]}), "mapping": Optional(dict),
          "flags": Optional([str])}  # of what is settled
_LASTING = (_DAY, "history.csv", _RECORDS, _MODEL, _EXPORT)  # of a day that is done


@dataclasses.dataclass(frozen=True)
class Series:
    """Where everything of a series is.

    Attributes:
      workdir: its folder.
      ids: sizes of its vocabularies.
    """

    workdir: str
    ids: LastingIdsConfig

    @property
    def settled(self) -> dict[str, Any] | None:
        """What `settle` wrote; None before the first day is prepared."""
        return results.read_json(os.path.join(self.workdir, _SETTLED), _SHAPE)

    def settle(self, facts: dict[str, Any]) -> None:
        """Keeps what the first day decides for all others."""
        results.write_json(os.path.join(self.workdir, _SETTLED), facts)

    def begin(self, day: str, asked: dict[str, Any]) -> None:
        """Makes the folder of a first day, before anything is settled: a preparation that was killed goes on there.

        What is under way of another beginning is removed.

        Args:
          day: the last of the first days.
          asked: all that these depend on, as JSON gives it back.
        """
        days, folder = os.path.join(self.workdir, _DAYS), self.folder(day)
        for name in os.listdir(days):
            if name.startswith(".") and results.read_json(os.path.join(days, name, _ASKED)) != asked:
                self.remove(os.path.join(days, name))
        os.makedirs(folder, exist_ok=True)
        results.write_json(os.path.join(folder, _ASKED), asked)

    @property
    def done(self) -> list[str]:
        """The days that are done, in order."""
        return sorted(name for name in os.listdir(os.path.join(self.workdir, _DAYS)) if not name.startswith("."))

    @property
    def has_progress(self) -> bool:
        """Whether a day is done, or the one under way has a checkpoint to continue from."""
        days = os.path.join(self.workdir, _DAYS)
        return bool(self.done) or any(latest_checkpoint(os.path.join(days, name, "checkpoints"))
                                      for name in os.listdir(days))

    def next_day(self, config: DailyConfig) -> OneDay | None:
        """The day to do next; None where all until the last are done.

        Raises:
          ValueError: a new series without a first day or whose first days go on behind the last, or other first days
            than those of the series.
        """
        asked = {"first_day": config.first_day, "first_days": config.first_days}
        begun = self.settled or asked
        if begun["first_day"] is None:
            raise ValueError(f"--first_day is missing: {self.workdir} holds no series of days yet")
        if config.first_day and any(begun[name] != value for name, value in asked.items()):
            raise ValueError(f"{self.workdir} holds a series that began with {begun['first_days']} days on "
                             f"{begun['first_day']}, not with {config.first_days} on {config.first_day}; choose "
                             "another --workdir")
        days = 1 if self.done else begun["first_days"]
        newest = date.fromisoformat(self.done[-1] if self.done else begun["first_day"])
        day = (newest + timedelta(1 if self.done else days - 1)).isoformat()
        if not self.done and day > config.last_day:
            raise ValueError(f"the first {days} days end on {day}, after --last_day={config.last_day}")
        boundaries = {name: tuple(found) for name, found in begun.get("boundaries", {}).items()}
        found = OneDay(day, days, not self.done, begun.get("utc_offset"), boundaries)
        return found if day <= config.last_day else None

    def prepared(self, day: str) -> PreparedDay:
        """The records of a day."""
        return PreparedDay(day, os.path.join(self.folder(day), _RECORDS), self.ids)

    @property
    def before(self) -> PreparedDay | None:
        """The newest day that is done."""
        return self.prepared(self.done[-1]) if self.done else None

    def folder(self, day: str) -> str:
        """Of a day that is done, or else of the day that is under way."""
        done = os.path.join(self.workdir, _DAYS, day)
        return done if os.path.isdir(done) else os.path.join(self.workdir, _DAYS, f".{day}")

    def model_dir(self, day: str) -> str:
        """Folder of the checkpoint with weights and optimiser after a day."""
        return os.path.join(self.folder(day), _MODEL)

    def export_dir(self, day: str) -> str:
        """Where a day's version is until it is published."""
        return os.path.join(self.folder(day), _EXPORT)

    def finish(self, day: str, outcome: dict[str, Any]) -> None:
        """Makes a day one that is done."""
        results.write_json(os.path.join(self.folder(day), _DAY), outcome)
        self._settle_down(day)

    def _settle_down(self, day: str) -> None:
        """Leaves of a day under way, whose outcome is written, what lasts, and gives it its name."""
        folder = self.folder(day)
        for name in sorted(set(os.listdir(folder)) - set(_LASTING)):
            self.remove(os.path.join(folder, name))
        os.rename(folder, os.path.join(self.workdir, _DAYS, day))

    def outcome(self, day: str) -> dict[str, Any]:
        """What came of a day that is done."""
        return json_files.read(os.path.join(self.folder(day), _DAY), {"measured": object, "refused": [str]})

    def tidy(self, keep: int) -> None:
        """Ends what a kill left undone: publishes what is to be and is not, removes what is older than `keep` days."""
        published, days = (os.path.join(self.workdir, name) for name in (_PUBLISHED, _DAYS))
        for folder in (published, days):
            os.makedirs(folder, exist_ok=True)
        for name in os.listdir(days):
            if name.startswith(".") and os.path.exists(os.path.join(days, name, _DAY)):
                self._settle_down(name[1:])
        done = self.done
        for day in done:
            name = version(day)
            ready = os.path.join(self.export_dir(day), name)
            if os.path.isdir(ready) and not self.outcome(day)["refused"]:
                os.rename(ready, os.path.join(published, name))
            if os.path.isdir(self.export_dir(day)) and not os.listdir(self.export_dir(day)):
                os.rmdir(self.export_dir(day))
        for name in sorted(name for name in os.listdir(published) if name.isdecimal())[:-keep]:
            self.remove(os.path.join(published, name))
        for day in done[:-keep]:
            for name in os.listdir(self.folder(day)):
                if name != _DAY:
                    self.remove(os.path.join(self.folder(day), name))

    def remove(self, path: str) -> None:
        """Removes a file or a folder; nobody sees half of a folder."""
        if not os.path.isdir(path):
            os.remove(path)
            return
        leaving = os.path.join(self.workdir, ".leaving")
        shutil.rmtree(leaving, ignore_errors=True)
        os.rename(path, leaving)
        shutil.rmtree(leaving)


def version(day: str) -> str:
    """The version of a day's model: its date as a number."""
    return calendar_day("day", day).replace("-", "")
