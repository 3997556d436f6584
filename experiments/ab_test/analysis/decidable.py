"""How many days a test needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize


def days_until(detectable: Sequence[float], effect: float) -> float:
    """The first day after which a relative effect is found with 80 %; infinite where more days of these users do not
    help.

    Within the days that were seen it is the first one whose detectable effect is as small. Beyond them the squared
    detectable effect goes on as a + b / days: what users differ by stays, what changes from day to day is averaged
    away. Fitted by least squares with a, b >= 0.

    Args:
      detectable: the effect that a test from the first day to each day finds with 80 %; NaN where it is not known.
      effect: the relative effect that is looked for, above 0.

    Returns:
      days; NaN where fewer than two detectable effects are known.

    Raises:
      ValueError: an effect of 0 or less.
    """
    if not effect > 0:
        raise ValueError(f"effect must be above 0, got {effect}")
    values = np.asarray(detectable, np.float64)
    enough = np.flatnonzero(values <= effect)
    if len(enough):
        return float(enough[0] + 1)
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < 2:
        return math.nan
    days, squares = known + 1.0, values[known] ** 2
    (constant, falling), _ = optimize.nnls(np.stack([np.ones_like(days), 1 / days], axis=1) / squares[:, None],
                                           np.ones_like(squares))
    rest = effect**2 - constant
    return math.inf if rest <= 0 else max(math.ceil(round(falling / rest, 6)), len(values) + 1.0)
