"""A small simulated site whose days before the test are served, and a model of its logs."""

import numpy as np

from data_prep.config import PreparationConfig
from data_prep.industrial.config import IndustrialConfig
from data_prep.industrial.prepare import prepare
from experiments.ab_test.simulation import logs, traffic
from experiments.ab_test.simulation.arms import OraclePolicy
from experiments.ab_test.simulation.config import WorldConfig
from experiments.ab_test.simulation.past import Past
from experiments.ab_test.simulation.site import Site

PRE_DAYS, DAYS, SEED = 4, 2, 5
LENGTHS = {"short_length": 6, "lifelong_length": 20}


def small_site(users=150, preset="tiny", **settings):
    """A site, and what it showed in the days before the test."""
    site = Site(WorldConfig(preset, users, PRE_DAYS, **{"candidates": 20, "shown": 5, **settings}), DAYS, SEED)
    return site, traffic.serve_before(site.requests, site.config.shown, PRE_DAYS, SEED)


def served(site, before, arm=None):
    """The places of all days, served by one arm."""
    past = Past(site.requests, before.copy(), 0, site.seed)
    for day in range(PRE_DAYS, PRE_DAYS + DAYS):
        past.day = day
        rows = np.flatnonzero(site.requests.day == day)
        traffic.serve(past, {0: arm or OraclePolicy()}, np.zeros(site.config.users, np.int64), rows)
    return past.places


def prepared(site, before, folder):
    """Records of the days before the test."""
    logs.write_before(site, before, str(folder / "logs"))
    prepare(str(folder / "logs"), str(folder / "data"), IndustrialConfig(num_days=PRE_DAYS),
                       PreparationConfig(exclude_recent=True, workers=1, **LENGTHS))
    return str(folder / "data")
