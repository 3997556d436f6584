"""Settings of the generator of industrial-style logs: what a run asks for, and the sizes and process of each preset."""

from __future__ import annotations

import dataclasses
from typing import Literal

from data_prep.config import option

HISTORY_DAYS = 28  # of events before the first impression

# What the generator calls the file of true click probabilities of each `IndustrialConfig.row_set`.
TRUE_PROBABILITY_FILES = {"target": "true_probability.csv", "source": "true_probability_videos.csv"}


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """What to generate.

    Raises:
      ValueError: an unknown preset, or a number outside its range; the message names the field.
    """

    preset: Literal["tiny", "small", "hard", "month", "paper_shape", "joined_by_user", "joined_by_order", "scenarios",
                    "unclicked", "cascade", "feedbacks", "texts", "stream"] = option(
        "small", "tiny: tests; small: minutes on two cores; hard: as large, with shared categories, rooms that close "
        "for new ones, and power laws of activity and of a popularity that drifts; month: as hard, with impressions of "
        "30 days instead of 7, for experiments.daily; paper_shape: full histories, low "
        "click rate, many items; joined_by_user, joined_by_order: what joins the domains is that a user does both, or "
        "that one follows the other; scenarios, unclicked, cascade, feedbacks, texts, stream: worlds in each of which "
        "one further part of a model pays")
    num_users: int | None = option(None, "users, any number; none: the preset's")
    seed: int = option(17, "seed of every draw; the same settings give the same bytes")

    def __post_init__(self):
        if self.preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {self.preset!r}")
        if self.num_users is not None and self.num_users < 1:
            raise ValueError(f"num_users must be at least 1, got {self.num_users}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")

    @property
    def users(self) -> int:
        """Number of users to generate."""
        return self.num_users or PRESETS[self.preset].num_users

    @property
    def process(self) -> Process:
        """Sizes and process of the preset."""
        return PRESETS[self.preset]


@dataclasses.dataclass(frozen=True)
class ScenarioLaw:
    """The click law of one scenario.

    Attributes:
      name: in the column `scenario`.
      share: of the pages.
      intercept, slope: of its click logit, in the place of `Process.click_intercept` and `click_slope`.
      own_quality_std: standard deviation, from room to room, of what the logit has in this scenario alone.
    """

    name: str
    share: float
    intercept: float
    slope: float
    own_quality_std: float


@dataclasses.dataclass(frozen=True)
class StayLaw:
    """Which clicks are long stays: logit = intercept + slope * sqrt(taste) + the room's own quality.

    Attributes:
      intercept, slope: of the logit given the click.
      shared: weight of the affinity that clicks follow in the taste; the rest is one of its own for the same topics.
      quality_std: standard deviation of the logit from room to room.
      seconds: that a long stay lasts at least, and any other one less.
    """

    intercept: float
    slope: float
    shared: float
    quality_std: float
    seconds: int


@dataclasses.dataclass(frozen=True)
class Feedback:
    """What a user gives to some of the events.

    Attributes:
      name: in the column `feedback`.
      of_others, of_interest: share of the events that have it, of those that do not and that do reflect an interest.
    """

    name: str
    of_others: float
    of_interest: float


@dataclasses.dataclass(frozen=True)
class Process:
    """The planted process; how the values were chosen is in README.md.

    Attributes:
      num_users: unless the run asks for another number.
      num_topics: shared by both domains; the sizes below are per topic.
      video_categories, live_categories: no category is in both domains, unless `shared_categories`.
      video_authors, live_authors: authors of each domain, `shared_authors` of them of both.
      rooms: live rooms open at a time; each has one author and one category.
      interests_per_user, focus_interests: topics that a user likes, and those of them in mind at a visit.
      focus_persistence: chance that a visit has the focus of the user's other visits.
      visits_per_user: mean, in the days of impressions.
      extra_pages_per_visit: mean pages of rooms after a visit's first.
      focus_video_events, focus_live_events: means, in the hours before a visit.
      background_video_events, background_live_events: means of a user over all days of the log.
      focus_interest_share: share of the events before a visit that reflect its focus.
      background_interest_share: share of the background videos that reflect interests.
      trend_strength, trend_persistence: of the popularity of topics from day to day.
      click_intercept, click_slope: click logit = intercept + slope * sqrt(affinity) + the room's quality.
      click_focus_weight: weight of the visit's focus in the affinity; the rest is lasting.
      room_quality_std: standard deviation of the logit from room to room.
      targeted_share: share of the candidates picked by the user's affinity; the others are picked at random.
      shared_categories: rooms have the ids of the first `live_categories` of the video categories.
      room_turnover: share of the rooms that closes every night, each for a new room of the same author and topic; so a
        share of each day's rooms has never been shown before.
      activity_exponent: of the power law of users' visits and background events (the share of users above x falls as
        x^-exponent); 0: all users have the same means.
      activity_span: activity of the most active user over that of the least.
      popularity_exponent: of Zipf's law of the popularity of rooms and of authors of videos; 0: all are alike.
      popularity_persistence: correlation of a thing's standing in that law with the day before.
      impression_days: days of impressions; `HISTORY_DAYS` of events alone come before them.
      followed_share: 0, or the share of the videos of the hours before visits that a room of the same topic follows a
        second later, in the place of all other rooms entered without being shown.
      scenarios: click laws of the scenarios that pages belong to; (): one law, and no column.
      fatigue: fall of the click logit for each room of the topic that was shown to the user before and not clicked, as
        far as it is remembered; at most three count.
      fatigue_half_life: hours in which half of that is forgotten.
      stay_law: which clicks, and rooms entered without being shown, are long stays; None: seconds by interest.
      feedbacks: in the column `feedback`, each event has one of them or `watch`; (): no column.
      watching_tells: how long and whether to the end something is watched tells whether it reflects an interest.
      categories_tell: things of a category have one topic.
      new_authors: a new room is by a new author, who streams nothing else; `live_authors` and `shared_authors` are not
        read.
      text_words: words of each author's text, of which a third is of the topic's words; 0: no texts.
    """

    num_users: int
    num_topics: int
    video_categories: int
    live_categories: int
    video_authors: int
    live_authors: int
    shared_authors: int
    rooms: int
    visits_per_user: float
    background_video_events: float
    click_intercept: float
    interests_per_user: int = 5
    focus_interests: int = 1
    focus_persistence: float = 0.8
    extra_pages_per_visit: float = 0.1
    focus_video_events: float = 54.0
    focus_live_events: float = 12.0
    background_live_events: float = 6.0
    focus_interest_share: float = 0.55
    background_interest_share: float = 0.09
    trend_strength: float = 1.0
    trend_persistence: float = 0.8
    click_slope: float = 4.0
    click_focus_weight: float = 0.1
    room_quality_std: float = 0.3
    targeted_share: float = 0.35
    shared_categories: bool = False
    room_turnover: float = 0.0
    activity_exponent: float = 0.0
    activity_span: float = 100.0
    popularity_exponent: float = 0.0
    popularity_persistence: float = 0.9
    impression_days: int = 7
    followed_share: float = 0.0
    scenarios: tuple[ScenarioLaw, ...] = ()
    fatigue: float = 0.0
    fatigue_half_life: float = 6.0
    stay_law: StayLaw | None = None
    feedbacks: tuple[Feedback, ...] = ()
    watching_tells: bool = True
    categories_tell: bool = True
    new_authors: bool = False
    text_words: int = 0

    @property
    def log_days(self) -> int:
        """Days of the log."""
        return HISTORY_DAYS + self.impression_days


_SMALL = Process(
    num_users=3_000, num_topics=16, video_categories=3, live_categories=2, video_authors=20, live_authors=4,
    shared_authors=1, rooms=6, visits_per_user=3.5, background_video_events=1_700.0, click_intercept=-3.2)

# All but what joins the domains is the same in both. Days have no topics of their own, which would join them, too.
_JOINED_BY_USER = dataclasses.replace(
    _SMALL, num_users=2_500, video_authors=40, live_authors=8, shared_authors=0, rooms=12, video_categories=6,
    live_categories=4, background_video_events=400.0, background_live_events=0.0, background_interest_share=0.4,
    trend_strength=0.0)

_HARD = dataclasses.replace(
    _SMALL, num_users=3_500, video_categories=2, live_categories=2, rooms=12, background_video_events=600.0,
    shared_categories=True, room_turnover=0.2, activity_exponent=1.2, popularity_exponent=1.0)

# In each of these a further part of a model pays (README.md). Older videos show interests more than in `small`, so that
# what is left to find is the mechanism of each.
_WORLD = dataclasses.replace(_SMALL, background_video_events=600.0, background_interest_share=0.3)
_RARE = dataclasses.replace(
    _WORLD, video_authors=1_000, rooms=96, popularity_exponent=1.0, popularity_persistence=0.8, new_authors=True)

WORLDS = {
    "scenarios": dataclasses.replace(_WORLD, scenarios=(
        ScenarioLaw("home", 0.6, -3.2, 4.0, 0.0),
        ScenarioLaw("nearby", 0.25, -1.9, 0.8, 1.2),
        ScenarioLaw("explore", 0.15, -0.9, -4.0, 0.3))),
    "unclicked": dataclasses.replace(
        _WORLD, num_users=1_200, visits_per_user=2.5, extra_pages_per_visit=3.0, click_intercept=-2.8, fatigue=0.9,
        fatigue_half_life=48.0),
    "cascade": dataclasses.replace(
        _WORLD, num_users=4_000, background_live_events=30.0, click_intercept=-2.6,
        stay_law=StayLaw(intercept=-5.0, slope=5.2, shared=0.4, quality_std=0.5, seconds=600)),
    "feedbacks": dataclasses.replace(
        _WORLD, background_video_events=1_200.0, background_interest_share=0.12, focus_live_events=3.0,
        watching_tells=False, feedbacks=(Feedback("like", 0.02, 0.25), Feedback("follow", 0.001, 0.08))),
    "texts": dataclasses.replace(_RARE, room_turnover=0.08, categories_tell=False, text_words=9),
    "stream": dataclasses.replace(
        _RARE, num_users=1_000, visits_per_user=15.0, impression_days=30, room_turnover=0.1),
}

PRESETS = {
    "tiny": dataclasses.replace(_SMALL, num_users=90, background_video_events=80.0),
    "small": _SMALL,
    "hard": _HARD,
    "month": dataclasses.replace(_HARD, num_users=1_000, visits_per_user=15.0, impression_days=30),
    "joined_by_user": _JOINED_BY_USER,
    "joined_by_order": dataclasses.replace(_JOINED_BY_USER, focus_interest_share=0.0, followed_share=12 / 54),
    "paper_shape": dataclasses.replace(
        _SMALL, num_users=200_000, num_topics=200, video_categories=5, live_categories=3, video_authors=2_000,
        live_authors=200, shared_authors=60, rooms=300, visits_per_user=5.0, background_video_events=4_000.0,
        click_intercept=-3.7),
    **WORLDS,
}
