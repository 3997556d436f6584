"""MovieLens as implicit feedback: a rated movie is a click, whatever the stars, and what was not clicked is sampled.

Negatives are movies of the same domain that the user never rates, drawn by their number of ratings in the training
days, with the second of the positive. Of a movie that a user rates again only the first rating is a click: later ones
would find the movie in the history, where no negative can be.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from data_prep.movielens.config import MovieLensConfig
from data_prep.reading.log_reader import LogReader
from data_prep.sampling import attempts_by_user, with_negatives


def implicit_impressions(
        logs: LogReader, shown: ir.Table, train: tuple[int, int], config: MovieLensConfig) -> ir.Table:
    """Clicks and sampled negatives.

    Args:
      logs: keeps tables that are evaluated more than once.
      shown: the ratings of the domain: `row`, `user`, `timestamp`, `movie_id`, `genre`.
      train: first second of the training days and the second after their last.
      config: `negatives_per_positive` and `negatives_seed`.

    Returns:
      The canonical impressions (`data_prep.description.Source`).
    """
    shown = shown.select("row", "user", "timestamp", "movie_id", "genre", pool=ibis.literal(0, "int64"))
    pool = shown.filter(shown.timestamp >= train[0], shown.timestamp < train[1])
    pool = logs.store("negative_pool", pool.drop("user", "timestamp"))
    rated = logs.store("rated_movies", shown.select("user", "movie_id").distinct())
    earlier = ibis.row_number().over(group_by=["user", "movie_id"], order_by=["timestamp", "row"])
    clicks = logs.store("clicks", shown.mutate(earlier=earlier).filter(lambda table: table.earlier == 0)
                        .drop("earlier"))
    attempts = attempts_by_user(pool, rated, "movie_id", config.negatives_per_positive)
    return logs.store("impressions", with_negatives(
        clicks, pool, rated, config.negatives_per_positive, attempts, config.negatives_seed))
