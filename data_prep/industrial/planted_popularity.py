"""Popularity by a power law that drifts: which rooms, or authors of videos, are shown and watched on each day.

On every day the most popular thing has a weight of 1, the next 2^-s, then 3^-s ... (Zipf). Which is the most popular
changes from day to day, the same for all users. Shape letters: T topics, N things of a kind, n draws; thing k has topic
k mod T.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_prep.generating import planted_interests as planted
from data_prep.generating.planted_interests import QUANTILES


@dataclasses.dataclass(frozen=True)
class Popularity:
    """Draws things of a kind by the popularity of the day.

    Attributes:
      things: N.
      topics: T.
      overall: `[days, 4096]` thing of every popularity quantile of a day; None where all things are equally popular.
      in_topic: `[days, T, 4096]` the same among the things of a topic, as thing // T.
    """

    things: int
    topics: int
    overall: np.ndarray | None = None
    in_topic: np.ndarray | None = None

    def draw(self, rng: np.random.Generator, day: np.ndarray) -> np.ndarray:
        """`[n]` things of any topic, by the popularity of the days `[n]`."""
        if self.overall is None:
            return rng.integers(self.things, size=len(day))
        return self.overall[day, rng.integers(QUANTILES, size=len(day))].astype(np.int64)

    def draw_of_topic(self, rng: np.random.Generator, topic: np.ndarray, day: np.ndarray) -> np.ndarray:
        """`[n]` things of the topics `[n]`, by the popularity of the days `[n]`."""
        if self.in_topic is None:
            return planted.of_topic(rng, topic, self.topics, self.things)
        return topic + self.topics * self.in_topic[day, topic, rng.integers(QUANTILES, size=len(day))].astype(np.int64)


def draw_popularity(rng: np.random.Generator, days: int, things: int, topics: int, exponent: float,
                    persistence: float) -> Popularity:
    """Draws how popular things of a kind are on each day; with exponent 0 nothing is drawn.

    Args:
      rng: source of every draw.
      days: of the log.
      things: N, a multiple of T.
      topics: T.
      exponent: s of the law, 0 for things that are equally popular.
      persistence: correlation of a thing's standing, which decides its rank, with that of the day before.
    """
    if not exponent:
        return Popularity(things, topics)
    standing = planted.drifting(rng, days, things, persistence)
    rank = np.argsort(np.argsort(-standing, axis=1), axis=1)
    weight = (1.0 + rank) ** -exponent  # [days, N]
    in_topic = [planted.quantile_table(day.reshape(-1, topics).T) for day in weight]
    return Popularity(things, topics, planted.quantile_table(weight), np.stack(in_topic))
