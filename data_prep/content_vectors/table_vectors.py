"""Vectors by raw value -> vectors by id, and their place in a prepared folder."""

from __future__ import annotations

import dataclasses
import os
import zipfile

import numpy as np

from data_prep.errors import InputError
from lcn_tf.schema import FIRST_ID, FeatureSchema
from lcn_tf.whole_files import replacing, write_text


@dataclasses.dataclass(frozen=True)
class Added:
    """What became of a file of vectors.

    Attributes:
      path: where the table's vectors are.
      ids: of the vocabulary.
      known: of these, how many have a vector.
      unused: vectors of values that the vocabulary does not have.
      width: numbers of a vector.
    """

    path: str
    ids: int
    known: int
    unused: int
    width: int


def add_vectors(data_dir: str, table: str, vectors_file: str) -> Added:
    """Writes `vectors/{table}.npy` and names it in the schema of a prepared folder, replacing what was there.

    The array is `[rows, width]` float32; padding, out of vocabulary, and ids without a vector have zeros.

    Raises:
      InputError: no such table, a table without vocabulary file, or a file of vectors that does not fit; the message
        names file, field and value.
      FileNotFoundError, ValueError: `data_dir` has no schema, or one that cannot be read.
      OSError: the folder cannot be written.
    """
    schema = FeatureSchema.load(data_dir)
    values = _vocabulary(data_dir, schema, table)
    ids, vectors = _read(vectors_file)
    place = {value: row for row, value in enumerate(ids)}
    found = [(row, place[value]) for row, value in enumerate(values, FIRST_ID) if value in place]
    if not found:
        raise InputError(f"{vectors_file}, ids: none of {len(ids):,} is in the vocabulary of table {table!r}: expected "
                         f"values like {values[0]!r}, got {ids[0]!r}")
    ordered = np.zeros((schema.tables[table], vectors.shape[1]), np.float32)
    rows, places = np.array(found).T
    ordered[rows] = vectors[places]
    name = f"vectors/{table}.npy"
    path = os.path.join(data_dir, "vectors", f"{table}.npy")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with replacing(path, "wb") as file:
        np.save(file, ordered)
    schema = dataclasses.replace(schema, vectors={**schema.vectors, table: name})
    write_text(os.path.join(data_dir, "schema.json"), schema.to_json())
    return Added(path, len(values), len(found), len(ids) - len(found), vectors.shape[1])


def _vocabulary(data_dir: str, schema: FeatureSchema, table: str) -> list[str]:
    """The raw values of a table's ids, from `FIRST_ID` on."""
    schema_file = os.path.join(data_dir, "schema.json")
    if table not in schema.tables:
        raise InputError(f"{schema_file}, tables: no table {table!r}; known: {', '.join(sorted(schema.tables))}")
    path = os.path.join(data_dir, "vocabularies", f"{table}.txt")
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file: the ids of table {table!r} are hashed or derived, so no raw value is "
                         "known for them")
    with open(path, encoding="utf-8", newline="\n") as file:
        values = [line.rstrip("\n") for line in file]
    if FIRST_ID + len(values) != schema.tables[table]:
        raise InputError(f"{path}: {len(values)} values, but {schema_file} says {schema.tables[table]} rows of table "
                         f"{table!r}, {FIRST_ID} of which have none")
    if not values:
        raise InputError(f"{path}: no value, so no id of table {table!r} can have a vector")
    return values


def _read(path: str) -> tuple[list[str], np.ndarray]:
    """Raw values and their vectors `[n, width]` float32."""
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
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: expected a .npz file, as numpy.savez writes it, with the arrays ids and vectors")
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
