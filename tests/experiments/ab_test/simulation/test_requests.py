"""What users do follows the generator's law, whoever ranks."""

import numpy as np
import pytest

from data_prep.industrial.generator_config import PRESETS
from experiments.ab_test.simulation.arms import OraclePolicy, RandomPolicy
from experiments.ab_test.simulation.config import WorldConfig
from experiments.ab_test.simulation.requests import made_requests
from tests.experiments.ab_test.small_sites import served, small_site


@pytest.fixture(scope="module")
def site():
    return small_site(users=1_500)


def test_clicks_at_a_place_are_as_frequent_as_the_law_says(site):
    site, before = site
    places = served(site, before, OraclePolicy())
    rows = np.arange(len(places))
    probability = np.take_along_axis(site.requests.probability, places, 1)
    looks = 1 / np.log2(2 + np.arange(5))
    clicked = site.requests.clicked(places, rows)
    for place in range(5):
        expected = looks[place] * probability[:, place]
        error = np.sqrt((expected * (1 - expected)).sum())
        assert abs(clicked[:, place].sum() - expected.sum()) < 4 * error
        assert clicked[:, place].sum() > 20 * error / np.sqrt(len(rows))  # there is something to compare
    # By the room's own probability, too: where it is high, and where it is low.
    expected = looks * probability
    for part in (probability > np.quantile(probability, 0.8), probability < np.quantile(probability, 0.2)):
        error = np.sqrt((expected * (1 - expected))[part].sum())
        assert abs(clicked[part].sum() - expected[part].sum()) < 4 * error


def test_probability_is_the_generators(site):
    site, _ = site
    requests, process = site.requests, site.world.process
    users = np.concatenate([found.users.affinity for found in site.visitors])
    interests = np.concatenate([found.users.interests for found in site.visitors])
    lasting = np.sqrt((users[requests.user][:, np.newaxis] * (
        interests[requests.user][:, np.newaxis] == (requests.room % process.num_topics)[:, :, np.newaxis])).sum(axis=2))
    logit = process.click_intercept + process.click_slope * lasting + site.world.room_quality[requests.room]
    true = np.log(requests.probability / (1 - requests.probability))
    # The focus of the visit, a tenth of the affinity, is all that is left.
    assert np.corrcoef(logit.ravel(), true.ravel())[0, 1] > 0.98
    assert np.array_equal(requests.liked, lasting > 0)


def test_stays_are_those_of_the_law_given_the_click(site):
    requests = site[0].requests
    assert (requests.stay_seconds[~requests.enters] == 0).all() and (requests.stay_seconds[requests.enters] > 0).all()
    liked = requests.enters & requests.liked
    other = requests.enters & ~requests.liked
    assert np.median(requests.stay_seconds[liked]) == pytest.approx(90, rel=0.1)
    assert np.median(requests.stay_seconds[other]) == pytest.approx(15, rel=0.1)


def test_the_same_room_at_the_same_place_is_clicked_by_the_same_users_whoever_ranks(site):
    site, before = site
    one, other = (served(site, before, arm) for arm in (OraclePolicy(noise=1.0), RandomPolicy()))
    same = one == other
    rows = np.arange(len(one))
    assert 0.03 < same[site.requests.day >= 4].mean() < 0.9
    for outcome in (site.requests.clicked, site.requests.stays):
        assert np.array_equal(outcome(one, rows)[same], outcome(other, rows)[same])
    # A room that is looked at in both, at whatever place, is entered in both or in neither.
    assert (site.requests.clicked(one, rows) <= np.take_along_axis(site.requests.enters, one, 1)).all()


def test_offers_are_different_rooms_that_are_open_on_the_day():
    config = WorldConfig("hard", 60, 4, candidates=50)
    requests = made_requests(config, 3, 1)
    assert all(len(set(rooms)) == 50 for rooms in requests.room.tolist())
    assert (requests.day >= 0).all() and requests.day.max() == 6
    open_rooms = [set(requests.room[requests.day == day].ravel().tolist()) for day in (0, 6)]
    assert len(open_rooms[0] - open_rooms[1]) > 0.5 * len(open_rooms[0])  # a fifth closes every night


def test_rates_a_day_are_those_of_the_preset_however_long_the_test():
    process, preset = WorldConfig("small", pre_days=10).process(11), PRESETS["small"]
    assert process.visits_per_user / process.impression_days == pytest.approx(3.5 / 7)
    assert process.background_video_events / process.log_days == pytest.approx(
        preset.background_video_events / preset.log_days)


def test_seeds_draw_other_worlds_and_the_same_seed_the_same():
    config = WorldConfig("tiny", 50, 4)
    one, again, other = (made_requests(config, 2, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.room, again.room) and np.array_equal(one.looks, again.looks)
    assert not np.array_equal(one.timestamp, other.timestamp)


def test_a_page_shows_the_best_of_an_arm_first(site):
    site, before = site
    places = served(site, before, OraclePolicy())[site.requests.day >= 4]
    probability = site.requests.probability[site.requests.day >= 4]
    shown = np.take_along_axis(probability, places, 1)
    assert (np.diff(shown, axis=1) <= 0).all()
    assert np.allclose(shown[:, 0], probability.max(axis=1))
