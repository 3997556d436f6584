"""Settings of MovieLens as cross-domain data, and the roles of its columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from data_prep.calendar_splits import calendar_day
from data_prep.config import option
from data_prep.description import DatasetDescription
from lcn_tf.schema import CLICK, Feature, Label

# Powers of four from one minute to eight years: people rate for an afternoon and return years later.
TIME_GAP_BOUNDARIES = (60, 240, 960, 3_840, 15_360, 61_440, 245_760, 983_040, 3_932_160, 15_728_640, 62_914_560,
                       251_658_240)

FAVOURITE = Label("favourite", given="click")

# Shares of the target impressions before the validation and the test days when no dates are given.
TRAIN_SHARE, DEVELOPMENT_SHARE = 0.8, 0.9

_DOMAINS = "movies of one genre are the target domain, all others the source domain"
_ABOUT = {
    "description": f"MovieLens ratings as cross-domain clicks: {_DOMAINS}; an impression is a rating of a target "
                   "movie.",
    "homepage": "https://grouplens.org/datasets/movielens/",
    "citation": "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. ACM "
                "Transactions on Interactive Intelligent Systems 5, 4, Article 19. https://doi.org/10.1145/2827872",
    "license": "GroupLens: research use, redistribution under the same conditions, no commercial use",
}


@dataclasses.dataclass(frozen=True)
class MovieLensConfig:
    """How ratings become impressions, clicks and splits.

    Raises:
      ValueError: a value outside its range; the message names the setting.
    """

    target_genre: str = option("Sci-Fi", "movies with this genre are the target domain, all others the source domain")
    row_set: Literal["target", "source"] = option(
        "target", "impressions of target-domain movies, or a single domain: impressions and events of the source "
        "domain alone")
    label_threshold: float = option(
        4.0, "a rating of at least this many stars is a click; of no effect with negatives_per_positive")
    negatives_per_positive: int = option(
        0, "movies drawn beside each rated one, by their ratings in the training days, among those of the domain that "
        "the user never rates: implicit feedback, in which a rated movie is a click whatever its stars; 0: impressions "
        "are the ratings alone, clicks by label_threshold")
    negatives_seed: int = option(1, "seed of those draws")
    favourite_stars: float = option(
        0.0, "a second label, favourite: a click whose rating has at least this many stars; 0: no such label",
        later=True)
    validation_from: str | None = option(
        None, "first day (UTC) of validation, like 2016-01-31; none: the first day with 80 % of the impressions before "
        "it, or earlier where validation and test would not keep a day each")
    test_from: str | None = option(
        None, "first day (UTC) of test; none: the first day after validation_from with 90 % of the "
        "impressions before it, or the last day")

    def __post_init__(self):
        if not self.target_genre.strip():
            raise ValueError("target_genre must not be empty")
        if self.row_set not in ("target", "source"):
            raise ValueError(f"row_set must be target or source, got {self.row_set!r}")
        if not 0.5 < self.label_threshold <= 5:
            raise ValueError(f"label_threshold must be above 0.5 and at most 5 stars, got {self.label_threshold}")
        least = 0.5 if self.negatives_per_positive else self.label_threshold  # with so few, every click is a favourite
        if self.favourite_stars and not least < self.favourite_stars <= 5:
            raise ValueError(f"favourite_stars must be 0, or above {least:g} and at most 5 stars, got "
                             f"{self.favourite_stars}")
        for name in ("negatives_per_positive", "negatives_seed"):
            if not 0 <= getattr(self, name) < 2**31:
                raise ValueError(f"{name} must be between 0 and 2^31 - 1, got {getattr(self, name)}")
        for name in ("validation_from", "test_from"):
            if getattr(self, name):
                object.__setattr__(self, name, calendar_day(name, getattr(self, name)))
        if self.validation_from and self.test_from and self.test_from <= self.validation_from:
            raise ValueError(f"test_from must be after validation_from {self.validation_from}, got {self.test_from}")


def describe(config: MovieLensConfig, splits: Mapping[str, tuple[int, int]]) -> DatasetDescription:
    """Roles of the columns, with the splits found in the ratings."""
    about = dict(_ABOUT)
    if config.negatives_per_positive:
        about["description"] = (
            f"MovieLens ratings as cross-domain implicit feedback: {_DOMAINS}; a click is a rated target movie, and "
            "what was not clicked is sampled by popularity, so click rates and log losses are those of the sampling.")
    return DatasetDescription(
        name="movielens_cross_domain",
        user=_features("user_id"),
        item=_features("movie_id", "genre"),
        candidate=(),
        request=(),
        context=_features("rating"),
        time_gap_boundaries=TIME_GAP_BOUNDARIES,
        splits=splits,
        utc_offset=0,
        about=about,
        labels=(CLICK, FAVOURITE) if config.favourite_stars else (CLICK,))


def _features(*names: str) -> tuple[Feature, ...]:
    return tuple(Feature(name, name) for name in names)
