"""Every request of the days: who asks when, which rooms are offered, and what the user would do with each.

All of it is drawn before anybody ranks, by the generator's laws. An arm decides only which of the candidates stand at
which place of the page: a user enters a room that is shown if the place is looked at and the room would be entered, and
stays as long as was drawn. So users, days and random numbers are common to all arms, and an arm alone is a true
counterfactual. Shape letters: R requests, C candidates, S places of a page, U users.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_prep.industrial import planted_process
from data_prep.industrial.generator_config import HISTORY_DAYS
from data_prep.industrial.planted_process import Impressions, Visitors, World
from experiments.ab_test.simulation import keyed_draws
from experiments.ab_test.simulation.config import WorldConfig

USERS_PER_CHUNK = 200  # part of what a seed means
# What a stream of draws is for, beside the seed.
_WORLD, _VISITORS, _SHOWN, _LOOKS = 0, 1, 2, 3


@dataclasses.dataclass(frozen=True)
class Requests:
    """Requests in the order of users and, of each, of time.

    Attributes:
      user: `[R]` index from 0; raw ids are one more.
      timestamp: `[R]` seconds UTC; a user has no two requests in one second.
      day: `[R]` from 0, the first day of impressions.
      turn: `[R]` place among the user's requests of the day.
      in_feed: `[R]` bool, else on the live tab.
      scenario: `[R]` place in the process's scenarios.
      room: `[R, C]` index.
      probability: `[R, C]` that the room is entered when it is looked at.
      enters: `[R, C]` bool, drawn with that probability.
      stay_seconds: `[R, C]` int64 of those that would be entered, else 0.
      liked: `[R, C]` bool, the room's topic is one of the user's interests.
      looks: `[R, S]` bool, whether each place of the page is looked at.
    """

    user: np.ndarray
    timestamp: np.ndarray
    day: np.ndarray
    turn: np.ndarray
    in_feed: np.ndarray
    scenario: np.ndarray
    room: np.ndarray
    probability: np.ndarray
    enters: np.ndarray
    stay_seconds: np.ndarray
    liked: np.ndarray
    looks: np.ndarray

    def __len__(self) -> int:
        return len(self.user)

    def clicked(self, places: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """`[n, S]` bool: which of the candidates `places` `[n, S]` that requests `rows` `[n]` show are clicked."""
        return self.looks[rows] & np.take_along_axis(self.enters[rows], places, 1)

    def stays(self, places: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """`[n, S]` seconds in what is clicked, else 0."""
        return np.where(self.clicked(places, rows), np.take_along_axis(self.stay_seconds[rows], places, 1), 0)


def make_world(config: WorldConfig, days: int, seed: int) -> World:
    """What all users share, for `days` of a test."""
    return planted_process.make_world(config.process(days), np.random.default_rng([seed, _WORLD]))


def draw_visitors(config: WorldConfig, world: World, seed: int) -> list[Visitors]:
    """The users, by chunks."""
    counts = [min(USERS_PER_CHUNK, config.users - first) for first in range(0, config.users, USERS_PER_CHUNK)]
    return [planted_process.draw_visitors(world, count, np.random.default_rng([seed, _VISITORS, chunk]))
            for chunk, count in enumerate(counts)]


def draw_requests(config: WorldConfig, world: World, visitors: list[Visitors], seed: int) -> Requests:
    """The requests of all users."""
    parts = [_of_chunk(config, world, found, seed, chunk) for chunk, found in enumerate(visitors)]
    return Requests(*(np.concatenate([getattr(part, field.name) for part in parts])
                      for field in dataclasses.fields(Requests)))


def _of_chunk(config: WorldConfig, world: World, visitors: Visitors, seed: int, chunk: int) -> Requests:
    rng = np.random.default_rng([seed, _SHOWN, chunk])
    drawn = planted_process.draw_impressions(
        world, visitors.users, visitors.taste, rng, (config.candidates, config.candidates))
    by_page = Impressions(*(value if value is None else value.reshape(-1, config.candidates)
                            for value in (getattr(drawn, field.name) for field in dataclasses.fields(drawn))))
    order = np.lexsort((by_page.timestamp[:, 0], by_page.user[:, 0]))
    user, timestamp = by_page.user[order, 0], by_page.timestamp[order, 0]
    day = planted_process.day_of(timestamp) - HISTORY_DAYS
    user_day = user * (1 + day.max(initial=0)) + day
    turn = np.arange(len(user)) - np.searchsorted(user_day, user_day)
    user = user + chunk * USERS_PER_CHUNK
    looks = keyed_draws.uniform(seed, _LOOKS, user[:, np.newaxis], timestamp[:, np.newaxis], np.arange(config.shown))
    return Requests(
        user, timestamp, day, turn, by_page.in_feed[order, 0], by_page.scenario[order, 0], by_page.room[order],
        by_page.probability[order], by_page.clicked[order], by_page.stay_seconds[order], by_page.liked[order],
        looks < config.examination())


def made_requests(config: WorldConfig, days: int, seed: int) -> Requests:
    """The requests of a world with `days` of a test."""
    world = make_world(config, days, seed)
    return draw_requests(config, world, draw_visitors(config, world, seed), seed)
