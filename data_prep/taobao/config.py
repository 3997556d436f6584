"""Settings of the Taobao preparation, and the roles of its columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from data_prep.calendar_splits import calendar_day, calendar_splits
from data_prep.config import option
from data_prep.description import DatasetDescription
from data_prep.taobao_behaviors import BEHAVIORS, check_behaviors
from lcn_tf.schema import Feature

# The files' days are cut in China's time: the first second of raw_sample is 2017-05-06 00:00:00 there.
UTC_OFFSET = 8 * 3600

PROFILE_FIELDS = ("cms_segid", "cms_group_id", "final_gender_code", "age_level", "pvalue_level", "shopping_level",
                  "occupation", "new_user_class_level")

# Prices run from 0.01 to 1e8 with most between 10 and 1,000: three buckets a decade there, one outside.
PRICE_BOUNDARIES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000)

# Powers of four from one minute to 30 days.
TIME_GAP_BOUNDARIES = (60, 240, 960, 3_840, 15_360, 61_440, 245_760, 983_040, 2_592_000)

ABOUT = {
    "description": "Impressions and clicks of Taobao display ads with the behaviour log of their users, as request "
                   "groups: ads of the target domain as candidates, behaviours of both domains as histories.",
    "homepage": "https://tianchi.aliyun.com/dataset/56",
    "citation": "Tianchi. 2018. Ad Display/Click Data on Taobao.com. https://tianchi.aliyun.com/dataset/56",
    "license": "CC BY-NC 4.0 per Alibaba's listing",
}


@dataclasses.dataclass(frozen=True)
class TaobaoConfig:
    """The public protocol of the LCN paper on Tianchi data set 56; its other readings are settings (docs/readings.md).

    Raises:
      ValueError: a value outside its range; the message names the setting.
    """

    target_category_below: int = option(
        2000, "categories with a smaller id are the target domain, all others the source domain")
    first_day: str = option("2017-05-06", "first day (UTC+8) whose impressions are used")
    num_days: int = option(
        7, "days used from first_day on: the last is test, the one before it validation, the others train")
    row_set: Literal["target", "all", "source"] = option(
        "target", "impressions of target-domain ads only or of all ads, or a single domain: impressions and behaviours "
        "of the source domain alone")
    behaviors: tuple[str, ...] = option(BEHAVIORS, "types of events that count, of pv, cart, fav and buy")

    def __post_init__(self):
        object.__setattr__(self, "first_day", calendar_day("first_day", self.first_day))
        calendar_splits(self.first_day, self.num_days, UTC_OFFSET)
        if self.row_set not in ("target", "all", "source"):
            raise ValueError(f"row_set must be target, all or source, got {self.row_set!r}")
        check_behaviors(self.behaviors)

    @property
    def splits(self) -> Mapping[str, tuple[int, int]]:
        """Split -> its first second and the second after its last, UTC."""
        return calendar_splits(self.first_day, self.num_days, UTC_OFFSET)


def describe(config: TaobaoConfig) -> DatasetDescription:
    """Roles and splits of the prepared data set."""
    return DatasetDescription(
        name="taobao_ad",
        user=_features("user_id", *PROFILE_FIELDS),
        item=_features("cate", "brand"),
        candidate=_features("adgroup_id", "campaign_id", "customer", "price_bucket"),
        request=_features("pid"),
        context=_features("btag"),
        time_gap_boundaries=TIME_GAP_BOUNDARIES,
        splits=config.splits,
        utc_offset=UTC_OFFSET,
        about=ABOUT)


def _features(*names: str) -> tuple[Feature, ...]:
    return tuple(Feature(name, name) for name in names)
