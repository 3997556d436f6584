"""The query engine that evaluates the ibis expressions: DuckDB, out of core."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import duckdb
import ibis
from ibis.backends.duckdb import Backend

from data_prep.errors import OutputError


@contextlib.contextmanager
def connect(scratch_dir: str, memory_limit: str) -> Iterator[Backend]:
    """A DuckDB connection whose tables and spilled data live in `scratch_dir`.

    Args:
      scratch_dir: an existing folder; the caller deletes it afterwards.
      memory_limit: memory beyond which the engine spills, e.g. `4GB`.

    Yields:
      The ibis backend; closed when the block ends.

    Raises:
      OutputError: the block's work needs more memory than `memory_limit`, or more disk than there is.
    """
    backend = ibis.duckdb.connect(
        os.path.join(scratch_dir, "tables.duckdb"), memory_limit=memory_limit,
        temp_directory=os.path.join(scratch_dir, "spilled"))
    try:
        yield backend
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise OutputError(f"the query engine stopped (memory_limit {memory_limit}, spilling to {scratch_dir}): "
                          f"{str(error).splitlines()[0]}") from error
    finally:
        backend.disconnect()
