"""What generated logs have in common: users with lasting interests, visits with a focus, and topics that pass by.

Topics are shared by both domains. A user has a few lasting interests; a visit brings some of them to mind, mostly the
same ones for days: in the hours before it about half of the user's events in both domains are about those (the premise
of CRP). Everything else follows trends: topic popularity that drifts from day to day, the same for all users. The
functions know topics, users and seconds, and neither items nor models. Shape letters: U users, V visits, J interests of
a user, T topics, n draws.
"""

from __future__ import annotations

import dataclasses

import numpy as np

DAY = 86_400
FOCUS_SECONDS = 3 * 3_600
QUANTILES = 4_096
_HOURS = np.array([8, 4, 3, 2, 2, 3, 6, 12, 20, 28, 32, 30, 30, 32, 32, 32, 30, 28, 30, 36, 44, 48, 36, 18], float)


@dataclasses.dataclass(frozen=True)
class Users:
    """Users and their visits.

    Attributes:
      interests: `[U, J]` topics.
      affinity: `[U, J]`, sums to one for a user.
      visit_user: `[V]` index of the user.
      visit_time: `[V]` seconds UTC.
      focus: `[V, J]` the affinity that a visit has in mind.
    """

    interests: np.ndarray
    affinity: np.ndarray
    visit_user: np.ndarray
    visit_time: np.ndarray
    focus: np.ndarray


@dataclasses.dataclass(frozen=True)
class Activity:
    """Events of one domain, each `[n]`.

    Attributes:
      user: index.
      timestamp: seconds UTC.
      topic: of the event.
      from_interest: bool, reflects an interest.
      near: bool, of the hours before a visit.
    """

    user: np.ndarray
    timestamp: np.ndarray
    topic: np.ndarray
    from_interest: np.ndarray
    near: np.ndarray


def quantile_table(weights: np.ndarray) -> np.ndarray:
    """Categories by quantile: drawing a uniform position of the `[..., 4096]` table draws a category by weight."""
    cumulative = np.cumsum(weights, axis=-1) / np.sum(weights, axis=-1, keepdims=True)
    middles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return np.stack([np.searchsorted(row, middles) for row in np.atleast_2d(cumulative)]).astype(np.int16)


def pick(rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """One column index per row of `[n, m]` weights that sum to one, drawn by weight."""
    chosen = np.sum(np.cumsum(weights, axis=1) < rng.random((len(weights), 1)), axis=1)
    return np.minimum(chosen, weights.shape[1] - 1)


def hours_of_day() -> np.ndarray:
    """`[4096]` quantiles, in seconds of the day, of the hours at which people are awake."""
    hours = quantile_table(_HOURS)[0].astype(np.int64)
    within = np.arange(QUANTILES) - np.searchsorted(hours, hours)
    return hours * 3_600 + within * 3_600 // np.bincount(hours)[hours]


def moments(rng: np.random.Generator, second_of_day: np.ndarray, count: int, days: int) -> np.ndarray:
    """`[count]` seconds since the start of the first of `days` days, by the law of `hours_of_day`."""
    second = second_of_day[rng.integers(QUANTILES, size=count)] + rng.integers(60, size=count)
    return rng.integers(days, size=count) * DAY + np.minimum(second, DAY - 1)


def topic_trends(
        rng: np.random.Generator, days: int, topics: int, strength: float, persistence: float) -> np.ndarray:
    """`[days, 4096]` topic of every popularity quantile of a day.

    Args:
      rng: source of every draw.
      days: of the log.
      topics: T.
      strength: standard deviation of a topic's log popularity.
      persistence: correlation of a topic's log popularity with the day before.
    """
    return quantile_table(np.exp(strength * drifting(rng, days, topics, persistence)))


def drifting(rng: np.random.Generator, days: int, things: int, persistence: float) -> np.ndarray:
    """`[days, things]` standard normal standings; each day's have a correlation of `persistence` with those before."""
    standing = np.empty((days, things))
    state = rng.normal(size=things)
    for day in range(days):
        standing[day] = state
        fresh = np.sqrt(1 - persistence**2)
        state = persistence * state + fresh * rng.normal(size=things)
    return standing


def power_law(rng: np.random.Generator, count: int, exponent: float, span: float) -> np.ndarray:
    """`[count]` factors of mean 1, Pareto up to `span` times the smallest: shares above x fall as x^-exponent."""
    cut = 1 - span**-exponent
    mean = exponent / (exponent - 1) * (1 - span ** (1 - exponent)) / cut
    return (1 - cut * rng.random(count)) ** (-1 / exponent) / mean


def draw_users(
        rng: np.random.Generator, count: int, topics: int, interests: int, focus_interests: int,
        focus_persistence: float, visits: float | np.ndarray, first: int, days: int,
        second_of_day: np.ndarray) -> Users:
    """Draws users and when they visit.

    Args:
      rng: source of every draw.
      count: U.
      topics: T.
      interests: J.
      focus_interests: interests in mind at a visit.
      focus_persistence: chance that a visit has the focus of the user's other visits.
      visits: mean visits of a user, of all alike or `[U]`.
      first: first second of the days of visits.
      days: their number.
      second_of_day: of `hours_of_day`.
    """
    chosen = np.argsort(rng.random((count, topics)), axis=1)[:, :interests]
    affinity = rng.dirichlet(np.full(interests, 2.0), size=count)
    visit_user = np.repeat(np.arange(count), rng.poisson(visits, size=count))
    visit_time = first + moments(rng, second_of_day, len(visit_user), days)
    # The last page of a visit must not fall after the last day.
    visit_time -= np.where(visit_time >= first + days * DAY - 1_200, 1_200, 0)
    # A visit keeps what is in the user's mind these days, or turns to other interests.
    focus = np.where(rng.random((len(visit_user), 1)) < focus_persistence,
                     _draw_focus(rng, affinity, focus_interests)[visit_user],
                     _draw_focus(rng, affinity[visit_user], focus_interests))
    return Users(chosen, affinity, visit_user, visit_time, focus)


def _draw_focus(rng: np.random.Generator, affinity: np.ndarray, focus_interests: int) -> np.ndarray:
    """`[n, J]` affinities restricted to `focus_interests` of the J interests and scaled to sum to one."""
    # The Gumbel trick draws without replacement, by affinity.
    keys = np.log(affinity + 1e-12) + rng.gumbel(size=affinity.shape)
    in_focus = np.argsort(np.argsort(-keys, axis=1), axis=1) < focus_interests
    focus = np.where(in_focus, affinity + 1e-12, 0.0)
    return focus / focus.sum(axis=1, keepdims=True)


def draw_pages(rng: np.random.Generator, users: Users, extra_pages: float) -> tuple[np.ndarray, np.ndarray]:
    """The pages of every visit: one, and `extra_pages` more on average; never two of a user in one second.

    Returns:
      `visit` and `timestamp` of each page.
    """
    visit = np.repeat(np.arange(len(users.visit_user)), 1 + rng.poisson(extra_pages, len(users.visit_user)))
    order = np.arange(len(visit)) - np.searchsorted(visit, visit)
    timestamp = users.visit_time[visit] + 45 * np.minimum(order, 20)
    _, first = np.unique(np.stack([users.visit_user[visit], timestamp], axis=1), axis=0, return_index=True)
    return visit[first], timestamp[first]


def repeats_on_page(page: np.ndarray, item: np.ndarray, items: int) -> np.ndarray:
    """Rows whose item (of `items`) is on the same page already; the first of equal ones is none."""
    cell = page * items + item
    by_cell = np.argsort(cell, kind="stable")
    return by_cell[1:][cell[by_cell[1:]] == cell[by_cell[:-1]]]


def liking(users: Users, visit: np.ndarray, topic: np.ndarray, focus_weight: float) -> np.ndarray:
    """`[n]` square root of the user's affinity for a topic, tilted by `focus_weight` towards the visit's focus."""
    user = users.visit_user[visit]
    affinity = (1 - focus_weight) * users.affinity[user] + focus_weight * users.focus[visit]
    return np.sqrt(np.sum(affinity * (users.interests[user] == topic[:, None]), axis=1))


def draw_activity(
        rng: np.random.Generator, users: Users, trends: np.ndarray, first: int, second_of_day: np.ndarray, near: float,
        far: float | np.ndarray, near_share: float, far_share: float) -> Activity:
    """Draws the events of one domain: those of the hours before each visit, then those spread over the whole log.

    Args:
      rng: source of every draw.
      users: whose events.
      trends: `[days, 4096]` of `topic_trends`.
      first: first second of the log.
      second_of_day: of `hours_of_day`.
      near: mean events of the hours before a visit.
      far: mean events of a user over all days, of all alike or `[U]`; how much a user does differs widely around it.
      near_share: share of the former that reflect the visit's focus.
      far_share: share of the latter that reflect the user's interests.
    """
    visit = np.repeat(np.arange(len(users.visit_user)), rng.poisson(near, size=len(users.visit_user)))
    before = 1 + (FOCUS_SECONDS * rng.random(len(visit)) ** 2).astype(np.int64)
    level = rng.gamma(3.0, far / 3.0, size=len(users.affinity))
    far_user = np.repeat(np.arange(len(users.affinity)), rng.poisson(level))
    user = np.concatenate([users.visit_user[visit], far_user])
    timestamp = np.concatenate([users.visit_time[visit] - before,
                                first + moments(rng, second_of_day, len(far_user), len(trends))])
    share = np.where(np.arange(len(user)) < len(visit), near_share, far_share)
    from_interest = rng.random(len(user)) < share
    topic = trends[(timestamp - first) // DAY, rng.integers(QUANTILES, size=len(user))].astype(np.int64)
    near_rows, far_rows = np.flatnonzero(from_interest[:len(visit)]), len(visit) + np.flatnonzero(
        from_interest[len(visit):])
    for rows, weights in ((near_rows, users.focus[visit[near_rows]]), (far_rows, users.affinity[user[far_rows]])):
        topic[rows] = users.interests[user[rows], pick(rng, weights)]
    return Activity(user, timestamp, topic, from_interest, np.arange(len(user)) < len(visit))


def draw_followers(rng: np.random.Generator, events: Activity, share: float) -> Activity:
    """Events of the other domain, each a second after one of the hours before a visit, of its topic: order alone joins.

    Args:
      rng: source of every draw.
      events: that are followed.
      share: of those of the hours before visits that are.
    """
    rows = np.flatnonzero(events.near & (rng.random(len(events.near)) < share))
    return Activity(events.user[rows], events.timestamp[rows] + 1, events.topic[rows], events.from_interest[rows],
                    events.near[rows])


def of_topic(rng: np.random.Generator, topic: np.ndarray, topics: int, size: np.ndarray | int) -> np.ndarray:
    """`[n]` a uniform one of the things t, t + T, t + 2T ... below `size` that have the topic t."""
    things = (size - topic + topics - 1) // topics
    return topic + topics * (rng.random(len(topic)) * things).astype(np.int64)
