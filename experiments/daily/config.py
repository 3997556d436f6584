"""What days there are, where they go, and when a model may be published."""

from __future__ import annotations

import dataclasses

from data_prep.calendar_splits import calendar_day


@dataclasses.dataclass(frozen=True)
class DailyConfig:
    """Settings of a series of days; help texts are those of the flags."""

    mapping: str = dataclasses.field(
        default="logs.toml", metadata={"help": "mapping file of the logs (docs/own_logs.md); its splits are not read"})
    input_dir: str | None = dataclasses.field(
        default=None, metadata={"help": "folder from which the mapping names files; none: that of the mapping file"})
    workdir: str | None = dataclasses.field(
        default=None, metadata={"help": "the series: its days, published versions and figures; the same command goes "
                                        "on with it"})
    first_day: str | None = dataclasses.field(
        default=None, metadata={"help": "first day of a new series, a date"})
    first_days: int = dataclasses.field(
        default=1, metadata={"help": "days that a new series begins with, trained on together as if they were one"})
    last_day: str | None = dataclasses.field(
        default=None, metadata={"help": "last day to train on, a date; all days until then that are not done are"})
    keep: int = dataclasses.field(
        default=3, metadata={"help": "days whose published versions, weights and records are kept, at least 1"})
    min_auc: float = dataclasses.field(
        default=0.0, metadata={"help": "a version is published only if the AUC of its day, measured before training on "
                                       "it, is at least this"})
    calibration: tuple[float, ...] = dataclasses.field(
        default=(), metadata={"help": "and if predicted clicks over clicks of its day are within these two numbers, "
                                      "like 0.8,1.25; none: whatever they are"})

    def __post_init__(self):
        for name in ("workdir", "last_day"):
            if not getattr(self, name):
                raise ValueError(f"--{name} is missing")
        for name in ("first_day", "last_day"):
            if getattr(self, name):
                object.__setattr__(self, name, calendar_day(name, getattr(self, name)))
        if self.first_day and self.first_day > self.last_day:
            raise ValueError(f"last_day must not be before first_day {self.first_day}, got {self.last_day}")
        for name in ("keep", "first_days"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.min_auc <= 1:
            raise ValueError(f"min_auc must be from 0 to 1, got {self.min_auc}")
        if self.calibration and not (len(self.calibration) == 2 and 0 <= self.calibration[0] < self.calibration[1]):
            raise ValueError("calibration must be two rising numbers, like 0.8,1.25, got "
                             f"{','.join(map(str, self.calibration))}")
