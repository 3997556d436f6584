"""Settings of the generator of Taobao-format logs: sizes, the planted process, the quirks of the files."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from data_prep.generating.log_text import LINE_ENDS


def _setting(default: Any, text: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": text})


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """What to generate; every field has its meaning in `metadata["help"]`.

    Raises:
      ValueError: a size, share or line end outside its range; the message names the field.
    """

    seed: int = _setting(17, "Seed of every draw; the same settings give the same bytes.")
    num_users: int = _setting(15_000, "Users; ids are 1 .. num_users.")
    line_end: Literal["lf", "crlf"] = _setting("lf", "Line ends: lf (Tianchi copy) or crlf (Kaggle copy).")

    num_topics: int = _setting(40, "Topics, shared by both domains.")
    num_source_keys: int = _setting(400, "(cate, brand) keys of the source domain (cate >= 2000).")
    num_target_keys: int = _setting(120, "(cate, brand) keys of the target domain (cate < 2000).")
    num_brands: int = _setting(150, "Brands; both domains and all topics draw from the same ones.")
    ads_per_target_key: int = _setting(3, "Ads of every target key.")
    num_source_ads: int = _setting(120, "Ads of source keys (the protocol filters their impressions out).")

    interests_per_user: int = _setting(5, "Topics a user has an affinity for.")
    focus_interests: int = _setting(2, "Interests that are in the user's mind at one visit.")
    focus_persistence: float = _setting(0.8, "Chance that a visit has the focus of the user's other visits.")
    visits_per_user: float = _setting(3.0, "Mean visits of a user in the 8 days of impressions.")
    focus_source_events: float = _setting(26.0, "Mean source events in the hours before a visit.")
    focus_target_events: float = _setting(10.0, "Mean target events in the hours before a visit.")
    background_source_events: float = _setting(270.0, "Mean source events of a user spread over the 22 days.")
    background_target_events: float = _setting(10.0, "Mean target events of a user spread over the 22 days.")
    focus_interest_share: float = _setting(0.55, "Share of events before a visit that reflect interests.")
    background_interest_share: float = _setting(0.09, "Share of background source events that reflect interests.")
    trend_strength: float = _setting(1.0, "Standard deviation of the log popularity of topics.")
    trend_persistence: float = _setting(0.8, "Correlation of the log popularity of a topic with the day before.")

    click_intercept: float = _setting(-3.2, "Click logit without affinity.")
    click_slope: float = _setting(4.0, "Click logit per square root of affinity.")
    click_focus_weight: float = _setting(0.1, "Weight of the visit's focus in the affinity; the rest is lasting.")
    ad_quality_std: float = _setting(0.3, "Standard deviation of the logit from ad to ad.")
    targeted_share: float = _setting(0.35, "Share of impressions the ad system picks by the user's affinity.")
    source_ad_share: float = _setting(0.17, "Share of impressions of source-domain ads.")

    null_brand_share: float = _setting(0.29, "Share of ads whose brand is NULL.")
    no_profile_share: float = _setting(0.05, "Share of users without a profile row.")
    no_event_share: float = _setting(0.03, "Share of users without any behaviour event.")
    duplicate_share: float = _setting(0.02, "Share of behaviour rows written a second time.")

    def __post_init__(self):
        if self.line_end not in LINE_ENDS:
            raise ValueError(f"line_end must be one of {sorted(LINE_ENDS)}, got {self.line_end!r}")
        least = {"seed": 0, "num_users": 1, "num_topics": 2, "num_brands": 1, "ads_per_target_key": 1,
                 "num_source_keys": self.num_topics, "num_target_keys": self.num_topics,
                 "num_source_ads": max(20, self.num_topics), "interests_per_user": 1, "focus_interests": 1}
        fractions = ("focus_persistence", "click_focus_weight", "trend_persistence")
        most = {"num_source_keys": 10_000, "num_target_keys": 1_999, "interests_per_user": self.num_topics,
                "focus_interests": self.interests_per_user, "num_brands": 400_000}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in least and not least[field.name] <= value <= most.get(field.name, value):
                raise ValueError(f"{field.name} must be at least {least[field.name]} and at most "
                                 f"{most.get(field.name, 'any number')}, got {value}")
            if (field.name.endswith("_share") or field.name in fractions) \
                    and not 0 <= value <= 1:
                raise ValueError(f"{field.name} must be between 0 and 1, got {value}")
            if (field.name.endswith("_events") or field.name == "visits_per_user") and value < 0:
                raise ValueError(f"{field.name} must not be negative, got {value}")
        if self.ads_per_target_key * self.num_target_keys < 20:
            raise ValueError("ads_per_target_key * num_target_keys must be at least 20 for page loads of 10 different "
                             f"ads, got {self.ads_per_target_key * self.num_target_keys}")
