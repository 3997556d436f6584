"""The query engines that evaluate the one definition of the preparation: DuckDB on one machine, Spark on many."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from data_prep.config import PreparationConfig
from data_prep.engines.engine import Engine

__all__ = ["Engine", "connect"]


@contextlib.contextmanager
def connect(preparation: PreparationConfig, scratch_dir: str) -> Iterator[Engine]:
    """The engine that the settings name.

    Args:
      preparation: `engine`, `memory_limit` and `spark_master`.
      scratch_dir: an existing folder for tables and spilled data; the caller deletes it afterwards.

    Yields:
      The engine; closed when the block ends.

    Raises:
      OutputError: the block's work needs more memory than `memory_limit`, or more disk than there is; or the engine
        cannot be started.
    """
    if preparation.engine == "spark":
        from data_prep.engines.spark import connect_spark

        opened = connect_spark(preparation, scratch_dir)
    else:
        from data_prep.engines.duckdb import connect_duckdb

        opened = connect_duckdb(preparation, scratch_dir)
    with opened as engine:
        yield engine
