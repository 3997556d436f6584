"""A simulated site: everything that is drawn before anybody ranks."""

from __future__ import annotations

import functools

import numpy as np

from data_prep.generating.planted_interests import DAY
from data_prep.industrial import generator
from data_prep.industrial.config import PROFILE_FIELDS
from data_prep.industrial.planted_process import FIRST_IMPRESSION
from experiments.ab_test.simulation.config import WorldConfig
from experiments.ab_test.simulation.own_events import OwnEvents, draw_own_events
from experiments.ab_test.simulation.requests import draw_requests, draw_visitors, make_world

_PROFILES = 5  # what the stream of draws is for, beside the seed


class Site:
    """Users, requests and what users do on their own; what takes long is drawn when it is asked for.

    Attributes:
      config: of the world.
      days: of the test.
      seed: of every draw.
      world: what all users share.
      visitors: the users, by chunks.
      requests: of all days.
    """

    def __init__(self, config: WorldConfig, days: int, seed: int):
        self.config, self.days, self.seed = config, days, seed
        self.world = make_world(config, days, seed)
        self.visitors = draw_visitors(config, self.world, seed)
        self.requests = draw_requests(config, self.world, self.visitors, seed)

    @functools.cached_property
    def own_events(self) -> tuple[OwnEvents, OwnEvents]:
        """Videos watched, and rooms entered without being shown."""
        return draw_own_events(self.world, self.visitors, self.seed)

    @functools.cached_property
    def profiles(self) -> dict[str, np.ndarray]:
        """Field -> `[U]` texts; empty where a cell is missing."""
        chunks = [generator.profile_columns(len(found.users.affinity),
                                            np.random.default_rng([self.seed, _PROFILES, chunk]))
                  for chunk, found in enumerate(self.visitors)]
        return {name: np.concatenate(parts).astype(str)
                for name, parts in zip(PROFILE_FIELDS, zip(*chunks, strict=True), strict=True)}

    def first_second(self, day: int) -> int:
        """Of a day of impressions, from 0."""
        return FIRST_IMPRESSION + day * DAY
