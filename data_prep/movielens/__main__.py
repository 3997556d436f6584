"""`python -m data_prep.movielens --input_dir=... --output_dir=...`: ratings and movies -> request groups."""

from data_prep import command
from data_prep.movielens.config import MovieLensConfig
from data_prep.movielens.prepare import prepare

if __name__ == "__main__":
    command.run(MovieLensConfig, prepare)
