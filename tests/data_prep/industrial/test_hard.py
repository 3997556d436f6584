"""The preset `hard`: what is planted there and not in the other presets, in logs that it generates."""

import dataclasses
import hashlib

import numpy as np
import pytest
from pyarrow import csv

from data_prep.generating import planted_interests
from data_prep.industrial import planted_figures, planted_process
from data_prep.industrial.generator import generate
from data_prep.industrial.generator_config import PRESETS, GeneratorConfig
from data_prep.industrial.planted_popularity import Popularity, draw_popularity
from lcn_tf.metrics import exact_auc

HARD = GeneratorConfig(preset="hard", num_users=600)
TEST_DAY = HARD.process.impression_days - 1
# SHA256 of what seed 17 gave for 90 users at the commit that added the preset, before any model had seen its logs.
HASHES = {
    "events.csv": "3321f57e9f58ec6148e6720dfc737a0cf9da72a06f15b91f6aea35f5cd90c7ae",
    "impressions.csv": "0aff8129d340248e226c32bdfa4fdc754f75c9574a211d6cf2b2295259046aee",
    "true_probability.csv": "6a3b4bca7656fc1115a765e262a7abc35bd30b6fc2c9cb20e3e403f48fc525c6",
    "true_probability_videos.csv": "e53e4f68931039c9f219dd1cad6bdb7fef34437a88f4d948f42189fd4bd5fab6",
    "users.csv": "f78921fb612235df1a9339a5a8f1f3f6a04df98edd6d759a89b334fe96748431",
    "video_impressions.csv": "203a1d01c1b5c1b61d2475ea87df80520cccb050a63fc9fe666aa0b118e61bf6",
}


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Columns of each file as arrays."""
    path = tmp_path_factory.mktemp("logs")
    generate(path, HARD, workers=1)
    read = {}
    for name in ("impressions", "events", "true_probability"):
        table = csv.read_csv(path / f"{name}.csv")
        read[name] = {column: table[column].to_numpy() for column in table.column_names}
        if "timestamp" in read[name]:
            read[name]["day"] = (read[name]["timestamp"] - planted_process.FIRST_IMPRESSION) // 86_400
    return read


def rank_correlation(first, second):
    return np.corrcoef([np.argsort(np.argsort(counts)) for counts in (first, second)])[0, 1]


def share_of_top_tenth(counts):
    return np.sort(counts)[-(len(counts) // 10):].sum() / counts.sum()


def test_the_logs_stay_what_models_were_compared_on(tmp_path):
    generate(tmp_path, GeneratorConfig(preset="hard", num_users=90), workers=1)
    assert {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in HASHES} == HASHES


def test_off_in_the_other_presets():
    for name in ("tiny", "small", "paper_shape"):
        process = PRESETS[name]
        assert not (process.shared_categories or process.room_turnover or process.activity_exponent
                    or process.popularity_exponent), name


def test_domains_have_the_same_categories(logs):
    events = logs["events"]
    is_live = events["domain"] == "live"
    videos, rooms = set(events["category"][~is_live]), set(events["category"][is_live])
    assert videos == rooms >= set(logs["impressions"]["category"])


def test_a_fifth_of_each_days_rooms_has_never_been_shown(logs):
    shown = logs["impressions"]
    for day in range(1, TEST_DAY + 1):
        earlier, rooms = (set(shown["room_id"][rows]) for rows in (shown["day"] < day, shown["day"] == day))
        assert 0.15 < len(rooms - earlier) / len(rooms) < 0.25
        assert len(rooms) > 0.9 * HARD.process.rooms * HARD.process.num_topics
    authors = [set(shown["author"][rows]) for rows in (shown["day"] < TEST_DAY, shown["day"] == TEST_DAY)]
    assert authors[1] <= authors[0]


def test_rooms_keep_their_topic_and_never_come_back(logs):
    world = planted_process.make_world(HARD.process, np.random.default_rng(1))
    slots = HARD.process.rooms * HARD.process.num_topics
    assert np.all(world.open_room % HARD.process.num_topics == np.arange(slots) % HARD.process.num_topics)
    for slot in world.open_room.T:
        assert np.all(np.diff(slot) >= 0)  # a new room has a larger index
    assert np.all(np.sum(np.diff(world.open_room, axis=0) > 0, axis=1) == round(0.2 * slots))
    shown = logs["impressions"]
    of_room = set(zip(shown["room_id"], shown["author"], shown["category"], strict=True))
    assert len(of_room) == len(set(shown["room_id"]))


def test_activity_and_popularity_follow_power_laws(logs):
    shown, events = logs["impressions"], logs["events"]
    assert share_of_top_tenth(np.bincount(shown["user"], minlength=HARD.users + 1)[1:]) > 0.4
    videos = events["domain"] == "video"
    assert share_of_top_tenth(np.bincount(events["user"][videos], minlength=HARD.users + 1)[1:]) > 0.35
    first_day = shown["day"] == 0
    assert share_of_top_tenth(np.unique(shown["room_id"][first_day], return_counts=True)[1]) > 0.4
    earlier = np.array([np.sum((events["user"][videos] == user) & (events["timestamp"][videos] < second))
                        for user, second in set(zip(shown["user"][first_day], shown["timestamp"][first_day],
                                                    strict=True))])
    assert np.mean(earlier < 300) > 0.1 and np.mean(earlier > 2_000) > 0.1


def test_popularity_drifts(logs):
    events = logs["events"]
    is_video = events["domain"] == "video"
    authors = HARD.process.num_topics * (HARD.process.video_authors + HARD.process.live_authors)
    counts = np.array([np.bincount(events["author"][is_video & (events["day"] == day)], minlength=authors)
                       for day in range(-28, TEST_DAY + 1)])
    counts = counts[:, counts.sum(axis=0) > 0]
    adjacent = np.mean([rank_correlation(*pair) for pair in zip(counts[:-1], counts[1:], strict=True)])
    assert adjacent > 0.5 and rank_correlation(counts[0], counts[-1]) < adjacent - 0.3
    week = np.mean([rank_correlation(*pair) for pair in zip(counts[:-6], counts[6:], strict=True)])
    assert week < adjacent - 0.1


def test_the_oracle_is_known_and_popularity_tells_little(logs):
    shown, probability = logs["impressions"], logs["true_probability"]["probability"]
    clicked, train, test = shown["clicked"], shown["day"] < TEST_DAY - 1, shown["day"] == TEST_DAY
    spread = np.sqrt(np.sum(probability * (1 - probability)))
    assert abs(clicked.sum() - probability.sum()) < 4 * spread
    clicks = np.bincount(shown["room_id"][train], clicked[train], shown["room_id"].max() + 1)
    counts = np.bincount(shown["room_id"][train], minlength=shown["room_id"].max() + 1)
    rate = ((clicks + 10 * clicked[train].mean()) / (counts + 10))[shown["room_id"]]
    oracle, popularity = (exact_auc(clicked[test], score[test]) for score in (probability, rate))
    assert 0.72 < oracle < 0.82 and oracle > popularity + 0.12


def test_size_and_what_only_the_whole_history_shows():
    figures = planted_figures.measure(HARD)
    in_training = 5 / 7 * figures["impressions"] * PRESETS["hard"].num_users / HARD.users
    assert 45_000 < in_training < 75_000
    short = max(figures["AUC, latest events"], figures["AUC, latest events, finished videos"])
    assert figures["AUC, whole history, finished videos"] > short + 0.03
    assert 0.2 < figures["share of pages with 2,000"] < 0.5
    videos = planted_figures.measure(dataclasses.replace(HARD, num_users=200), "source")
    assert 0.70 < videos["AUC, true probability"] < 0.82


def test_power_law():
    factors = planted_interests.power_law(np.random.default_rng(3), 200_000, 1.2, 100.0)
    assert abs(factors.mean() - 1) < 0.02 and abs(factors.max() / factors.min() / 100 - 1) < 0.01
    least = factors.min()
    for times in (2, 5, 10):
        expected = (times**-1.2 - 100**-1.2) / (1 - 100**-1.2)
        assert abs(np.mean(factors > times * least) / expected - 1) < 0.03


def test_popularity_is_zipfs_law_of_each_day():
    rng, topics, things = np.random.default_rng(3), 3, 15
    popularity = draw_popularity(rng, 2, things, topics, exponent=1.0, persistence=0.9)
    law = 1 / np.arange(1.0, things + 1)
    for day in range(2):
        counts = np.bincount(popularity.draw(rng, np.full(100_000, day)), minlength=things)
        np.testing.assert_allclose(np.sort(counts)[::-1] / 100_000, law / law.sum(), rtol=0.1)
        drawn = popularity.draw_of_topic(rng, np.full(100_000, 2), np.full(100_000, day))
        assert np.all(drawn % topics == 2) and set(drawn // topics) == set(range(5))
        of_topic = np.bincount(drawn, minlength=things)[2::topics] / 100_000
        np.testing.assert_allclose(of_topic, counts[2::topics] / counts[2::topics].sum(), rtol=0.1)


def test_without_exponent_all_things_are_equally_popular():
    rng = np.random.default_rng(3)
    popularity = draw_popularity(rng, 2, 15, 3, exponent=0.0, persistence=0.9)
    assert popularity == Popularity(15, 3)
    counts = np.bincount(popularity.draw(rng, np.zeros(60_000, int)), minlength=15)
    np.testing.assert_allclose(counts, 4_000, rtol=0.1)


def test_a_month_goes_on_as_hard_does(tmp_path):
    config = GeneratorConfig(preset="month", num_users=200)
    assert dataclasses.replace(config.process, num_users=3_500, visits_per_user=3.5, impression_days=7) == HARD.process
    generate(tmp_path, config, workers=1)
    shown = csv.read_csv(tmp_path / "impressions.csv")
    day = (shown["timestamp"].to_numpy() - planted_process.FIRST_IMPRESSION) // 86_400
    room = shown["room_id"].to_numpy()
    assert np.unique(day).tolist() == list(range(30))
    first_week, last_week = (set(room[(day >= begin) & (day < begin + 7)]) for begin in (0, 23))
    assert len(first_week & last_week) < 0.1 * len(first_week)  # a fifth closes every night
    acted = csv.read_csv(tmp_path / "events.csv")["timestamp"].to_numpy()
    assert acted.max() < planted_process.FIRST_EVENT + 58 * 86_400
