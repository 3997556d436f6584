"""Vectors by raw value -> vectors by id, and their place in a prepared folder."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

import numpy as np

from data_prep.content_vectors.vector_files import read_vectors
from data_prep.errors import InputError
from lcn_tf.data.prepared_folder import VOCABULARIES
from lcn_tf.schema import FIRST_ID, FeatureSchema
from lcn_tf.whole_files import replacing, write_text


@dataclasses.dataclass(frozen=True)
class Added:
    """What became of a file of vectors.

    Attributes:
      path: where the table's vectors are.
      ids: of the vocabulary, those that are of a value.
      known: of these, how many have a vector.
      unused: vectors of values that the vocabulary does not have.
      width: numbers of a vector.
      origin: the file that they came from, where it was one.
      without, other: a value of the vocabulary without a vector, and one of an unused vector; "" where there is none.
    """

    path: str
    ids: int
    known: int
    unused: int
    width: int
    origin: str = ""
    without: str = ""
    other: str = ""

    def warnings(self, table: str, of_all: bool = True) -> list[str]:
        """Says so where most ids have no vector, or, with `of_all`, most vectors no id: `2` is not `002`."""
        vectors = self.known + self.unused
        if 2 * self.known >= self.ids and not (of_all and 2 * self.unused > vectors):
            return []
        without = f" (not {self.without!r})" if self.without else ""
        other = f" (not {self.other!r})" if self.other else ""
        return [f"{os.path.basename(self.origin)}: {self.known:,} of {self.ids:,} values of table {table} have a vector"
                f"{without}, and {self.known:,} of its {vectors:,} vectors are of such values{other}"]


def add_vectors(data_dir: str, table: str, vectors_file: str) -> Added:
    """Writes `vectors/{table}.npy` and names it in the schema of a prepared folder, replacing what was there.

    The array is `[rows, width]` float32; padding, out of vocabulary, and ids without a vector have zeros.

    Raises:
      InputError: no such table, a table without vocabulary file, or a file of vectors that does not fit; the message
        names file, field and value.
      FileNotFoundError, ValueError: `data_dir` has no schema, or one that cannot be read.
      OSError: the folder cannot be written.
    """
    return _add(data_dir, table, vectors_file, *read_vectors(vectors_file))


def add_text_vectors(data_dir: str, table: str, texts_file: str, ids: list[str], texts: list[str]) -> Added:
    """As `add_vectors`, of raw values and texts from a file: each value gets a vector by its text's words.

    Raises:
      InputError: as there, or texts that do not fit.
      FileNotFoundError, ValueError, OSError: as there.
    """
    from data_prep.text_vectors.tfidf_vectors import tfidf_vectors  # here: scikit-learn takes a second to load

    try:
        vectors = tfidf_vectors(texts)
    except InputError as error:
        raise InputError(f"{texts_file}, text: {error}") from error
    return _add(data_dir, table, texts_file, ids, vectors)


def _add(data_dir: str, table: str, origin: str, ids: list[str], vectors: np.ndarray) -> Added:
    """Puts vectors `[n, width]` by raw value in the order of a table's ids; `origin` is their file, for messages."""
    schema = FeatureSchema.load(data_dir)
    values = _vocabulary(data_dir, schema, table)
    place = {value: row for row, value in enumerate(ids)}
    found = [(row, place[value]) for row, value in enumerate(values, FIRST_ID) if value in place]
    if not found:
        raise InputError(f"{origin}, ids: none of {len(ids):,} is in the vocabulary of table {table!r}: expected "
                         f"values like {values[0]!r}, got {ids[0]!r}")
    ordered = np.zeros((schema.tables[table], vectors.shape[1]), np.float32)
    rows, places = np.array(found).T
    ordered[rows] = vectors[places]
    put_beside(data_dir, {table: ordered})
    path = os.path.join(data_dir, "vectors", f"{table}.npy")
    of_values = set(filter(None, values))  # lasting ids may be of no value yet
    return Added(path, len(of_values), len(found), len(ids) - len(found), vectors.shape[1], origin,
                 next((value for value in values if value and value not in place), ""),
                 next((value for value in ids if value not in of_values), ""))


def put_beside(data_dir: str, vectors: Mapping[str, np.ndarray]) -> None:
    """Writes `vectors/{table}.npy` for each table and names them in the schema, replacing what was there.

    Args:
      data_dir: a prepared data set.
      vectors: table -> `[rows, any width]` float32, in the order of its ids.

    Raises:
      FileNotFoundError, ValueError: `data_dir` has no schema, or one that cannot be read.
      OSError: the folder cannot be written.
    """
    schema = FeatureSchema.load(data_dir)
    os.makedirs(os.path.join(data_dir, "vectors"), exist_ok=True)
    for table, ordered in vectors.items():
        with replacing(os.path.join(data_dir, "vectors", f"{table}.npy"), "wb") as file:
            np.save(file, ordered)
    names = {table: f"vectors/{table}.npy" for table in vectors}
    schema = dataclasses.replace(schema, vectors={**schema.vectors, **names})
    write_text(os.path.join(data_dir, "schema.json"), schema.to_json())


def _vocabulary(data_dir: str, schema: FeatureSchema, table: str) -> list[str]:
    """The raw values of a table's ids, from `FIRST_ID` on."""
    schema_file = os.path.join(data_dir, "schema.json")
    if table not in schema.tables:
        raise InputError(f"{schema_file}, tables: no table {table!r}; known: {', '.join(sorted(schema.tables))}")
    path = os.path.join(data_dir, VOCABULARIES, f"{table}.txt")
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
