"""The presets in which a further part pays: each plants its mechanism, and the others have none of it."""

import collections
import dataclasses
import hashlib

import numpy as np
import pytest
from pyarrow import csv

from data_prep.industrial import planted_figures, planted_process
from data_prep.industrial.generator import author_topics, files_of, generate
from data_prep.industrial.generator_config import PRESETS, WORLDS, GeneratorConfig, Process
from data_prep.industrial.planted_worlds import MOST_FATIGUE, feedback_names
from data_prep.text_vectors.texts import read_texts
from data_prep.text_vectors.tfidf_vectors import tfidf_vectors
from lcn_tf.metrics import exact_auc

# SHA256 of what seed 17 gave for 40 users before any model had seen the logs of these presets.
HASHES = {
    "scenarios": {
        "events.csv": "354e206349391c7f",
        "impressions.csv": "ad5d8ccee6c8881c",
        "true_probability.csv": "d938aac198873e1b",
        "true_probability_videos.csv": "718901bb5fdfb982",
        "users.csv": "fab454b302dda8eb",
        "video_impressions.csv": "6508c5b49a36c16d"},
    "unclicked": {
        "events.csv": "83f4d46e7ec45e90",
        "impressions.csv": "b17b172f959a8783",
        "true_probability.csv": "f1eaa6407fa4c2c9",
        "true_probability_videos.csv": "3216a02f19f00611",
        "users.csv": "7a811143aee0066b",
        "video_impressions.csv": "4fe81d1e89cc33c5"},
    "cascade": {
        "events.csv": "6aebfb789f62a531",
        "impressions.csv": "af320b780c993d30",
        "true_probability.csv": "938e6503141a2bf8",
        "true_probability_videos.csv": "578fe3d91a4810df",
        "users.csv": "5f122ac5f94916b7",
        "video_impressions.csv": "512335f3535a5876"},
    "feedbacks": {
        "events.csv": "6ecba2bb271a4842",
        "impressions.csv": "6e5d351ffc9f0e06",
        "true_probability.csv": "5c786a6b03b98ab7",
        "true_probability_videos.csv": "718901bb5fdfb982",
        "users.csv": "bbb0c75b23ab08a5",
        "video_impressions.csv": "2508cdf1541d518e"},
    "texts": {
        "events.csv": "720a11c6f677c075",
        "impressions.csv": "046a299a9902fcc7",
        "item_texts.csv": "1d613f1bd2c65b3e",
        "true_probability.csv": "11c2a0c3dba1539d",
        "true_probability_videos.csv": "baacb19966e68c19",
        "users.csv": "678fbc2090a688e0",
        "video_impressions.csv": "f4510d7660c0f3fe"},
    "stream": {
        "events.csv": "ce015cd0cbc76238",
        "impressions.csv": "4b4810833f1789c2",
        "true_probability.csv": "25cacf413d6dba39",
        "true_probability_videos.csv": "65537f3d03a0978c",
        "users.csv": "d377db4e715d1c96",
        "video_impressions.csv": "1130a78c8973cffe"},
}
MECHANISMS = ("scenarios", "fatigue", "stay_law", "feedbacks", "watching_tells", "categories_tell", "new_authors",
              "text_words")


def drawn(preset, users):
    rng = np.random.default_rng(3)
    world = planted_process.make_world(PRESETS[preset], rng)
    return world, *planted_process.draw_users(world, users, rng)


def logit(probability):
    return np.log(probability / (1 - probability))


def assert_calibrated(happened, probability):
    for rows in np.array_split(np.argsort(probability, kind="stable"), 5):
        spread = np.sqrt(np.sum(probability[rows] * (1 - probability[rows])))
        assert abs(np.sum(happened[rows]) - np.sum(probability[rows])) < 4 * spread


@pytest.mark.parametrize("preset", WORLDS)
def test_the_logs_stay_what_models_were_compared_on(tmp_path, preset):
    config = GeneratorConfig(preset=preset, num_users=40)
    generate(tmp_path, config, workers=1)
    found = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()[:16] for name in sorted(files_of(config))}
    assert {path.name for path in tmp_path.iterdir()} == set(found)
    assert found == HASHES[preset]


def test_every_mechanism_is_off_in_the_other_presets_and_pays_in_one():
    default = {field.name: field.default for field in dataclasses.fields(Process)}
    on = {preset: {name for name in MECHANISMS if getattr(process, name) != default[name]}
          for preset, process in PRESETS.items()}
    assert {preset: names for preset, names in on.items() if names} == {
        "scenarios": {"scenarios"}, "unclicked": {"fatigue"}, "cascade": {"stay_law"},
        "feedbacks": {"feedbacks", "watching_tells"}, "texts": {"categories_tell", "new_authors", "text_words"},
        "stream": {"new_authors"}}


def test_each_scenario_has_a_law_of_its_own():
    world, _, shown, _ = drawn("scenarios", 900)
    assert_calibrated(shown.clicked, shown.probability)
    more_where_liked = {}
    for place, law in enumerate(world.process.scenarios):
        rows = shown.scenario == place
        assert abs(rows.mean() - law.share) < 0.03
        liked, other = (shown.clicked[rows & (shown.liked == flag)].mean() for flag in (True, False))
        more_where_liked[law.name] = liked / other
    assert more_where_liked["home"] > 3 and 0.9 < more_where_liked["nearby"] < 2 and more_where_liked["explore"] < 0.7
    assert abs(shown.without.mean() - shown.probability.mean()) < 0.01


def test_what_was_shown_and_not_clicked_makes_its_topic_less_attractive():
    """Against the same law in plain Python, candidate by candidate."""
    world, _, shown, _ = drawn("unclicked", 60)
    process, expected = world.process, np.zeros(len(shown.user))
    topic = shown.room % process.num_topics
    for row, (user, moment) in enumerate(zip(shown.user, shown.timestamp, strict=True)):
        earlier = (shown.user == user) & (shown.timestamp < moment) & (topic == topic[row]) & ~shown.clicked
        hours = (moment - shown.timestamp[earlier]) / 3_600
        remembered = np.sum(0.5 ** (hours / process.fatigue_half_life))
        expected[row] = process.fatigue * min(remembered, MOST_FATIGUE)
    np.testing.assert_allclose(logit(shown.without) - logit(shown.probability), expected, atol=1e-9)
    assert np.mean(expected > 0.5) > 0.2
    assert_calibrated(shown.clicked, shown.probability)


def test_long_stays_are_rare_and_follow_a_taste_that_clicks_share_in_part():
    world, _, shown, events = drawn("cascade", 900)
    law, clicked = world.process.stay_law, shown.clicked
    is_long = shown.stay_seconds >= law.seconds
    assert 0.05 < is_long[clicked].mean() < 0.10 and not is_long[~clicked].any()
    assert_calibrated(is_long[clicked], shown.stay_probability[clicked])
    by_own, by_click = (exact_auc(is_long[clicked], score[clicked])
                        for score in (shown.stay_probability, shown.probability))
    assert by_own - 0.08 > by_click > 0.55
    entered = events.is_live & ~np.isin(events.timestamp, shown.timestamp + 1)
    assert 0.03 < np.mean(events.watch_seconds[entered] >= law.seconds) < 0.12  # the taste shows in histories, too


def test_the_rarer_a_feedback_the_more_it_tells_and_watching_tells_nothing():
    world, _, _, events = drawn("feedbacks", 200)
    names = feedback_names(world.process.feedbacks)
    counts = np.bincount(events.feedback, minlength=len(names))
    shares = [events.from_interest[events.feedback == place].mean() for place in range(len(names))]
    assert names == ("watch", "like", "follow") and counts[0] > 5 * counts[1] > 10 * counts[2] > 0
    assert shares[0] < 0.35 and shares[1] > shares[0] + 0.3 and shares[2] > shares[1] + 0.1
    videos = ~events.is_live
    finished = [np.mean(events.finished[videos & (events.from_interest == flag)] == 1) for flag in (True, False)]
    assert abs(finished[0] - finished[1]) < 0.01


def columns_of(folder, name):
    table = csv.read_csv(folder / name)
    return {column: table[column].to_numpy(zero_copy_only=False) for column in table.column_names}


def test_texts_tell_topics_and_categories_do_not(tmp_path):
    config = GeneratorConfig(preset="texts", num_users=60)
    generate(tmp_path, config, workers=1)
    shown, topics = columns_of(tmp_path, "impressions.csv"), author_topics(config)
    ids, texts = read_texts(str(tmp_path / "item_texts.csv"), "id", ["text"])
    authors = set(shown["author"]) | set(columns_of(tmp_path, "events.csv")["author"])
    assert authors <= {int(author) for author in ids} and len(set(ids)) == len(ids)
    vectors, topic = tfidf_vectors(texts), np.array([topics[int(author)] for author in ids])
    half = np.arange(len(ids)) % 2 == 0
    centres = np.stack([vectors[half & (topic == number)].mean(axis=0) for number in range(config.process.num_topics)])
    assert np.mean((vectors[~half] @ centres.T).argmax(axis=1) == topic[~half]) > 0.8
    of_category = collections.defaultdict(set)
    for author, category in zip(shown["author"], shown["category"], strict=True):
        of_category[category].add(topics[author])
    assert len(of_category) > 20 and np.mean([len(found) for found in of_category.values()]) > 4


@pytest.mark.parametrize("preset", ["texts", "stream"])
def test_new_rooms_are_by_new_authors(preset):
    world, _, shown, _ = drawn(preset, 100)
    author, day = world.room_author[shown.room], planted_process.day_of(shown.timestamp)
    assert len(np.unique(np.stack([shown.room, author]), axis=1).T) == len(set(author)) == len(set(shown.room))
    share = np.mean(world.open_room[1:] != world.open_room[:-1], axis=1)
    np.testing.assert_allclose(share, world.process.room_turnover, atol=1e-3)
    last = world.process.log_days - 1
    assert len(set(author[day == last]) - set(author[day < last])) > 0.1 * len(set(author[day == last]))
    assert set(day) == set(range(28, 28 + (30 if preset == "stream" else 7)))


@pytest.mark.parametrize(("preset", "users", "oracle", "without", "least"), [
    ("scenarios", 400, "AUC, true probability", "AUC, scenario as an intercept", 0.06),
    ("unclicked", 300, "AUC, topics counted among the latest 50 rooms not clicked", "AUC, without fatigue", 0.04),
    ("cascade", 1_200, "AUC, long stays, true probability", "AUC, long stays, by the click's law", 0.02),
    ("feedbacks", 400, "AUC, whole history, by feedback", "AUC, whole history", 0.02),
    ("texts", 600, "AUC, test day, true probability", "AUC, test day, authors of under 20 rows unknown", 0.02),
    ("stream", 300, "AUC, test day, true probability", "AUC, test day, authors of under 20 rows unknown", 0.04)])
def test_the_mechanism_is_worth_something(preset, users, oracle, without, least):
    figures = planted_figures.measure(GeneratorConfig(preset=preset, num_users=users))
    assert 0.70 < figures["AUC, true probability"] < 0.82
    assert figures[oracle] > figures[without] + least
