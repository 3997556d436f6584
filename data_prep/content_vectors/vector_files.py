"""Files of vectors by raw value: NumPy's `.npz`, or Parquet."""

from __future__ import annotations

import os
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_prep.errors import InputError


def read_vectors(path: str) -> tuple[list[str], np.ndarray]:
    """Raw values and their vectors `[n, width]` float32.

    Args:
      path: a `.npz` file with the arrays `ids` and `vectors`, or a Parquet file with such columns, the second of lists.

    Raises:
      InputError: anything else; the message names file, array and value.
    """
    arrays = _arrays(path)
    ids, vectors = arrays["ids"], arrays["vectors"]
    if ids.ndim != 1 or ids.dtype.kind not in "iuU":
        raise InputError(f"{path}, ids: expected integers or strings [n], got {ids.dtype} {list(ids.shape)}")
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or len(vectors) != len(ids) or not vectors.size:
        raise InputError(f"{path}, vectors: expected floats [{len(ids)}, width], a row for each of ids, got "
                         f"{vectors.dtype} {list(vectors.shape)}")
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise InputError(f"{path}, ids: expected each value once, got {values[counts > 1][0].item()!r} "
                         f"{counts[counts > 1][0]} times")
    with np.errstate(over="ignore"):  # what float32 does not hold becomes infinite
        vectors = vectors.astype(np.float32)
    finite = np.isfinite(vectors)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise InputError(f"{path}, vectors: expected finite numbers of 32 bits, got {arrays['vectors'][row, column]} "
                         f"for {ids[row].item()!r}")
    return [str(value) for value in ids.tolist()], vectors


def _arrays(path: str) -> dict[str, np.ndarray]:
    """The arrays `ids` and `vectors` of a file, as they are."""
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file")
    if path.endswith(".parquet"):
        return _columns(path)
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: expected a .npz file, as numpy.savez writes it, with the arrays ids and vectors, or "
                         "a .parquet file with these columns")
    try:
        with np.load(path, allow_pickle=False) as file:
            if missing := [name for name in ("ids", "vectors") if name not in file]:
                raise InputError(f"{path}: expected the arrays ids and vectors, found no {' and no '.join(missing)} "
                                 f"among {list(file)}")
            return {name: file[name] for name in ("ids", "vectors")}
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: expected arrays of numbers or strings, without Python objects: {error}") from error


def _columns(path: str) -> dict[str, np.ndarray]:
    """The columns `ids` and `vectors` of a Parquet file as arrays."""
    try:
        names = pq.read_schema(path).names
        if missing := [name for name in ("ids", "vectors") if name not in names]:
            raise InputError(f"{path}: expected the columns ids and vectors, found no {' and no '.join(missing)} among "
                             f"{names}")
        ids, lists = pq.read_table(path, columns=["ids", "vectors"]).combine_chunks().columns
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    for name, column in (("ids", ids), ("vectors", lists)):
        if column.null_count:
            raise InputError(f"{path}, {name}: {column.null_count:,} of {len(column):,} rows are empty")
    if not pa.types.is_nested(lists.type) or pa.types.is_struct(lists.type):
        raise InputError(f"{path}, vectors: expected lists of floats, got {lists.type}")
    sizes = pc.list_value_length(lists).to_numpy()
    if len(np.unique(sizes)) > 1:
        row = int(np.argmax(sizes != sizes[0]))
        raise InputError(f"{path}, vectors: expected vectors of one width, got {sizes[0]} numbers for "
                         f"{ids[0].as_py()!r} and {sizes[row]} for {ids[row].as_py()!r}")
    numbers = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in lists.chunks])
    texts = np.array(ids.to_pylist(), dtype=str) if not pa.types.is_integer(ids.type) else ids.to_numpy()
    return {"ids": texts, "vectors": numbers.reshape(len(ids), -1)}
