"""The file of a data set's items: written, read, and every refusal."""

import numpy as np
import pytest

from lcn_tf.data.catalogue import Catalogue
from lcn_tf.data.record_files import RecordFiles
from tests import synthetic

SCHEMA = synthetic.make_schema()


def test_what_is_written_is_read(tmp_path):
    written = synthetic.catalogue(SCHEMA)
    written.write(str(tmp_path))
    read = Catalogue.read(str(tmp_path), SCHEMA)
    rows = sorted(zip(written.domain, *written.ids.values(), written.count, strict=True))
    assert list(zip(read.domain, *read.ids.values(), read.count, strict=True)) == rows
    assert list(read.ids) == ["item_id", "category"]


def test_features_that_are_not_read_tell_no_items_apart(tmp_path):
    synthetic.write_records(tmp_path)
    synthetic.catalogue(SCHEMA).write(str(tmp_path))
    files = RecordFiles.open(str(tmp_path))
    assert len(files.catalogue().domain) > 22
    found = files.reading(["category"]).catalogue()
    assert list(found.ids) == ["category"]
    assert len(found.domain) == len(set(zip(found.domain, found.ids["category"], strict=True))) <= 22
    assert found.count.sum() == files.catalogue().count.sum()


def test_a_folder_of_before_says_how_to_get_one(tmp_path):
    synthetic.write_records(tmp_path)
    with pytest.raises(FileNotFoundError, match="catalogue.npz is missing: .* prepare it again"):
        RecordFiles.open(str(tmp_path)).catalogue()


GOOD = {"domain": np.array([0, 1]), "count": np.array([3, 4]), "id of item_id": np.array([7, 60]),
        "id of category": np.array([1, 10])}


@pytest.mark.parametrize("change, message", [
    ({"id of category": np.array([1, 11])}, "'id of category' of item 1 must be at least 1 and below 11, got 11"),
    ({"id of item_id": np.array([0, 3])}, "'id of item_id' of item 0 must be at least 1 and below 61, got 0"),
    ({"domain": np.array([0, 2])}, "'domain' of item 1 must be at least 0 and below 2, got 2"),
    ({"id of item_id": np.array([7.0, 60.0])}, r"'id of item_id' must be integers \[N\], got float64"),
    ({"count": np.array([3, -1])}, "'count' of item 1 must be at least 1 and below"),
    ({"id of item_id": np.array([7])}, "arrays of one length, at least 1, got .*'id of item_id': 1"),
    (dict.fromkeys(GOOD, np.zeros(0, int)), "arrays of one length, at least 1"),
    ({"id of category": None}, "nothing is called 'id of category' in it: the file is of another schema"),
])
def test_arrays_that_are_no_items_are_refused(tmp_path, change, message):
    arrays = {name: values for name, values in {**GOOD, **change}.items() if values is not None}
    np.savez(tmp_path / "catalogue.npz", **arrays)
    with pytest.raises(ValueError, match=f"catalogue.npz: .*{message}"):
        Catalogue.read(str(tmp_path), SCHEMA)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 torn", None])
def test_a_damaged_file_is_named(tmp_path, content):
    if content is None:  # a byte of what is compressed
        synthetic.catalogue(SCHEMA, 2_000).write(str(tmp_path))
        whole = bytearray((tmp_path / "catalogue.npz").read_bytes())
        whole[60:90] = bytes(30)
        content = bytes(whole)
    (tmp_path / "catalogue.npz").write_bytes(content)
    with pytest.raises(ValueError, match="catalogue.npz: expected arrays of ids, as numpy.savez writes them"):
        Catalogue.read(str(tmp_path), SCHEMA)
