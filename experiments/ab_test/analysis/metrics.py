"""What an A/B test is read by: ratios of what users have done, and what they did before the test."""

from __future__ import annotations

import dataclasses

USERS = "users"  # the denominator that is 1 for every user


@dataclasses.dataclass(frozen=True)
class Metric:
    """A total of users over another one.

    Attributes:
      key: in files.
      title: in reports.
      numerator: a column of outcomes.
      denominator: another one, or `USERS`.
      unit: of the ratio.
      digits: after the point, in reports.
    """

    key: str
    title: str
    numerator: str
    denominator: str
    unit: str
    digits: int

    @property
    def before_numerator(self) -> str:
        """The covariate of CUPED: the same total over the days before the test."""
        return f"before_{self.numerator}"

    @property
    def before_denominator(self) -> str:
        """The covariate's denominator."""
        return self.denominator if self.denominator == USERS else f"before_{self.denominator}"


CTR = Metric("ctr", "CTR", "clicks", "impressions", "clicks per impression", 5)
STAY_PER_USER = Metric("stay_per_user", "stay per user", "stay_seconds", USERS, "seconds", 1)
STAY_PER_IMPRESSION = Metric("stay_per_impression", "stay per impression", "stay_seconds", "impressions", "seconds", 3)
METRICS = (CTR, STAY_PER_USER, STAY_PER_IMPRESSION)
