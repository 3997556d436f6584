"""Settings of the preparation of industrial-style logs, and the roles of their columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Literal

from data_prep.calendar_splits import calendar_day, calendar_splits
from data_prep.config import option
from data_prep.description import DatasetDescription
from lcn_tf.schema import CLICK, Feature, Label

PROFILE_FIELDS = ("gender", "age_band", "city_level")

LONG_STAY = Label("long_stay", given="click")

AUTHOR = "author"  # whose texts there may be
# Columns that files may have: of impressions, and of events.
SCENARIO, FEEDBACK = "scenario", "feedback"

# Seconds at which watching (of a video) and staying (in a room) are cut: a glance, a clip, a film.
WATCH_BOUNDARIES = (1, 3, 7, 15, 30, 60, 120, 300, 600)

# Powers of four from one minute to 45 days.
TIME_GAP_BOUNDARIES = tuple(60 * 4**power for power in range(9))

ABOUT = {
    "description": "Live rooms shown to users of a video platform and their clicks, as request groups: rooms as "
                   "candidates, rooms entered and videos watched as histories (with row_set=source, videos as both).",
    "homepage": "https://arxiv.org/abs/2312.06424",
    "citation": "R. Hou et al. 2024. Cross Domain LifeLong Sequential Modeling for Online Click-Through Rate "
                "Prediction. KDD 2024. https://arxiv.org/abs/2312.06424",
    "license": "that of the logs; generated ones: Apache-2.0",
}


@dataclasses.dataclass(frozen=True)
class IndustrialConfig:
    """Which days are used, where a day begins, and what the candidates are.

    Raises:
      ValueError: a value outside its range; the message names the setting.
    """

    first_day: str = option("2024-01-01", "first day whose impressions are used")
    num_days: int = option(
        7, "days used from first_day on: the last is test, the one before it validation, the others train")
    utc_offset_hours: float = option(8, "hours that the days' clock is ahead of UTC, such as 5.5 or -3")
    row_set: Literal["target", "source"] = option(
        "target", "impressions of live rooms (target), or a single domain: videos shown, of video_impressions.csv, and "
        "videos watched alone (source)")
    long_stay_seconds: int = option(
        0, "a second label, long_stay: clicked, and stayed (with row_set=source: watched) for at least this many "
        "seconds; 0: no such label", later=True)

    def __post_init__(self):
        if self.row_set not in ("target", "source"):
            raise ValueError(f"row_set must be target or source, got {self.row_set!r}")
        if self.long_stay_seconds < 0:
            raise ValueError(f"long_stay_seconds must be at least 0, got {self.long_stay_seconds}")
        if not -12 <= self.utc_offset_hours <= 14 or self.utc_offset_hours * 4 % 1:
            raise ValueError("utc_offset_hours must be between -12 and 14, in quarters of an hour, got "
                             f"{self.utc_offset_hours}")
        if self.utc_offset_hours == int(self.utc_offset_hours):  # written as ever, so that fingerprints stay
            object.__setattr__(self, "utc_offset_hours", int(self.utc_offset_hours))
        object.__setattr__(self, "first_day", calendar_day("first_day", self.first_day))
        calendar_splits(self.first_day, self.num_days, self.utc_offset)

    @property
    def utc_offset(self) -> int:
        """Seconds to add to UTC before cutting days."""
        return int(self.utc_offset_hours * 3_600)

    @property
    def splits(self) -> Mapping[str, tuple[int, int]]:
        """Split -> its first second and the second after its last, UTC."""
        return calendar_splits(self.first_day, self.num_days, self.utc_offset)


def describe(config: IndustrialConfig, further: Collection[str] = ()) -> DatasetDescription:
    """Roles and splits of the prepared data set; `further`: which of `SCENARIO` and `FEEDBACK` its files have."""
    scenario, feedback = ((name,) if name in further else () for name in (SCENARIO, FEEDBACK))
    return DatasetDescription(
        name="industrial",
        user=_features("user_id", *PROFILE_FIELDS),
        item=_features(AUTHOR, "category"),
        candidate=_features("room_id") if config.row_set == "target" else (),
        request=_features("page", *scenario),
        context=_features("watch", "finished", *feedback),
        time_gap_boundaries=TIME_GAP_BOUNDARIES,
        splits=config.splits,
        utc_offset=config.utc_offset,
        about=ABOUT,
        labels=(CLICK, LONG_STAY) if config.long_stay_seconds else (CLICK,),
        scenario=SCENARIO if scenario else None)


def _features(*names: str) -> tuple[Feature, ...]:
    return tuple(Feature(name, name) for name in names)
