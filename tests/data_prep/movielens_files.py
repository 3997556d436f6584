"""Small MovieLens files for tests, in the quirks of the real ones."""

from __future__ import annotations

import csv

import numpy as np

from data_prep.calendar_splits import day_start

DATES = {"validation_from": "2010-03-04", "test_from": "2010-03-07"}
MOVIES = [
    (1, "Alien (1979)", "Horror|Sci-Fi", True, "Horror"),
    (2, 'A "quoted", title (1999)', "Sci-Fi|Drama", True, "Drama"),
    (3, "Only that", "Sci-Fi", True, "(none)"),
    (5, "Amélie (2001)", "Comedy|Romance", False, "Comedy"),
    (7, "No genre", "(no genres listed)", False, "(no genres listed)"),
    (9, "Odd genres", "|Sci-Fi| ", True, "(none)"),
    (11, "Heat", "Crime|Action", False, "Crime"),
    (13, "Never rated", "Drama", False, "Drama"),
]

# Movies 100 to 139 are of the target domain, 140 to 169 of the source domain.
MANY_MOVIES = [(100 + number, f"Film {number}", "Sci-Fi|Drama" if number < 40 else "Comedy", number < 40,
                "Drama" if number < 40 else "Comedy") for number in range(70)]


def popular_ratings(seed, rows=1_200, users=25):
    """Ratings of ten days, few movies with most of them, some movies rated again, some of the last days alone.

    User 1 rates nearly every target movie, user 2 only movies of the source domain.
    """
    rng = np.random.default_rng(seed)
    first = day_start("2010-03-01")
    ratings = [(1, movie, 3.0, first + 86_400 * (movie % 8) + movie) for movie in range(100, 137)]
    for _ in range(rows):
        moment, user = first + int(rng.integers(0, 9 * 86_400)), int(rng.integers(2, users + 1))
        movie = 100 + min(int(rng.pareto(0.8) * 4), 35 if moment < day_start(DATES["validation_from"]) else 39)
        movie = int(rng.integers(140, 170)) if user == 2 or rng.random() < 0.5 else movie
        ratings.append((user, movie, float(rng.integers(1, 11)) / 2, moment))
    return ratings


def random_ratings(seed, rows=500, users=9):
    """Ratings of ten days with many equal seconds; user 9 rates no target movie, movie 17 is unknown."""
    rng = np.random.default_rng(seed)
    moments = day_start("2010-03-01") + rng.integers(0, 9 * 86_400, 60)
    moments[0] = day_start("2010-03-04")
    ratings = []
    for _ in range(rows):
        user = int(rng.integers(1, users + 1))
        movie = int(rng.choice([5, 7, 11] if user == 9 else [1, 2, 3, 5, 7, 9, 11, 17]))
        ratings.append((user, movie, float(rng.integers(1, 11)) / 2, int(rng.choice(moments))))
    return [*ratings, *ratings[:5], (1, 1, 4.0, 0)]


def write_files(directory, ratings, line_end="\n", movies=MOVIES, header="userId,movieId,rating,timestamp"):
    directory.mkdir(parents=True)
    with open(directory / "ratings.csv", "w", encoding="utf-8", newline="") as file:
        file.writelines(line + line_end for line in (header, *(",".join(map(str, rating)) for rating in ratings)))
    with open(directory / "movies.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator=line_end)
        writer.writerow(["movieId", "title", "genres"])
        writer.writerows(movie[:3] for movie in movies)
    return directory
