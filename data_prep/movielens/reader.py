"""Reads `ratings.csv` and `movies.csv` of GroupLens as canonical tables.

Line ends LF or CRLF, quoted titles, UTF-8; header names in any case (`userId`, `userid`).
"""

from __future__ import annotations

import csv

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from data_prep.description import DOMAINS, Source
from data_prep.errors import InputError
from data_prep.movielens.config import DEVELOPMENT_SHARE, FAVOURITE, TRAIN_SHARE, MovieLensConfig, describe
from data_prep.movielens.implicit import implicit_impressions
from data_prep.reading.accounting import REASON, RowCounts, number_of_rows, used_rows
from data_prep.reading.csv_files import REPLACEMENT, Check, CsvColumn, CsvFormat, integer
from data_prep.reading.drop_rules import DropRule, drop_reason, not_positive
from data_prep.reading.log_reader import LogReader
from data_prep.share_splits import share_splits

RATINGS = CsvFormat(("ratings.csv",), (
    CsvColumn("userid", "integer"), CsvColumn("movieid", "integer"), CsvColumn("rating", "number"),
    CsvColumn("timestamp", "integer")), (
    Check("rating", lambda table: ~table.rating.between(0.5, 5.0), "0.5 to 5 stars"),
    Check("timestamp", lambda table: table.timestamp >= YEAR_2100, "seconds before the year 2100")))
MOVIES = CsvFormat(("movies.csv",), (
    CsvColumn("movieid", "integer"), CsvColumn("title", "text"), CsvColumn("genres", "text")))

ONLY_TARGET_GENRE = "(none)"
YEAR_2100 = 4_102_444_800  # milliseconds lie beyond it


def find_files(input_dir: str) -> tuple[str, str]:
    """The paths of `ratings.csv` and `movies.csv`, headers checked.

    Raises:
      InputError: a file is missing, empty or has another header.
    """
    return RATINGS.find(input_dir), MOVIES.find(input_dir)


def read_movies(path: str, name: str, target_genre: str) -> pa.Table:
    """Movies with their domain and genre.

    Args:
      path: plain UTF-8 text.
      name: of the file in messages.
      target_genre: makes a movie one of the target domain.

    Returns:
      `movieid` (int64, unique), `is_target` (bool) and `genre`, the first genre other than the target's: `(none)` for a
      movie that has no other.

    Raises:
      InputError: a line that cannot be read, a movie listed twice, or no movie of the target genre.
    """
    movies: dict[int, tuple[bool, str]] = {}
    known: set[str] = set()
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            next(reader)
            for cells in reader:
                if not cells:
                    continue
                where = f"{name}, line {reader.line_num}"
                if len(cells) != len(MOVIES.columns):
                    raise InputError(f"{where}: expected {len(MOVIES.columns)} cells, got {len(cells)}: {cells!r}")
                movie = integer(cells[0])
                if movie is None:
                    raise InputError(f"{where}, {MOVIES.columns[0].problem(cells[0])}")
                if movie in movies:
                    raise InputError(f"{where}, column movieid: expected each movie once, got {cells[0]!r} again")
                if REPLACEMENT in cells[2]:
                    raise InputError(f"{where}, column genres: expected UTF-8 text, got {cells[2]!r}")
                genres = [genre.strip() for genre in cells[2].split("|") if genre.strip()]
                known.update(genres)
                others = [genre for genre in genres if genre != target_genre]
                movies[movie] = target_genre in genres, (others or [ONLY_TARGET_GENRE])[0]
        except csv.Error as error:
            raise InputError(f"{name}, line {reader.line_num}: {error}") from error
    if target_genre not in known:
        raise InputError(f"{name}: no movie of the target domain: target_genre {target_genre!r}, known genres: "
                         f"{sorted(known)}")
    return pa.table({"movieid": pa.array(movies, pa.int64()),
                     "is_target": pa.array([is_target for is_target, _ in movies.values()], pa.bool_()),
                     "genre": pa.array([genre for _, genre in movies.values()], pa.string())})


def read(
        logs: LogReader, ratings_path: str, movies_path: str, config: MovieLensConfig, deduplicate: bool) -> Source:
    """The canonical tables: an event is a rating, an impression a rating of a movie of the domain `row_set`.

    With `negatives_per_positive`, impressions are those of `data_prep.movielens.implicit`, with the same splits.

    Raises:
      InputError: a file that cannot be read, no rating of a target movie, or split dates that leave no day.
    """
    movies = logs.store("movies", ibis.memtable(
        read_movies(logs.plain(movies_path), movies_path, config.target_genre.strip())))
    raw = logs.load(ratings_path, RATINGS, "raw_ratings")
    accounted, rules = _ratings(raw, movies, config.row_set, deduplicate)
    accounted = logs.store("accounted_ratings", accounted)
    counts = logs.count(ratings_path, accounted, rules,
                        f"no rating of a {config.row_set}-domain movie (genre {config.target_genre!r})")
    ratings = used_rows(accounted)
    shown = ratings.filter(ratings.is_target == (config.row_set == "target"))
    splits = share_splits(shown, TRAIN_SHARE, DEVELOPMENT_SHARE, config.validation_from, config.test_from,
                          what=f"{config.row_set} ratings")
    facts = {f"{config.row_set}_ratings": number_of_rows(shown)}
    if config.negatives_per_positive:
        impressions = implicit_impressions(logs, shown, splits["train"], config)
        clicks = number_of_rows(impressions.filter(impressions.label == 1))
        sampled = number_of_rows(impressions) - clicks
        facts |= {"clicks": clicks, "sampled_negatives": sampled,
                  "missing_negatives": config.negatives_per_positive * clicks - sampled}
    else:
        impressions = shown.select(
            "user", "timestamp", "movie_id", "genre", impression_id="row",
            label=(shown.stars >= config.label_threshold).cast("int64"))
    if config.favourite_stars:
        impressions = _with_favourites(impressions, shown, config)
    events = ratings.select("row", "user", "timestamp", "movie_id", "genre", rating=ratings.stars.cast("string"),
                            domain=ratings.is_target.ifelse("target", "source"))
    return Source(
        description=describe(config, splits),
        impressions=impressions,
        events=events,
        users=impressions.select("user", user_id="user").distinct(),
        rows=(counts, logs.counts(movies_path, _movie_counts(movies, ratings))),
        facts=facts,
        domains=("source",) if config.row_set == "source" else DOMAINS)


def _ratings(raw: ir.Table, movies: ir.Table, row_set: str, deduplicate: bool) -> tuple[ir.Table, list[DropRule]]:
    """Ratings with their movies and the reason why a row is not used, and the rules behind the reasons."""
    movies = movies.select("is_target", "genre", known_movie="movieid")
    table = raw.left_join(movies, raw.movieid == movies.known_movie)
    table = table.select("row", "timestamp", "is_target", "genre", "known_movie", user="userid", movie_id="movieid",
                         stars="rating")
    shown = table.is_target == (row_set == "target")
    raters = table.filter(shown, table.timestamp > 0).select(rater="user").distinct()
    table = table.left_join(raters, table.user == raters.rater)
    position = ibis.row_number().over(
        group_by=["user", "movie_id", "stars", "timestamp"], order_by="row") if deduplicate else ibis.literal(0)
    rules = [
        not_positive(table.timestamp, "timestamp"),
        DropRule("movie not in movies.csv", table.known_movie.isnull(), "movieid", "a movie of movies.csv",
                 like=movies.known_movie.min()),
        DropRule(f"user without rating of a {row_set} movie", table.rater.isnull(), "userid",
                 f"a user who rates a movie of the {row_set} domain", ordinary=True),
        DropRule("repeats an earlier row", position > 0, "userid", "a row only once", ordinary=True)]
    if row_set == "source":
        rules.append(DropRule("movie of the target domain", table.is_target, "movieid", "a movie of the source domain",
                              ordinary=True))
    return table.mutate(drop_reason(rules).name(REASON)).drop("known_movie", "rater"), rules


def _with_favourites(impressions: ir.Table, shown: ir.Table, config: MovieLensConfig) -> ir.Table:
    """The impressions with the second label, which what was sampled does not have."""
    rated = impressions.mutate(row=impressions.impression_id // (config.negatives_per_positive + 1))
    rated = rated.inner_join(shown.select("row", "stars"), "row")  # what was sampled is beside the rating of its click
    is_favourite = (rated.label == 1) & (rated.stars >= config.favourite_stars)
    return rated.mutate(is_favourite.cast("int64").name(FAVOURITE.key)).drop("row", "stars")


def _movie_counts(movies: ir.Table, ratings: ir.Table) -> RowCounts:
    used = number_of_rows(movies.semi_join(ratings, movies.movieid == ratings.movie_id))
    unused = number_of_rows(movies) - used
    return RowCounts("", used, {"movie of no used rating": unused} if unused else {})
