"""The query engine says in one line when memory does not suffice."""

import pytest

from data_prep import engine
from data_prep.errors import OutputError


def test_too_little_memory_is_named(tmp_path):
    with (pytest.raises(OutputError, match=r"memory_limit 20MB[^\n]*$"),
          engine.connect(str(tmp_path), "20MB") as connection):
        connection.raw_sql("SET max_temp_directory_size = '1MB'")
        connection.raw_sql("CREATE TABLE much AS SELECT list(range) AS all_of_them FROM range(10000000)")


def test_other_errors_pass(tmp_path):
    with pytest.raises(KeyError), engine.connect(str(tmp_path), "100MB"):
        raise KeyError("row")
