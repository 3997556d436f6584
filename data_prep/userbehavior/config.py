"""Settings of the UserBehavior preparation, and the roles of its columns."""

from __future__ import annotations

import dataclasses

from data_prep.calendar_splits import calendar_day, calendar_splits
from data_prep.config import option
from data_prep.description import DatasetDescription
from data_prep.taobao_behaviors import BEHAVIORS, PAGE_VIEW, check_behaviors
from lcn_tf.schema import Feature

UTC_OFFSET = 8 * 3600

# Powers of four from one minute to three days: the log is nine days long.
TIME_GAP_BOUNDARIES = (60, 240, 960, 3_840, 15_360, 61_440, 245_760)

ABOUT = {
    "description": "Page views of Taobao as cross-domain clicks: a share of the categories is the target domain, all "
                   "others the source domain. The log has no impressions: a click is a page view of a target item, and "
                   "what was not clicked is sampled by popularity, so click rates and log losses say nothing about "
                   "real pages.",
    "homepage": "https://tianchi.aliyun.com/dataset/649",
    "citation": "Han Zhu et al. 2018. Learning Tree-based Deep Model for Recommender Systems. KDD 2018. "
                "https://doi.org/10.1145/3219819.3219826",
    "license": "as stated on the data set's Tianchi page",
}


@dataclasses.dataclass(frozen=True)
class UserBehaviorConfig:
    """How page views become clicks, domains and splits.

    Raises:
      ValueError: a value outside its range; the message names the setting.
    """

    first_day: str = option("2017-11-25", "first day (UTC+8) that is used; rows before it are dropped")
    num_days: int = option(
        9, "days used from first_day on: the last is test, the one before it validation, the others train")
    target_category_share: float = option(
        0.15, "share of the categories, chosen by a hash of their id, that are the target domain; all others are the "
        "source domain")
    negatives_per_positive: int = option(
        2, "items drawn beside each page view of the target domain, from all users' page views there on the same day")
    behaviors: tuple[str, ...] = option(BEHAVIORS, "types of events that count, of pv, cart, fav and buy")

    def __post_init__(self):
        object.__setattr__(self, "first_day", calendar_day("first_day", self.first_day))
        calendar_splits(self.first_day, self.num_days, UTC_OFFSET)
        if not 0 < self.target_category_share < 1:
            raise ValueError(f"target_category_share must be between 0 and 1, got {self.target_category_share}")
        if self.negatives_per_positive < 1:
            raise ValueError(f"negatives_per_positive must be at least 1, got {self.negatives_per_positive}")
        check_behaviors(self.behaviors)
        if PAGE_VIEW not in self.behaviors:
            raise ValueError(f"behaviors must contain pv, which makes the impressions, got {list(self.behaviors)}")


def describe(config: UserBehaviorConfig) -> DatasetDescription:
    """Roles and splits of the prepared data set."""
    return DatasetDescription(
        name="taobao_user_behavior",
        user=_features("user_id"),
        item=_features("item_id", "category"),
        candidate=(),
        request=(),
        context=_features("behaviour"),
        time_gap_boundaries=TIME_GAP_BOUNDARIES,
        splits=calendar_splits(config.first_day, config.num_days, UTC_OFFSET),
        utc_offset=UTC_OFFSET,
        about=ABOUT)


def _features(*names: str) -> tuple[Feature, ...]:
    return tuple(Feature(name, name) for name in names)
