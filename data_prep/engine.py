"""The query engine that evaluates the ibis expressions: DuckDB, out of core."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import ibis
from ibis.backends.duckdb import Backend


@contextlib.contextmanager
def connect(scratch_dir: str, memory_limit: str) -> Iterator[Backend]:
    """A DuckDB connection whose tables and spilled data live in `scratch_dir`.

    Args:
      scratch_dir: an existing folder; the caller deletes it afterwards.
      memory_limit: memory beyond which the engine spills, e.g. `4GB`.

    Yields:
      The ibis backend; closed when the block ends.
    """
    backend = ibis.duckdb.connect(
        os.path.join(scratch_dir, "tables.duckdb"), memory_limit=memory_limit,
        temp_directory=os.path.join(scratch_dir, "spilled"))
    try:
        yield backend
    finally:
        backend.disconnect()
