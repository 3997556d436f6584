"""Prepared MovieLens ratings against the plain-Python preparation, and every refusal."""

import collections
import dataclasses
import itertools

import numpy as np
import pytest

from data_prep.calendar_splits import day_start
from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.movielens.config import MovieLensConfig
from data_prep.movielens.prepare import prepare
from lcn_tf.schema import FeatureSchema
from tests import references_data
from tests.data_prep.movielens_files import DATES, MOVIES, random_ratings, write_files

ROLES = {"user": ("user_id",), "item": ("movie_id", "genre"), "candidate": (), "request": (), "context": ("rating",)}
SMALL = PreparationConfig(short_length=3, lifelong_length=11, shards=2, memory_limit="500MB")


def prepared(tmp_path, config=None, preparation=SMALL, **files):
    files.setdefault("ratings", random_ratings(1))
    write_files(tmp_path / "ml", **files)
    prepare(str(tmp_path / "ml"), str(tmp_path / "out"), config or MovieLensConfig(**DATES), preparation)
    return tmp_path / "out"


def reference_tables(ratings, threshold=4.0, row_set="target", favourite_stars=0):
    movies = {movie: (is_target, genre) for movie, _, _, is_target, genre in MOVIES}
    shown = {movie for movie, (is_target, _) in movies.items() if is_target == (row_set == "target")}
    raters = {user for user, movie, _, moment in ratings if moment > 0 and movie in shown}
    impressions, events = [], []
    for row, (user, movie, stars, moment) in enumerate(ratings):
        if moment <= 0 or movie not in movies or user not in raters or (row_set == "source" and movie not in shown):
            continue
        is_target, genre = movies[movie]
        item = {"user": user, "timestamp": moment, "movie_id": str(movie), "genre": genre}
        events.append({**item, "row": row, "rating": str(stars), "domain": "target" if is_target else "source"})
        if movie in shown:
            impressions.append({**item, "impression_id": row, "label": int(stars >= threshold)})
            if favourite_stars:
                impressions[-1]["favourite"] = int(stars >= favourite_stars)
    return impressions, events, {user: {"user_id": str(user)} for user in raters}


@pytest.mark.parametrize(("threshold", "line_end", "settings"), [
    (4.0, "\n", {}),
    (4.0, "\n", {"row_set": "source"}),
    (3.5, "\n", {"favourite_stars": 4.5}),
    (3.0, "\n", {"snapshot": "user", "max_candidates": 5, "vocabulary": "hashed", "hash_bins": 1_000}),
    (3.5, "\r\n", {"snapshot": "day", "exclude_recent": True}),
    (5.0, "\n", {"deduplicate": True, "min_count": 40}),
])
def test_records_equal_the_plain_python_preparation(tmp_path, threshold, line_end, settings):
    ratings, settings = random_ratings(7), dict(settings)
    row_set, favourite_stars = settings.pop("row_set", "target"), settings.pop("favourite_stars", 0)
    labels = ("label", "favourite") if favourite_stars else ("label",)
    if settings.get("deduplicate"):
        expected_ratings = list(dict.fromkeys(ratings))
        assert len(expected_ratings) < len(ratings)
        rows = [ratings.index(rating) for rating in expected_ratings]
    else:
        expected_ratings, rows = ratings, list(range(len(ratings)))
    config = MovieLensConfig(label_threshold=threshold, row_set=row_set, favourite_stars=favourite_stars, **DATES)
    preparation = PreparationConfig(**{"short_length": 3, "lifelong_length": 11, "shards": 2, **settings})
    output_dir = prepared(tmp_path, config, preparation, ratings=ratings, line_end=line_end)
    impressions, events, users = reference_tables(expected_ratings, threshold, row_set, favourite_stars)
    for impression in impressions:
        impression["impression_id"] = rows[impression["impression_id"]]
    cuts = [0, day_start(DATES["validation_from"]), day_start(DATES["test_from"]), 2**40]
    names = {"snapshot", "exclude_recent", "min_count", "max_candidates", "hash_bins"} & set(settings)
    expected = references_data.reference_records(
        impressions, events, users, ROLES, cuts[1], test_start=cuts[2], short_length=3, lifelong_length=11,
        labels=labels, **{name: settings[name] for name in names})
    for split, first, end in zip(("train", "validation", "test"), cuts, cuts[1:], strict=False):
        wanted = [record for key, record in expected.items() if first <= key[1] < end]
        found = {tuple(record["impression_id"]): record for record in references_data.read_records(output_dir, split)}
        assert len(found) == len(wanted) > 0
        for record in wanted:
            assert found[tuple(record["impression_id"])] == record
            assert row_set == "target" or not record["short_target_timestamp"]


@pytest.mark.parametrize("min_count", [1, 40])
def test_the_catalogue_has_every_item_of_the_training_days_once(tmp_path, min_count):
    ratings = random_ratings(7)
    output_dir = prepared(tmp_path, preparation=dataclasses.replace(SMALL, min_count=min_count), ratings=ratings)
    impressions, events, _ = reference_tables(ratings)
    end, counts = day_start(DATES["validation_from"]), collections.Counter()
    trained = [row for row in (*impressions, *events) if row["timestamp"] < end]
    for row in trained:
        counts.update([("movie", row["movie_id"]), ("genre", row["genre"])])
    oov = references_data.OOV
    expected = collections.Counter((int(row.get("domain") == "source"), *(
        value if counts[name, value] >= min_count else oov
        for name, value in (("movie", row["movie_id"]), ("genre", row["genre"])))) for row in trained)
    found = references_data.read_catalogue(output_dir)
    assert found == {item: count for item, count in expected.items() if item[1:] != (oov, oov)}
    assert {domain for domain, *_ in found} == {0, 1} or min_count > 1


def test_rows_are_accounted_for(tmp_path):
    ratings = random_ratings(1)
    rows = references_data.read_preparation(prepared(tmp_path, ratings=ratings))["rows"]
    _, events, _ = reference_tables(ratings)
    counts = rows["ratings.csv"]
    assert counts["read"] == len(ratings) == counts["used"] + sum(counts["dropped"].values())
    assert counts["used"] == len(events) and counts["dropped"]["timestamp not positive"] == 1
    assert counts["dropped"]["movie not in movies.csv"] == sum(movie == 17 for _, movie, _, _ in ratings)
    assert rows["movies.csv"] == {"read": 8, "used": 7, "dropped": {"movie of no used rating": 1}}


def test_schema(tmp_path):
    schema = FeatureSchema.load(prepared(tmp_path))
    assert schema.name == "movielens_cross_domain"
    assert {role: tuple(feature.name for feature in getattr(schema, role)) for role in ROLES} == ROLES


@pytest.mark.parametrize("validation_from", [None, "2010-01-30"])
def test_split_days_are_calendar_quantiles_of_the_target_ratings(tmp_path, validation_from):
    rng = np.random.default_rng(5)
    first = day_start("2010-01-01")
    ratings = [(1 + number % 3, 1, 4.0, first + int(rng.integers(0, 40 * 86_400))) for number in range(300)]
    config = MovieLensConfig(validation_from=validation_from)
    splits = references_data.read_preparation(prepared(tmp_path, config, ratings=ratings))["splits"]
    days = [moment // 86_400 for _, _, _, moment in ratings]
    validation, test = (day_start(splits[split]["first_day"]) // 86_400 for split in ("validation", "test"))
    if validation_from:
        assert splits["validation"]["first_day"] == validation_from
    else:
        assert sum(day < validation for day in days) >= 240 > sum(day < validation - 1 for day in days)
    assert sum(day < test for day in days) >= 270 > sum(day < test - 1 for day in days)


def test_three_days_are_enough(tmp_path):
    ratings = [(1, 1, 4.0, day_start(day)) for day in ("2010-01-01", "2010-01-05", "2010-01-09")] * 2
    splits = references_data.read_preparation(prepared(tmp_path, MovieLensConfig(), ratings=ratings))["splits"]
    assert [split["first_day"] for split in splits.values()] == ["2010-01-01", "2010-01-05", "2010-01-09"]


@pytest.mark.parametrize(("files", "message"), [
    ({"header": "user,movieId,rating,timestamp"},
     r"ratings\.csv, line 1: wrong header: expected \['userid'.*got \['user'"),
    ({"ratings": [(1, 1, 4.0, 10), (1, "two", 4.0, 10)]},
     r"ratings\.csv, line 3, column movieid: expected an integer, got 'two'"),
    ({"ratings": [(1, 1, 4.0, 10), (1, 2, 9.0, 10)]},
     r"ratings\.csv, line 3, column rating: expected 0.5 to 5 stars, got '9.0'"),
    ({"ratings": [(1, 1, 4.0, 10), (1, 2, 3.0, 1_267_000_000_000)]},
     r"ratings\.csv, line 3, column timestamp: expected seconds before the year 2100, got '1267000000000'"),
    ({"ratings": []}, r"ratings\.csv: the file has a header but no rows"),
    ({"ratings": [(1, 5, 4.0, 10)]}, r"ratings\.csv: no rating of a target-domain movie \(genre 'Sci-Fi'\)"),
    ({"movies": [*MOVIES, (1, "Again", "Drama")]},
     r"movies\.csv, line 10, column movieid: expected each movie once, got '1'"),
    ({"movies": [("x", "Title", "Sci-Fi")]}, r"movies\.csv, line 2, column movieid: expected an integer, got 'x'"),
    ({"movies": [*MOVIES, (2**63, "Big", "Drama")]},
     r"ml/movies\.csv, line 10, column movieid: expected an integer of 64 bits .*, got '9223372036854775808'"),
    ({"ratings": [(1, 1, 4.0, 10), (1, -2**63 - 1, 3.0, 10)]},
     r"ratings\.csv, line 3, column movieid: expected an integer of 64 bits .*, got '-9223372036854775809'"),
    ({"movies": [*MOVIES, (4, "Title", "Sci-Fi|Com\N{REPLACEMENT CHARACTER}die")]},
     r"ml/movies\.csv, line 10, column genres: expected UTF-8 text, got 'Sci-Fi|Com.die'"),
    ({"movies": [(4, "Title")]}, r"movies\.csv, line 2: expected 3 cells, got 2"),
    ({"movies": [(4, "Title", "Drama|War")]},
     r"movies\.csv: no movie of the target domain.*'Sci-Fi'.*\['Drama', 'War'\]"),
])
def test_refusals_name_file_line_and_value(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        prepared(tmp_path, **files)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dates", [
    {"validation_from": "2009-01-01"}, {"test_from": "2030-01-01"}, {"validation_from": "2010-03-30"},
    {"validation_from": "2010-03-09"}])
def test_dates_that_leave_a_split_empty(tmp_path, dates):
    with pytest.raises(InputError, match="split dates leave a split without a day: target ratings from 2010-03-01"):
        prepared(tmp_path, MovieLensConfig(**dates))


@pytest.mark.parametrize("missing", ["ratings.csv", "movies.csv"])
def test_missing_and_empty_files(tmp_path, missing):
    write_files(tmp_path / "ml", random_ratings(1))
    arguments = str(tmp_path / "ml"), str(tmp_path / "out"), MovieLensConfig(), SMALL
    (tmp_path / "ml" / missing).write_text("")
    with pytest.raises(InputError, match=f"{missing}: the file is empty"):
        prepare(*arguments)
    (tmp_path / "ml" / missing).unlink()
    with pytest.raises(InputError, match=f"{missing}: no such file"):
        prepare(*arguments)


@pytest.mark.shared_data
def test_the_real_ratings(tmp_path, shared_data):
    prepare(str(shared_data / "ml-latest-small"), str(tmp_path / "out"), MovieLensConfig(), PreparationConfig())
    preparation = references_data.read_preparation(tmp_path / "out")
    assert preparation["rows"]["ratings.csv"]["read"] == 100_836
    assert preparation["rows"]["movies.csv"]["read"] == 9_742
    splits = preparation["splits"]
    shown = [splits[split]["impressions"] for split in ("train", "validation", "test")]
    assert sum(shown) == preparation["target_ratings"] and round(sum(shown) / 100_836, 3) == 0.171
    assert 0.8 <= shown[0] / sum(shown) < 0.83 and shown[1] > 1_000 and shown[2] > 1_000
    records = list(itertools.chain.from_iterable(
        references_data.read_records(tmp_path / "out", split) for split in ("validation", "test")))
    for record in records:
        assert all(moment < record["timestamp"][0] for moment in record["lifelong_source_timestamp"])
    assert max(len(record["lifelong_source_timestamp"]) for record in records) == 500


@pytest.mark.parametrize(("settings", "least"), [
    ({"favourite_stars": 4}, 4), ({"favourite_stars": 5.5}, 4), ({"favourite_stars": 3, "label_threshold": 3}, 3),
    ({"favourite_stars": 0.5, "negatives_per_positive": 4}, 0.5), ({"favourite_stars": -1}, 4)])
def test_favourites_are_some_of_the_clicks(settings, least):
    with pytest.raises(ValueError, match=f"favourite_stars must be 0, or above {least} and at most 5 stars, got "
                                         f"{settings['favourite_stars']}"):
        MovieLensConfig(**settings)
    MovieLensConfig(favourite_stars=1, negatives_per_positive=4)
