"""Videos shown and watched or skipped: the single-domain counterpart of the rooms in `planted_process`, by its law.

A visit has pages of videos by different authors. One is watched by the lasting affinity for its topic and the quality
of its author, as a room is by that of the room. They have random generators of their own, and what is watched there
is no event of the log: so the other files are the same with and without them.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_prep.generating import planted_interests as planted
from data_prep.generating.planted_interests import Users
from data_prep.industrial.planted_process import (
    World,
    day_of,
    draw_candidates,
    draw_categories,
    draw_clicks,
    draw_watching,
)


@dataclasses.dataclass(frozen=True)
class VideoImpressions:
    """Videos shown, each `[n]`.

    Attributes:
      user: index.
      timestamp: seconds UTC.
      author, category: raw ids.
      topic: hidden from the logs.
      clicked: bool, watched; else skipped.
      watch_seconds: 0 for a skipped one.
      probability: of the click.
    """

    user: np.ndarray
    timestamp: np.ndarray
    author: np.ndarray
    category: np.ndarray
    topic: np.ndarray
    clicked: np.ndarray
    watch_seconds: np.ndarray
    probability: np.ndarray


def draw_author_quality(world: World, rng: np.random.Generator) -> np.ndarray:
    """`[authors]` logit that the videos of an author add; spread like that of rooms."""
    process = world.process
    return rng.normal(0, process.room_quality_std, process.num_topics * process.video_authors)


def draw_video_impressions(
        world: World, users: Users, author_quality: np.ndarray, rng: np.random.Generator) -> VideoImpressions:
    """Draws the videos that users see at their visits.

    Args:
      world: what all users share.
      users: whose visits.
      author_quality: of `draw_author_quality`.
      rng: source of every draw.
    """
    process, topics = world.process, world.process.num_topics
    pages, page_time = planted.draw_pages(rng, users, process.extra_pages_per_visit)
    page, author = draw_candidates(process, users, pages, day_of(page_time), world.author_popularity, rng)
    liked, probability, clicked = draw_clicks(process, users, pages[page], author, author_quality, rng)
    topic = author % topics
    category = draw_categories(process, topic, len(world.video_category), rng)
    watched, _ = draw_watching(liked & process.watching_tells, rng)
    return VideoImpressions(
        users.visit_user[pages[page]], page_time[page], world.author[author], world.video_category[category], topic,
        clicked, np.where(clicked, np.maximum(watched, 1), 0), probability)
