"""Vectors by raw value become vectors by id, beside records that stay as they are; what does not fit is named."""

import os
import subprocess
import sys

import numpy as np
import pytest

from data_prep.content_vectors.table_vectors import add_vectors
from data_prep.errors import InputError
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import FIRST_ID, FeatureSchema
from tests import synthetic

WIDTH = 3


@pytest.fixture
def data_dir(tmp_path):
    synthetic.write_records(tmp_path / "data")
    return tmp_path / "data"


def table_of(data_dir, table):
    """Raw values of a table's ids."""
    return (data_dir / "vocabularies" / f"{table}.txt").read_text().splitlines()


def numbers(rows, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal((rows, WIDTH)).astype(dtype)


def write(tmp_path, **arrays):
    np.savez(tmp_path / "file.npz", **arrays)
    return str(tmp_path / "file.npz")


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_vectors_lie_at_the_ids_of_their_values(data_dir, tmp_path, dtype):
    values = table_of(data_dir, "category")
    ids, vectors = np.array([values[4], "unheard of", values[0], values[8]]), numbers(4, dtype=dtype)
    before = contents(data_dir)
    added = add_vectors(data_dir, "category", write(tmp_path, ids=ids, vectors=vectors))
    assert (added.ids, added.known, added.unused, added.width) == (len(values), 3, 1, WIDTH)
    expected = np.zeros((FIRST_ID + len(values), WIDTH), np.float32)
    for value, vector in zip(ids, vectors, strict=True):
        if value in values:
            expected[FIRST_ID + values.index(value)] = vector
    found = RecordFiles.open(str(data_dir)).vectors()
    assert list(found) == ["category"] and np.load(added.path).dtype == np.float32
    np.testing.assert_array_equal(found["category"], expected)
    after = contents(data_dir)
    assert after.pop(os.path.join("vectors", "category.npy")) and after.pop("schema.json") != before.pop("schema.json")
    assert after == before
    schema = FeatureSchema.load(data_dir)
    assert schema.vectors == {"category": "vectors/category.npy"} and '"version": 2' in schema.to_json()
    assert schema.record_names == synthetic.make_schema().record_names


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint64, str])
def test_ids_are_integers_or_strings(data_dir, tmp_path, dtype):
    values = [str(value) for value in (*range(-1, 2 * len(table_of(data_dir, "item")) - 3, 2), "-7")]
    (data_dir / "vocabularies" / "item.txt").write_text("".join(f"{value}\n" for value in values))
    added = add_vectors(data_dir, "item", write(tmp_path, ids=np.array([3, 1, 1_000_000]).astype(dtype),
                                                vectors=numbers(3)))
    found = RecordFiles.open(str(data_dir)).vectors()["item"]
    assert added.known == 2 and np.flatnonzero(found.any(axis=1)).tolist() == [
        FIRST_ID + values.index("1"), FIRST_ID + values.index("3")]
    np.testing.assert_array_equal(found[FIRST_ID + values.index("3")], numbers(3)[0])


def test_another_file_replaces_and_another_table_is_added(data_dir, tmp_path):
    for table, seed in (("category", 1), ("item", 2), ("category", 3)):
        values = np.array(table_of(data_dir, table))[::2 if seed == 1 else 1]
        add_vectors(data_dir, table, write(tmp_path, ids=values, vectors=numbers(len(values), seed)))
    found = RecordFiles.open(str(data_dir)).vectors()
    assert set(found) == {"category", "item"}
    for table, seed in (("item", 2), ("category", 3)):
        np.testing.assert_array_equal(found[table][FIRST_ID:], numbers(len(table_of(data_dir, table)), seed))
    assert sorted(path.name for path in (data_dir / "vectors").iterdir()) == ["category.npy", "item.npy"]


WRONG = np.array([[0.5, 1.0, 2.0], [1.0, np.nan, 3.0]])
TWO = {"ids": np.array(["item_2", "item_3"]), "vectors": numbers(2)}


@pytest.mark.parametrize(("arrays", "message"), [
    ({"ids": TWO["ids"]}, r"file.npz: expected the arrays ids and vectors, found no vectors among \['ids'\]"),
    ({**TWO, "ids": np.array([0.5, 1.5])}, r"file.npz, ids: expected integers or strings \[n\], got float64 \[2\]"),
    ({**TWO, "ids": np.array(["a", "b"], object)}, "file.npz: expected arrays of numbers or strings, without Python"),
    ({**TWO, "ids": np.array([["a"], ["b"]])}, r"file.npz, ids: .* got <U1 \[2, 1\]"),
    ({**TWO, "ids": np.array(["item_2", "item_3", "item_2"]), "vectors": numbers(3)},
     r"file.npz, ids: expected each value once, got 'item_2' 2 times"),
    ({**TWO, "vectors": numbers(3)}, r"file.npz, vectors: expected floats \[2, width\].* got float32 \[3, 3\]"),
    ({**TWO, "vectors": np.ones(2)}, r"file.npz, vectors: .* got float64 \[2\]"),
    ({**TWO, "vectors": np.ones((2, 0))}, r"file.npz, vectors: .* got float64 \[2, 0\]"),
    ({**TWO, "vectors": np.ones((2, 3), int)}, r"file.npz, vectors: .* got int64 \[2, 3\]"),
    ({**TWO, "vectors": WRONG}, r"file.npz, vectors: expected finite numbers of 32 bits, got nan for 'item_3'"),
    ({**TWO, "vectors": WRONG[:, :1] * 1e39}, r"got 5e\+38 for 'item_2'"),
    ({**TWO, "ids": np.array([17, 19])},
     r"file.npz, ids: none of 2 is in the vocabulary of table 'item': expected values like 'item_2', got '17'"),
    ({"ids": TWO["ids"][:0], "vectors": numbers(0)}, r"file.npz, vectors: .* got float32 \[0, 3\]"),
])
def test_a_file_that_does_not_fit_is_named_and_changes_nothing(data_dir, tmp_path, arrays, message):
    before = contents(data_dir)
    with pytest.raises(InputError, match=message):
        add_vectors(data_dir, "item", write(tmp_path, **arrays))
    assert contents(data_dir) == before


def test_a_table_that_cannot_have_vectors_is_named(data_dir, tmp_path):
    file = write(tmp_path, **TWO)
    with pytest.raises(InputError, match=r"schema.json, tables: no table 'authors'; known: age, behaviour, category"):
        add_vectors(data_dir, "authors", file)
    (data_dir / "vocabularies" / "item.txt").unlink()
    with pytest.raises(InputError, match=r"item.txt: no such file: the ids of table 'item' are hashed or derived"):
        add_vectors(data_dir, "item", file)
    (data_dir / "vocabularies" / "item.txt").write_text("item_2\n")
    with pytest.raises(InputError, match=r"item.txt: 1 values, but .*schema.json says 61 rows of table 'item'"):
        add_vectors(data_dir, "item", file)


@pytest.mark.parametrize(("content", "message"), [
    (None, "file.npz: no such file"), (b"id,vector\n", "file.npz: expected a .npz file"),
    (b"PK\x05\x06" + bytes(18), r"file.npz: expected the arrays .*, found no ids and no vectors among \[\]")])
def test_what_is_no_file_of_arrays_is_named(data_dir, tmp_path, content, message):
    if content is not None:
        (tmp_path / "file.npz").write_bytes(content)
    with pytest.raises(InputError, match=message):
        add_vectors(data_dir, "item", str(tmp_path / "file.npz"))


def test_the_command_says_how_many_ids_have_a_vector_or_ends_in_one_line(data_dir, tmp_path):
    def run(table):
        return subprocess.run(
            [sys.executable, "-m", "data_prep.content_vectors", str(data_dir), f"--table={table}",
             f"--vectors={write(tmp_path, ids=['item_2', 'item_9', 'x'], vectors=numbers(3))}"],
            capture_output=True, text=True, check=False)

    done = run("item")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"2 of 59 ids of the vocabulary of item have a vector (3.4%), of 3 numbers, in {data_dir}/vectors/item.npy",
        "vectors of values that the vocabulary does not have: 1"]
    refused = run("time_gap")
    line, = refused.stderr.splitlines()
    assert refused.returncode == 1 and not refused.stdout
    assert line.startswith(f"error: {tmp_path}/file.npz, ids: none of 3 is in the vocabulary of table 'time_gap'")
