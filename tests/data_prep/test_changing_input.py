"""Input that changes while it is read is refused as such, whatever else that brings about."""

import os

import pytest

from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.movielens import reader
from data_prep.movielens.config import MovieLensConfig
from data_prep.preparation import prepare_dataset
from tests.data_prep.movielens_files import DATES, random_ratings, write_files


@pytest.mark.parametrize("change", ["cut", "cut within a line", "deleted", "same size"])
@pytest.mark.parametrize("when", ["before its lines are read", "after that"])
def test_a_file_that_changes_while_it_is_read(tmp_path, change, when):
    path, movies = reader.find_files(str(write_files(tmp_path / "logs", random_ratings(1))))
    config, size = MovieLensConfig(**DATES), os.path.getsize(path)

    def alter():
        if change == "deleted":
            os.remove(path)
        elif change == "same size":
            os.utime(path)
        else:
            os.truncate(path, size // 2 if change == "cut" else 60)

    def read(logs):
        if when == "after that":
            source = reader.read(logs, path, movies, config, deduplicate=False)
            alter()
            return source
        alter()
        return reader.read(logs, path, movies, config, deduplicate=False)

    with pytest.raises(InputError, match=rf"ratings\.csv: the file changed while it was read \({size:,} bytes"):
        prepare_dataset(str(tmp_path / "out"), PreparationConfig(), config, [path], read)
    assert not (tmp_path / "out").exists() and not (tmp_path / ".out.partial").exists()
