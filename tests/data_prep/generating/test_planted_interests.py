"""Draws that the generators of logs share."""

import numpy as np
import pytest

from data_prep.generating import planted_interests as planted


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def users_of(rng, **changes):
    settings = {"count": 400, "topics": 11, "interests": 5, "focus_interests": 2, "focus_persistence": 0.8,
                "visits": 3.0, "first": 1_000_000, "days": 7, "second_of_day": planted.hours_of_day()}
    return planted.draw_users(rng, **(settings | changes))


def test_a_quantile_table_draws_by_weight():
    table = planted.quantile_table(np.array([[1.0, 0.0, 3.0], [0.0, 1.0, 0.0]]))
    assert table.shape == (2, planted.QUANTILES)
    assert np.bincount(table[0], minlength=3).tolist() == [1_024, 0, 3_072]
    assert set(table[1]) == {1}


def test_things_of_a_topic(rng):
    topic = np.repeat(np.arange(5), 200)
    things = planted.of_topic(rng, topic, 5, 13)
    assert np.all(things % 5 == topic)
    assert set(things) == set(range(13))


def test_repeats_on_a_page():
    page, item = np.array([0, 0, 0, 1, 1, 0]), np.array([4, 2, 4, 4, 2, 4])
    assert sorted(planted.repeats_on_page(page, item, 7)) == [2, 5]


def test_visits_lie_in_their_days_and_have_some_interests_in_mind(rng):
    users = users_of(rng)
    assert len(set(map(tuple, np.sort(users.interests, axis=1)))) > 100
    assert np.all((users.visit_time >= 1_000_000) & (users.visit_time < 1_000_000 + 7 * planted.DAY - 1_200))
    np.testing.assert_allclose(users.focus.sum(axis=1), 1.0)
    assert set(np.count_nonzero(users.focus, axis=1)) == {2}


def test_pages_of_a_user_have_different_seconds(rng):
    users = users_of(rng, visits=50.0, days=1)
    visit, second = planted.draw_pages(rng, users, extra_pages=2.0)
    pairs = list(zip(users.visit_user[visit], second, strict=True))
    assert len(set(pairs)) == len(pairs) > len(users.visit_user)


def test_liking_is_lasting_affinity_tilted_to_the_focus(rng):
    users = users_of(rng)
    visit = np.arange(len(users.visit_user))
    user, topic = users.visit_user, users.interests[users.visit_user, 3]
    lasting = planted.liking(users, visit, topic, 0.0)
    np.testing.assert_allclose(lasting**2, users.affinity[user, 3])
    np.testing.assert_allclose(planted.liking(users, visit, topic, 1.0) ** 2, users.focus[:, 3], atol=1e-12)
    strange = np.array([min(set(range(11)) - set(row)) for row in users.interests[user]])
    assert not planted.liking(users, visit, strange, 0.1).any()


def test_events_before_a_visit_reflect_its_focus_and_others_follow_trends(rng):
    hours = planted.hours_of_day()
    users = users_of(rng, first=1_000_000 + 7 * planted.DAY)
    trends = planted.topic_trends(rng, 14, 11, strength=1.0, persistence=0.8)
    events = planted.draw_activity(rng, users, trends, 1_000_000, hours, near=20.0, far=100.0, near_share=1.0,
                                   far_share=0.1)
    near = int(np.sum(events.from_interest)) - int(0.1 * 100 * 400)
    assert 0.9 < near / (20 * len(users.visit_user)) < 1.1
    own = np.any(users.interests[events.user] == events.topic[:, None], axis=1)
    assert own[events.from_interest].all() and 0.3 < own[~events.from_interest].mean() < 0.6
    assert events.timestamp.min() >= 1_000_000 and events.timestamp.max() < 1_000_000 + 14 * planted.DAY
