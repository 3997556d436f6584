"""A whole test in memory, of arms that stay as they are: small worlds, many times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from experiments.ab_test.outcomes import alone, alone_arm, populations_of
from experiments.ab_test.simulation.arms import Arm
from experiments.ab_test.simulation.config import WorldConfig
from experiments.ab_test.simulation.past import Past
from experiments.ab_test.simulation.requests import made_requests
from experiments.ab_test.simulation.traffic import arms_of_users, outcomes_of, serve, serve_before


def simulate(world: WorldConfig, arms: Mapping[str, Arm], days: int, seed: int,
             populations: Sequence[str] | None = None, shares: Mapping[str, float] | None = None,
             salt: str = "") -> pd.DataFrame:
    """A whole test of arms that stay as they are, in memory.

    Args:
      world: users, days before the test, requests and pages.
      arms: by name.
      days: of the test.
      seed: of every draw.
      populations: which of `outcomes.populations_of`; all if not given.
      shares: arm -> share of the users; equal ones if not given.
      salt: of the hash that assigns users.

    Returns:
      The table of `outcomes`.

    Raises:
      ValueError: shares that are no shares, an arm without a share or an unknown population.
    """
    names = list(arms)
    shared = made_requests(world, days, seed)
    before = serve_before(shared, world.shown, world.pre_days, seed)
    tables, done = [], {}
    wanted = populations_of(names) if populations is None else populations
    for population in sorted(wanted, key=lambda name: alone_arm(name) is None):  # the split traffic may take theirs
        arm_of_user = arms_of_users(population, world.users, names, shares, salt)
        past = Past(shared, before.copy(), 0, seed)
        for place, name in enumerate(names):
            own = arm_of_user[shared.user] == place
            if not arms[name].depends_on_others and alone(name) in done:
                past.places[own] = done[alone(name)][own]
        for day in range(world.pre_days, world.pre_days + days):
            past.day = day
            left = np.flatnonzero((shared.day == day) & (past.places[:, 0] < 0))
            serve(past, dict(enumerate(arms.values())), arm_of_user, left)
        done[population] = past.places
        tables.append(outcomes_of(population, shared, past.places, arm_of_user, names, world.pre_days, days))
    order = {name: place for place, name in enumerate(wanted)}
    return pd.concat(sorted(tables, key=lambda table: order[table.population.iloc[0]]), ignore_index=True)
