"""Settings of the simulated world: whose users return, what a request offers and how a page is looked at."""

from __future__ import annotations

import dataclasses

import numpy as np

from data_prep.config import option
from data_prep.industrial.generator_config import HISTORY_DAYS, PRESETS, Process

_REFUSED = "; its law depends on what was shown before, or its logs have columns that are not simulated"


@dataclasses.dataclass(frozen=True)
class WorldConfig:
    """The users, the days before the test, the requests and the pages.

    Raises:
      ValueError: a preset that cannot be simulated, or a number outside its range; the message names the field.
    """

    preset: str = option("small", "preset of the generator of industrial logs, whose users return; how often they "
                         "visit a day is the preset's")
    num_users: int | None = option(None, "users, any number; none: the preset's")
    pre_days: int = option(10, "days of impressions before the test, at least 4: all users are served by chance; "
                           "models are trained on these days, and they give the covariates of the analysis")
    candidates: int = option(50, "rooms that a request offers, some of topics that the user likes (as a retrieval "
                             "stage would), the others of any")
    shown: int = option(8, "rooms on a page, the first ones of the ranking")
    examination_power: float | None = option(
        None, "users look at the room of rank r with probability r^-power, and never click what they do not look at; "
        "none: 1 / log2(1 + r)")

    def __post_init__(self):
        usable = [name for name, process in PRESETS.items() if not (process.fatigue or process.feedbacks)]
        if self.preset not in usable:
            raise ValueError(f"preset must be one of {', '.join(usable)}, got {self.preset!r}"
                             f"{_REFUSED if self.preset in PRESETS else ''}")
        for name, least in (("num_users", 1), ("pre_days", 4), ("candidates", 2), ("shown", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        rooms = PRESETS[self.preset].num_topics * PRESETS[self.preset].rooms
        if self.candidates > rooms:
            raise ValueError(f"candidates must be at most the {rooms} rooms that are open in the preset "
                             f"{self.preset}, got {self.candidates}")
        if self.shown > self.candidates:
            raise ValueError(f"shown must be at most candidates ({self.candidates}), got {self.shown}")
        if self.examination_power is not None and self.examination_power < 0:
            raise ValueError(f"examination_power must not be negative, got {self.examination_power}")

    @property
    def users(self) -> int:
        """Number of users."""
        return self.num_users or PRESETS[self.preset].num_users

    def process(self, days: int) -> Process:
        """The preset's process for the days before the test and `days` of it, at the preset's rates a day."""
        preset = PRESETS[self.preset]
        impression_days = self.pre_days + days
        longer = (HISTORY_DAYS + impression_days) / preset.log_days
        return dataclasses.replace(
            preset, impression_days=impression_days,
            visits_per_user=preset.visits_per_user * impression_days / preset.impression_days,
            background_video_events=preset.background_video_events * longer,
            background_live_events=preset.background_live_events * longer)

    def examination(self) -> np.ndarray:
        """`[shown]` probability that a user looks at the room of each rank."""
        rank = np.arange(1, self.shown + 1)
        if self.examination_power is None:
            return 1 / np.log2(1 + rank)
        return rank ** -float(self.examination_power)
