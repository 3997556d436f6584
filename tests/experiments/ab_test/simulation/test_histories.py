"""What an arm is told was strictly before the request."""

import collections
import csv

import numpy as np
import pytest

from experiments.ab_test.simulation import histories, logs
from experiments.ab_test.simulation.past import Past
from tests.experiments.ab_test.small_sites import DAYS, PRE_DAYS, served, small_site


@pytest.fixture(scope="module")
def site():
    return small_site()


@pytest.fixture(scope="module")
def logged(site, tmp_path_factory):
    """User -> the rows of the log of events of all days, in the order of time and, of a second, of the file."""
    site, before = site
    folder = tmp_path_factory.mktemp("logs")
    places = served(site, before)
    logs.write_days(site, places, 0, PRE_DAYS + DAYS, np.ones(site.config.users, bool), str(folder / "impressions.csv"),
                    str(folder / "events.csv"))
    found = collections.defaultdict(list)
    with open(folder / "events.csv", newline="") as file:
        for row in csv.DictReader(file):
            found[int(row["user"]) - 1].append(row)
    return places, {user: sorted(rows, key=lambda row: int(row["timestamp"])) for user, rows in found.items()}


@pytest.mark.parametrize(("domain", "length", "skip"), [("video", 7, 0), ("video", 20, 6), ("live", 9, 0)])
def test_histories_are_the_latest_rows_of_the_log_before_the_request(site, logged, domain, length, skip):
    site, _ = site
    places, events = logged
    past = Past(site.requests, places, PRE_DAYS + DAYS, site.seed)
    rows = np.arange(0, len(site.requests), 3)
    found = (histories.watched(site, rows, length, skip) if domain == "video"
             else histories.entered(site, past.clicks(), rows, length))
    for place, row in enumerate(rows):
        before = [event for event in events[site.requests.user[row]] if event["domain"] == domain
                  and int(event["timestamp"]) < site.requests.timestamp[row]][::-1][skip:skip + length]
        expected = [[int(event[name]) for name in ("timestamp", "author", "category", "watch_seconds")]
                    for event in before]
        real = found.timestamp[place] > 0
        columns = (found.timestamp, found.author, found.category, found.watch_seconds)
        assert np.stack([column[place][real] for column in columns], 1).tolist() == expected
        assert not real[len(expected):].any()


def test_what_is_clicked_is_an_event_of_the_next_request_and_of_none_before(site, logged):
    site, before = site
    places, _ = logged
    requests, other = site.requests, before.copy()
    clicked = np.flatnonzero(requests.clicked(places, np.arange(len(places))).any(axis=1) & (requests.day >= PRE_DAYS))
    row = next(row for row in clicked if row + 1 < len(requests) and requests.user[row + 1] == requests.user[row])
    other[:row] = places[:row]  # as the population is when this request is served
    without = Past(requests, other, requests.day[row], site.seed)
    complete = Past(requests, places, requests.day[row], site.seed)
    rows = np.array([row])
    one, all_days = (histories.entered(site, past.clicks(), rows, 9) for past in (without, complete))
    assert np.array_equal(one.timestamp, all_days.timestamp) and np.array_equal(one.author, all_days.author)
    following = histories.entered(site, complete.clicks(), rows + 1, 50)
    assert requests.timestamp[row] + 1 in following.timestamp[0]
    assert requests.timestamp[row] + 1 not in histories.entered(site, without.clicks(), rows + 1, 50).timestamp[0]
