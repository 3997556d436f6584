"""Logs of a population, as the generator of industrial logs writes them: what models are trained on.

Files have the columns of `data_prep.industrial`, so that `python -m experiments.run --dataset=industrial
--input_dir=...` reads those of the days before the test, and a mapping those that grow by a day at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from data_prep.generating.log_text import csv_rows, probability_texts
from data_prep.industrial import generator, planted_process
from data_prep.industrial.config import WATCH_BOUNDARIES
from data_prep.industrial.generator_config import TRUE_PROBABILITY_FILES
from data_prep.industrial.planted_process import Impressions
from experiments.ab_test.simulation.past import Past
from experiments.ab_test.simulation.requests import USERS_PER_CHUNK
from experiments.ab_test.simulation.site import Site
from lcn_tf.whole_files import replacing, write_text

IMPRESSIONS, EVENTS, USERS = "impressions.csv", "events.csv", "users.csv"
TRUTH = TRUE_PROBABILITY_FILES["target"]

_MAPPING = """# The mapping of the logs of a simulated test that grow by a day at a time.
name = "ab_test"
{scenario}time_zone = "+08:00"
user = "user"
time = "timestamp"
impressions = {{ files = "impressions/*.csv", label = "clicked" }}
events = {{ files = "events/*.csv", domain = {{ column = "domain", target = "live", source = "video" }} }}
users = {{ files = "users.csv", key = "user" }}
[features]
user = {{ user_id = "user", gender = "gender", age_band = "age_band", city_level = "city_level" }}
item = {{ author = {{ column = "author", type = "integer" }}, category = "category" }}
candidate = {{ room_id = "room_id" }}
request = {{ page = "page"{feature} }}
[features.context]
watch = {{ column = "watch_seconds", boundaries = {boundaries} }}
finished = "finished"
"""


def write_before(site: Site, places: np.ndarray, folder: str) -> None:
    """Writes the logs of the days before the test, and what truly made their clicks.

    Args:
      site: whose logs.
      places: `[R, S]` what was shown; the days before the test are served.
      folder: created if missing; `true_probability.csv` is its last file. The probabilities there are those of a click
        on a room that is looked at, times the mean share of rooms that are: what can be known before the page is made.
    """
    os.makedirs(folder, exist_ok=True)
    everybody = np.ones(site.config.users, bool)
    write_users(site, os.path.join(folder, USERS))
    write_days(site, places, 0, site.config.pre_days, everybody, *(
        os.path.join(folder, name) for name in (IMPRESSIONS, EVENTS)))
    rows = np.flatnonzero(site.requests.day < site.config.pre_days)
    probability = np.take_along_axis(site.requests.probability[rows], places[rows], 1).ravel()
    with replacing(os.path.join(folder, TRUTH), "wb") as file:
        file.write(b"impression_id,probability\n")
        file.write(csv_rows([np.arange(len(probability)),
                             probability_texts(probability * site.config.examination().mean())]))


def write_users(site: Site, path: str) -> None:
    """Writes the profile of every user."""
    with replacing(path, "wb") as file:
        file.write(f"{generator.headers(site.world.process)[USERS]}\n".encode())
        file.write(csv_rows([np.arange(1, site.config.users + 1), *site.profiles.values()]))


def write_days(site: Site, places: np.ndarray, first_day: int, end_day: int, users: np.ndarray, impressions: str,
               events: str) -> None:
    """Writes what some users were shown and did in the days from one to that before another.

    Args:
      site: whose logs.
      places: `[R, S]` what was shown; the days are served.
      first_day, end_day: of impressions, from 0; the first one includes the days before it, of events alone.
      users: `[U]` bool, whose rows are written.
      impressions, events: paths of the files.
    """
    header = generator.headers(site.world.process)
    with replacing(impressions, "wb") as file:
        file.write(f"{header[IMPRESSIONS]}\n".encode())
        rows = np.flatnonzero((site.requests.day >= first_day) & (site.requests.day < end_day)
                              & users[site.requests.user])
        shown = _shown(site, places, rows)
        file.write(csv_rows(generator.impression_columns(site.world, _raw_ids(site), shown)))
    with replacing(events, "wb") as file:
        file.write(f"{header[EVENTS]}\n".encode())
        for part in _events(site, places, first_day, end_day, users):
            file.write(csv_rows(generator.event_columns(site.world, _raw_ids(site), part)))


def write_mapping(site: Site, folder: str) -> str:
    """Writes the mapping of logs that grow; returns its path."""
    path = os.path.join(folder, "logs.toml")
    scenario = 'scenario = "scenario"' if site.world.process.scenarios else ""
    write_text(path, _MAPPING.format(
        scenario=f"{scenario}\n" if scenario else "", feature=f", {scenario}" if scenario else "",
        boundaries=list(WATCH_BOUNDARIES)))
    return path


def _raw_ids(site: Site) -> np.ndarray:
    return np.arange(1, site.config.users + 1)


def _shown(site: Site, places: np.ndarray, rows: np.ndarray) -> Impressions:
    """The impressions of requests, place by place."""
    requests, shown = site.requests, places[rows]

    def of_request(column: np.ndarray) -> np.ndarray:
        return np.repeat(column[rows], shown.shape[1])

    def of_candidate(column: np.ndarray) -> np.ndarray:
        return np.take_along_axis(column[rows], shown, 1).ravel()

    return Impressions(
        of_request(requests.user), of_candidate(requests.room), of_request(requests.timestamp),
        of_request(requests.in_feed), of_candidate(requests.liked), requests.clicked(shown, rows).ravel(),
        requests.stays(shown, rows).ravel(), of_candidate(requests.probability), of_request(requests.scenario), None,
        None)


def _events(site: Site, places: np.ndarray, first_day: int, end_day: int, users: np.ndarray
            ) -> Iterator[planted_process.Events]:
    """The events of some days, by ranges of users: all domains, in the order of time."""
    first, end = (0 if not first_day else site.first_second(first_day)), site.first_second(end_day)
    clicks = Past(site.requests, places, end_day, site.seed).clicks()
    chosen = [(part, part.between(first, end)) for part in site.own_events]
    of_clicks = np.flatnonzero((clicks.timestamp >= first) & (clicks.timestamp < end))
    for low in range(0, site.config.users, USERS_PER_CHUNK):
        parts = []
        for own, rows in chosen:
            found = rows[slice(*np.searchsorted(own.user(rows), [low, low + USERS_PER_CHUNK]))]
            parts.append(own.as_events(found[users[own.user(found)]]))
        rows = of_clicks[slice(*np.searchsorted(clicks.user[of_clicks], [low, low + USERS_PER_CHUNK]))]
        rows = rows[users[clicks.user[rows]]]
        parts.append(planted_process.rooms_entered(
            site.world, clicks.user[rows], clicks.timestamp[rows], clicks.room[rows], clicks.stay_seconds[rows],
            clicks.liked[rows]))
        yield planted_process.in_order(parts)
