"""GroupLens' two files -> a prepared data set."""

from __future__ import annotations

from data_prep.config import PreparationConfig
from data_prep.movielens import reader
from data_prep.movielens.config import MovieLensConfig
from data_prep.preparation import prepare_dataset


def prepare(input_dir: str, output_dir: str, config: MovieLensConfig, preparation: PreparationConfig) -> None:
    """Prepares `ratings.csv` and `movies.csv`.

    Args:
      input_dir: directory of the two files.
      output_dir: new or empty directory; it appears when everything is written.
      config: target domain, label and split dates.
      preparation: settings shared by all data sets.

    Raises:
      InputError: the files do not make a data set; names file, line or field, and value.
      OutputError: `output_dir` exists with contents or cannot be written.
    """
    ratings, movies = reader.find_files(input_dir)
    prepare_dataset(
        output_dir, preparation, config, [ratings, movies],
        lambda logs: reader.read(logs, ratings, movies, config, preparation.deduplicate))
