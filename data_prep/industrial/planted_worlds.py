"""What the worlds plant beside the common process: laws of scenarios, of fatigue and of long stays, and feedbacks.

Each is off in the other presets, which draw nothing here. A click probability comes with that of the same law without
the mechanism: what the best model could say that does not know of the mechanism. Shape letters: R rooms, S scenarios, U
users, J interests of a user, P pages, T topics, n candidates or events.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from data_prep.generating.planted_interests import Users
from data_prep.industrial.generator_config import Feedback, Process, StayLaw

MOST_FATIGUE = 3.0  # rooms of a topic that count
HOUR = 3_600
USUAL_STAY, LONG_STAY_SPREAD = 15.0, 0.8  # median seconds of a stay that is not long; log-normal
USUAL_FEEDBACK = "watch"


@dataclasses.dataclass(frozen=True)
class RoomLaws:
    """What rooms have beside the quality that all laws share.

    Attributes:
      scenario_quality: `[S, R]` logit that a room has in one scenario alone.
      stay_quality: `[R]` logit of a long stay; all zeros without such a law.
    """

    scenario_quality: np.ndarray
    stay_quality: np.ndarray


class Clicks(NamedTuple):
    """Clicks of candidates, each `[n]`.

    Attributes:
      clicked: bool.
      probability: of the click.
      without: by the same law without the mechanism; None where the world has no such mechanism.
    """

    clicked: np.ndarray
    probability: np.ndarray
    without: np.ndarray | None


def draw_room_laws(process: Process, rooms: int, rng: np.random.Generator) -> RoomLaws:
    """Draws what rooms have in the laws of a preset; nothing is drawn where it has none."""
    own = [rng.normal(0, law.own_quality_std, rooms) for law in process.scenarios]
    stay = rng.normal(0, process.stay_law.quality_std, rooms) if process.stay_law else np.zeros(rooms)
    return RoomLaws(np.reshape(own, (len(own), rooms)), stay)


def draw_scenarios(process: Process, pages: int, rng: np.random.Generator) -> np.ndarray:
    """`[P]` place of each page's scenario; nothing is drawn where the preset has but one."""
    if not process.scenarios:
        return np.zeros(pages, np.int64)
    return rng.choice(len(process.scenarios), size=pages, p=[law.share for law in process.scenarios])


def clicks_by_scenario(process: Process, laws: RoomLaws, scenario: np.ndarray, room: np.ndarray, liking: np.ndarray,
                       quality: np.ndarray, rng: np.random.Generator) -> Clicks:
    """Draws clicks, each by the law of its scenario; without: by the mixture of all laws.

    Args:
      process: of the preset.
      laws: of the rooms.
      scenario, room: `[n]` of each candidate.
      liking: `[n]` square root of the user's affinity.
      quality: `[n]` of the room in all scenarios.
      rng: source of the clicks.
    """
    each = np.stack([sigmoid(law.intercept + law.slope * liking + quality + own[room])
                     for law, own in zip(process.scenarios, laws.scenario_quality, strict=True)])  # [S, n]
    probability = each[scenario, np.arange(len(room))]
    mixture = np.average(each, axis=0, weights=[law.share for law in process.scenarios])
    return Clicks(rng.random(len(room)) < probability, probability, mixture)


def clicks_with_fatigue(process: Process, user: np.ndarray, page: np.ndarray, page_time: np.ndarray,
                        topic: np.ndarray, logit: np.ndarray, rng: np.random.Generator) -> Clicks:
    """Draws clicks page by page: what a user was shown before and did not click makes its topic less attractive.

    Args:
      process: of the preset.
      user, page, topic: `[n]` of each candidate.
      page_time: `[P]` seconds UTC; a user has no two pages in one second.
      logit: `[n]` of the click without fatigue.
      rng: source of the clicks.
    """
    page_user = np.zeros(len(page_time), np.int64)
    page_user[page] = user
    order = np.lexsort((page_time, page_user))
    turn = np.empty(len(order), np.int64)  # of each page among those of its user
    turn[order] = np.arange(len(order)) - np.searchsorted(page_user[order], page_user[order])
    uniform, fall = rng.random(len(user)), np.empty(len(user))
    clicked = np.zeros(len(user), bool)
    users = 1 + page_user.max(initial=-1)
    remembered, moment = np.zeros((users, process.num_topics)), np.zeros(users)
    by_turn = np.argsort(turn[page], kind="stable")
    for rows in np.split(by_turn, np.cumsum(np.bincount(turn[page]))[:-1]):
        now = np.unique(page[rows])
        hours = (page_time[now] - moment[page_user[now]]) / HOUR
        remembered[page_user[now]] *= 0.5 ** (hours / process.fatigue_half_life)[:, np.newaxis]
        moment[page_user[now]] = page_time[now]
        fall[rows] = process.fatigue * np.minimum(remembered[user[rows], topic[rows]], MOST_FATIGUE)
        clicked[rows] = uniform[rows] < sigmoid(logit[rows] - fall[rows])
        skipped = rows[~clicked[rows]]
        np.add.at(remembered, (user[skipped], topic[skipped]), 1.0)
    return Clicks(clicked, sigmoid(logit - fall), sigmoid(logit))


def draw_tastes(law: StayLaw, users: Users, rng: np.random.Generator) -> np.ndarray:
    """`[U, J]` taste for long stays of every user's interests: partly the affinity, partly one of its own."""
    own = rng.dirichlet(np.full(users.affinity.shape[1], 0.7), size=len(users.affinity))
    return law.shared * users.affinity + (1 - law.shared) * own


def stay_probability(process: Process, laws: RoomLaws, users: Users, taste: np.ndarray, user: np.ndarray,
                     room: np.ndarray) -> np.ndarray:
    """`[n]` probability that a user who has entered a room stays long, by `process.stay_law`.

    Args:
      process, laws: of the preset and its rooms.
      users: of the process.
      taste: `[U, J]` of `draw_tastes`.
      user, room: `[n]` indices.
    """
    law = process.stay_law
    is_topic = users.interests[user] == (room % process.num_topics)[:, np.newaxis]
    liking = np.sqrt(np.sum(taste[user] * is_topic, axis=1))
    return sigmoid(law.intercept + law.slope * liking + laws.stay_quality[room])


def draw_stays(law: StayLaw, probability: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`[n]` whole seconds in rooms, of which those of long stays are `law.seconds` or more."""
    is_long = rng.random(len(probability)) < probability
    spread = np.exp(LONG_STAY_SPREAD * rng.normal(size=len(probability)))
    return np.where(is_long, np.clip(law.seconds * np.maximum(spread, 1 / spread), law.seconds, 7_200),
                    np.clip(USUAL_STAY * spread, 1, law.seconds - 1)).astype(np.int64)


def draw_feedbacks(feedbacks: tuple[Feedback, ...], from_interest: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`[n]` place of each event's feedback among `feedback_names`; nothing is drawn where the preset has none."""
    found = np.zeros(len(from_interest), np.int8)
    if not feedbacks:
        return found
    uniform, before = rng.random(len(from_interest)), np.zeros(len(from_interest))
    for place, feedback in enumerate(feedbacks, 1):
        share = np.where(from_interest, feedback.of_interest, feedback.of_others)
        found[(uniform >= before) & (uniform < before + share)] = place
        before += share
    return found


def feedback_names(feedbacks: tuple[Feedback, ...]) -> tuple[str, ...]:
    """Names by the places that `draw_feedbacks` gives; the first is what is neither of the others."""
    return (USUAL_FEEDBACK, *(feedback.name for feedback in feedbacks))


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """Probability of a logit."""
    return 1 / (1 + np.exp(-logit))
