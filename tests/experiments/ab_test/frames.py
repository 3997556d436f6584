"""Small tables of outcomes with users who differ, come back and were there before."""

import numpy as np
import pandas as pd


def outcomes(users: int = 400, days: int = 5, effect: float = 0.0, seed: int = 0, share: float = 0.5) -> pd.DataFrame:
    """The populations `split`, `all:new` and `all:old`; `effect` is the relative one on clicks and stay."""
    rng = np.random.default_rng(seed)
    activity, taste = rng.gamma(2.0, 1.0, users), rng.beta(2.0, 8.0, users)
    impressions = 10 * rng.poisson(0.6 * activity[:, None], (users, days))
    before = 10 * rng.poisson(4 * activity)
    before_clicks = rng.binomial(before, taste)
    chance = rng.random((users, days, impressions.max()))
    shown = np.arange(impressions.max()) < impressions[..., None]
    stay = rng.exponential(30.0, chance.shape)
    arm = np.where(rng.random(users) < share, "new", "old")
    frames = []
    for population, lift in (("all:old", np.zeros(users)), ("all:new", np.full(users, effect)),
                             ("split", np.where(arm == "new", effect, 0))):
        clicked = shown & (chance < (taste * (1 + lift))[:, None, None])
        names = arm if population == "split" else np.full(users, population[4:])
        frames.append(pd.DataFrame({
            "population": population, "user": np.repeat(np.arange(users) + 7, days),
            "day": np.tile(np.arange(days), users), "arm": np.repeat(names, days),
            "requests": (impressions // 10).ravel(), "impressions": impressions.ravel(),
            "clicks": clicked.sum(-1).ravel(), "stay_seconds": (clicked * stay).sum(-1).ravel(),
            "before_impressions": np.repeat(before, days), "before_clicks": np.repeat(before_clicks, days),
            "before_stay_seconds": np.repeat(30.0 * before_clicks, days)}))
    return pd.concat(frames, ignore_index=True)
