"""Whether two orders of the same models agree."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

_LEAST = 4  # models that an interval needs


@dataclasses.dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation of `count` models and its 95 % interval; NaN where there are too few."""

    count: int
    value: float
    low: float
    high: float


def spearman(first: Sequence[float], second: Sequence[float]) -> RankCorrelation:
    """The rank correlation, with the interval by Fisher's z and the variance of Bonett and Wright (Psychometrika 2000).

    The models count as draws of the models that one might compare. A model with a value that is not finite is left out.
    Where the orders are the same, z is infinite: the inner bound is then that of two neighbours in the wrong order.

    Raises:
      ValueError: as many values are not there of both.
    """
    if len(first) != len(second):
        raise ValueError(f"expected as many values of both, got {len(first)} and {len(second)}")
    values = np.array([first, second], np.float64)
    values = values[:, np.isfinite(values).all(0)]
    count = values.shape[1]
    if count < 2 or (values == values[:, :1]).all(1).any():
        return RankCorrelation(count, math.nan, math.nan, math.nan)
    found = round(float(stats.spearmanr(*values).statistic), 12)  # 1 is 1
    if count < _LEAST:
        return RankCorrelation(count, found, math.nan, math.nan)
    most = 1 - 12 / (count * (count**2 - 1))  # what two neighbours in the wrong order leave
    inner = min(max(found, -most), most)
    width, middle = stats.norm.ppf(0.975) * math.sqrt((1 + inner**2 / 2) / (count - 3)), math.atanh(inner)
    return RankCorrelation(count, found, -1.0 if found < -most else math.tanh(middle - width),
                           1.0 if found > most else math.tanh(middle + width))
