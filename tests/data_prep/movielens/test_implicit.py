"""MovieLens as implicit feedback against a plain-Python preparation, and that nothing tells clicks from negatives."""

import collections
import dataclasses

import pytest

from data_prep.calendar_splits import day_start
from data_prep.config import PreparationConfig
from data_prep.movielens.config import MovieLensConfig
from data_prep.movielens.prepare import prepare
from data_prep.sampling import _SEED_STEP, MOST_ATTEMPTS
from tests import references_data
from tests.data_prep.movielens_files import DATES, MANY_MOVIES, popular_ratings, write_files
from tests.data_prep.test_sampling import mixed

ROLES = {"user": ("user_id",), "item": ("movie_id", "genre"), "candidate": (), "request": (), "context": ("rating",)}
SMALL = PreparationConfig(short_length=3, lifelong_length=11, shards=2, memory_limit="500MB", workers=1)
CONFIG = MovieLensConfig(negatives_per_positive=3, negatives_seed=5, **DATES)
CUTS = (0, day_start(DATES["validation_from"]), day_start(DATES["test_from"]), 2**40)
SPLITS = ("train", "validation", "test")
GENRES = {movie: genre for movie, _, _, _, genre in MANY_MOVIES}
TARGETS = {movie for movie, _, _, is_target, _ in MANY_MOVIES if is_target}
SOURCES = set(GENRES) - TARGETS


def prepared(tmp_path, ratings, config=CONFIG, preparation=SMALL):
    write_files(tmp_path / "ml", ratings, movies=MANY_MOVIES)
    prepare(str(tmp_path / "ml"), str(tmp_path / "out"), config, preparation)
    return tmp_path / "out"


def reference_impressions(ratings, config, domain):
    """Clicks and their negatives, draw by draw."""
    shown = [(row, *rating) for row, rating in enumerate(ratings) if rating[1] in domain]
    pool = [movie for _, _, movie, _, moment in shown if moment < CUTS[1]]
    popularity = collections.Counter(pool)
    rated = collections.defaultdict(set)
    for _, user, movie, _, _ in shown:
        rated[user].add(movie)
    clicked, impressions = set(), []
    for row, user, movie, stars, moment in sorted(shown, key=lambda rating: (rating[4], rating[0])):
        if (user, movie) in clicked:
            continue
        clicked.add((user, movie))
        left = len(pool) - sum(popularity[other] for other in rated[user])
        attempts = min(config.negatives_per_positive * 4 * len(pool) // max(left, 1), MOST_ATTEMPTS)
        first, negatives = row * (MOST_ATTEMPTS + 1) + config.negatives_seed * _SEED_STEP, []
        for attempt in range(1, attempts + 1):
            other = pool[mixed(first + attempt) % len(pool)]
            if other not in rated[user] and other not in negatives and len(negatives) < config.negatives_per_positive:
                negatives.append(other)
        for place, other in enumerate([movie, *negatives]):
            impressions.append({
                "user": user, "timestamp": moment, "impression_id": row * (config.negatives_per_positive + 1) + place,
                "label": int(place == 0), "movie_id": str(other), "genre": GENRES[other]})
            if config.favourite_stars:
                impressions[-1]["favourite"] = int(place == 0 and stars >= config.favourite_stars)
    return impressions


def all_records(output_dir):
    return {split: references_data.read_records(output_dir, split) for split in SPLITS}


@pytest.mark.parametrize(("row_set", "favourite_stars"), [("target", 0.0), ("source", 0.0), ("target", 3.5)])
def test_records_equal_the_plain_python_preparation(tmp_path, row_set, favourite_stars):
    ratings = popular_ratings(1)
    config = dataclasses.replace(CONFIG, row_set=row_set, favourite_stars=favourite_stars)
    labels = ("label", "favourite") if favourite_stars else ("label",)
    output_dir = prepared(tmp_path, ratings, config)
    impressions = reference_impressions(ratings, config, TARGETS if row_set == "target" else SOURCES)
    users = {shown["user"]: {"user_id": str(shown["user"])} for shown in impressions}
    events = [{"user": user, "timestamp": moment, "row": row, "movie_id": str(movie), "genre": GENRES[movie],
               "rating": str(stars), "domain": "target" if movie in TARGETS else "source"}
              for row, (user, movie, stars, moment) in enumerate(ratings)
              if user in users and (row_set == "target" or movie in SOURCES)]
    expected = references_data.reference_records(
        impressions, events, users, ROLES, CUTS[1], test_start=CUTS[2], short_length=3, lifelong_length=11,
        labels=labels)
    for split, first, end in zip(SPLITS, CUTS, CUTS[1:], strict=False):
        wanted = {tuple(record["impression_id"]): record for key, record in expected.items() if first <= key[1] < end}
        found = {tuple(record["impression_id"]): record for record in references_data.read_records(output_dir, split)}
        assert found == wanted and len(wanted) > 20
    facts = references_data.read_preparation(output_dir)
    clicks = sum(shown["label"] for shown in impressions)
    assert (facts["clicks"], facts["sampled_negatives"]) == (clicks, len(impressions) - clicks)
    assert facts["missing_negatives"] == 4 * clicks - len(impressions)


@pytest.mark.parametrize("snapshot", ["request", "day", "user"])
def test_nothing_but_the_movie_tells_clicks_from_negatives(tmp_path, snapshot):
    ratings = popular_ratings(2)
    assert len({rating[:2] for rating in ratings}) < len(ratings), "some movies are rated again"
    rated, shown, dropped = {rating[:2] for rating in ratings}, 0, 0
    preparation = dataclasses.replace(SMALL, snapshot=snapshot, short_length=500, lifelong_length=500)
    for record in [record for split in all_records(prepared(
            tmp_path, ratings, preparation=preparation)).values() for record in split]:
        user, shown = record["user_key"][0], shown + len(record["label"])
        by_click = collections.defaultdict(set)
        for place, (movie, impression, label, moment) in enumerate(zip(
                record["movie_id"], record["impression_id"], record["label"], record["timestamp"], strict=True)):
            # The candidate is not in its own history, whether clicked or not; every event is earlier.
            for history in ("short_target", "lifelong_source"):
                start = record[f"{history}_offset"][place]
                assert movie not in record[f"{history}_movie_id"][start:] or movie == "OOV"
                assert all(second < moment for second in record[f"{history}_timestamp"][start:])
            assert label == (impression % 4 == 0) == ((user, int(movie if movie != "OOV" else 0)) in rated
                                                      or (movie == "OOV" and impression % 4 == 0))
            by_click[impression // 4].add((movie, moment))
        for candidates in by_click.values():
            assert len({moment for _, moment in candidates}) == 1
            dropped += 4 - len(candidates)
    assert shown > 1_000 and dropped > 0, "the user who knows nearly every movie has fewer negatives"


def test_clicks_are_all_rated_movies_whatever_their_stars(tmp_path):
    ratings = popular_ratings(3)
    found = {}
    for threshold in (2.0, 5.0):
        config = dataclasses.replace(CONFIG, label_threshold=threshold)
        found[threshold] = all_records(prepared(tmp_path / str(threshold), ratings, config))
    assert found[2.0] == found[5.0]
    clicked = sum(sum(record["label"]) for split in found[2.0].values() for record in split)
    assert clicked == len({(user, movie) for user, movie, _, _ in ratings if movie in TARGETS})


@pytest.mark.shared_data
def test_the_real_ratings_as_implicit_feedback(tmp_path, shared_data):
    config = MovieLensConfig(negatives_per_positive=4)
    prepare(str(shared_data / "ml-latest-small"), str(tmp_path / "out"), config, PreparationConfig())
    facts = references_data.read_preparation(tmp_path / "out")
    assert (facts["clicks"], facts["missing_negatives"]) == (17_243, 0)
    assert [facts["splits"][split]["impressions"] for split in SPLITS] == [69_020, 8_645, 8_550]
    assert {facts["splits"][split]["click_rate"] for split in SPLITS} == {0.2}
    popularity = {label: collections.Counter() for label in (0, 1)}
    for record in references_data.read_records(tmp_path / "out", "train"):
        for movie, label in zip(record["movie_id"], record["label"], strict=True):
            popularity[label][movie] += 1
    common = [movie for movie, count in popularity[1].items() if count > 60]
    # A popular movie is refused more often: most of those who draw it have rated it.
    assert len(common) > 50 and 2 < sum(popularity[0][m] for m in common) / sum(popularity[1][m] for m in common) < 4
