"""What each world's mechanism is worth, without any model: AUC of the true law beside that of one that lacks it.

Where the mechanism is in the click law, what lacks it is the same law without it (`probability_without` of the file of
true probabilities). Where it is in what is known of histories or items, it is a scorer that does not know that.
"""

from __future__ import annotations

import numpy as np

from data_prep.generating.planted_interests import Users
from data_prep.industrial.generator_config import Process
from data_prep.industrial.planted_process import Events, Impressions, World, day_of
from data_prep.industrial.planted_worlds import sigmoid
from lcn_tf.metrics import exact_auc

KNOWN_ROWS = 20  # of the training days and the histories before, with which an author's topic counts as known
UNCLICKED_ROWS = 50  # that models of the world `unclicked` read


def mechanism_bounds(world: World, users: Users, shown: Impressions, events: Events) -> dict[str, float]:
    """Figures by name, of the mechanisms that a world has; {} for the other presets.

    Args:
      world, users, shown, events: of `planted_process`, all users at once.
    """
    process, found = world.process, dict[str, float]()
    if process.scenarios:
        found |= _scenarios(process, shown)
    if process.fatigue:
        found |= _fatigue(world, shown)
    if process.stay_law:
        found |= _long_stays(process, shown)
    if process.new_authors:
        found |= _known_authors(world, users, shown, events)
    return found


def interest_share(process: Process, feedback: np.ndarray, prior: float) -> np.ndarray:
    """`[n]` probability that events reflect an interest, given their feedback and the share of those that do."""
    chances = np.array([[each.of_others, each.of_interest] for each in process.feedbacks])
    both = np.concatenate([1 - chances.sum(axis=0, keepdims=True), chances]) * [1 - prior, prior]
    return (both[:, 1] / both.sum(axis=1))[feedback]


def _scenarios(process: Process, shown: Impressions) -> dict[str, float]:
    found = {"AUC, scenario unknown": exact_auc(shown.clicked, shown.without)}
    score = _logit(shown.without)
    for place, law in enumerate(process.scenarios):
        rows = shown.scenario == place
        score[rows] += _logit(shown.probability[rows].mean()) - _logit(shown.without[rows].mean())
        found[f"click rate, {law.name}"] = float(shown.clicked[rows].mean())
        found[f"AUC, {law.name}, true probability"] = exact_auc(shown.clicked[rows], shown.probability[rows])
        found[f"AUC, {law.name}, scenario unknown"] = exact_auc(shown.clicked[rows], shown.without[rows])
    found["AUC, scenario as an intercept"] = exact_auc(shown.clicked, score)
    return found


def _fatigue(world: World, shown: Impressions) -> dict[str, float]:
    """Also of who knows no times: the fall is what it is on average after as many rooms of the topic not clicked."""
    topic = shown.room % world.process.num_topics
    fall, count = _logit(shown.without) - _logit(shown.probability), np.zeros(len(topic), np.int64)
    order = np.lexsort((shown.timestamp, shown.user))
    for rows in np.split(order, np.flatnonzero(np.diff(shown.user[order])) + 1):
        for page in np.split(rows, np.flatnonzero(np.diff(shown.timestamp[rows])) + 1):
            before = rows[shown.timestamp[rows] < shown.timestamp[page[0]]]
            latest = topic[before[~shown.clicked[before]][-UNCLICKED_ROWS:]]
            count[page] = np.bincount(latest, minlength=world.process.num_topics)[topic[page]]
    by_count = np.bincount(count, fall) / np.maximum(np.bincount(count), 1)
    return {"AUC, without fatigue": exact_auc(shown.clicked, shown.without),
            f"AUC, topics counted among the latest {UNCLICKED_ROWS} rooms not clicked": exact_auc(
                shown.clicked, _logit(shown.without) - by_count[count]),
            "share of candidates with a fall of the logit over 0.1": float(np.mean(fall > 0.1))}


def _long_stays(process: Process, shown: Impressions) -> dict[str, float]:
    """Of the second label, over all candidates and over clicks."""
    is_long, clicked = shown.stay_seconds >= process.stay_law.seconds, shown.clicked
    return {"long stays given the click": float(is_long[clicked].mean()), "long stays": float(is_long.sum()),
            "AUC, long stays, true probability": exact_auc(is_long, shown.probability * shown.stay_probability),
            "AUC, long stays, by the click's law": exact_auc(is_long, shown.probability),
            "AUC, long stays given the click, true probability": exact_auc(
                is_long[clicked], shown.stay_probability[clicked]),
            "AUC, long stays given the click, by the click's law": exact_auc(
                is_long[clicked], shown.probability[clicked])}


def _known_authors(world: World, users: Users, shown: Impressions, events: Events) -> dict[str, float]:
    """On the test day, of who knows the topic of no author with fewer than `KNOWN_ROWS` rows before."""
    process, last = world.process, world.process.log_days - 1
    author = world.room_author[shown.room]
    train = day_of(shown.timestamp) < last - 1
    seen = np.concatenate([author[train], events.author[day_of(events.timestamp) < last - 1]])
    counts = np.bincount(seen, minlength=world.author.max() + 1)
    test = day_of(shown.timestamp) == last
    unknown = (counts[author] < KNOWN_ROWS)[test]
    # Of all topics, as often as the user is shown them.
    weight = process.targeted_share * users.affinity
    any_topic = (1 - process.targeted_share) / process.num_topics
    law = sigmoid(process.click_intercept + process.click_slope * np.sqrt(users.affinity))
    mean = np.sum((weight + any_topic) * law, axis=1) + (
        1 - np.sum(weight + any_topic, axis=1)) * sigmoid(np.float64(process.click_intercept))
    probability, clicked = shown.probability[test], shown.clicked[test]
    score = np.where(unknown, mean[shown.user[test]], probability)
    return {"test day: candidates by authors of no row before": float(np.mean(counts[author[test]] == 0)),
            f"test day: candidates by authors of under {KNOWN_ROWS} rows before": float(np.mean(unknown)),
            "rows of an author that has any, median": float(np.median(counts[counts > 0])),
            "AUC, test day, true probability": exact_auc(clicked, probability),
            f"AUC, test day, authors of under {KNOWN_ROWS} rows unknown": exact_auc(clicked, score)}


def _logit(probability: np.ndarray) -> np.ndarray:
    return np.log(probability / (1 - probability))
