"""The group that is shown holds the raw values of the ids that were written."""

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.inspect.decoded_group import describe_group, raw_values
from lcn_tf.data.record_files import RecordFiles
from tests import synthetic
from tests.synthetic import HISTORIES

SCHEMA = synthetic.make_schema()


def write(folder, offsets=False, candidates=3):
    """Three groups; the second has the most events in all histories, the third more in one and none in another."""
    groups = [synthetic.make_group(SCHEMA, np.random.default_rng(number), 70 + number, candidates,
                                   dict(zip(HISTORIES, lengths, strict=True)), offsets and number == 1)
              for number, lengths in enumerate([(1, 0, 3), (2, 2, 11), (5, 0, 23)])]
    synthetic.write_records(folder, SCHEMA, dict.fromkeys(synthetic.GROUPS, groups), shards=1)
    return RecordFiles.open(str(folder)), groups[1]


def cells_after(text, title, rows):
    lines = [line.split() for line in text.split("\n")]
    start = next(number for number, line in enumerate(lines) if line[:1] == [f"{title}:"])
    return lines[start][1], lines[start + 1], lines[start + 2:start + 2 + rows]


def raw(table, value):
    return f"{table}_{value}" if value > 1 else "OOV"


def test_ids_become_raw_values_and_seconds_local_time(tmp_path):
    files, group = write(tmp_path)
    text = describe_group(files, "test", 8 * 3600)
    assert text.startswith("synthetic-test.tfrecord-00000-of-00001, record 1: user 71\n")
    assert f"  user_id = {raw('user', group['user_id'][0])}\n  age = {raw('age', group['age'][0])}\n" in text
    count, header, rows = cells_after(text, "candidates", 3)
    assert count == "3" and header == ["timestamp", "label", "item_id", "category", "price", "slot"]
    for place, row in enumerate(rows):
        expected = [raw(table, group[name][place]) for name, table in
                    (("item_id", "item"), ("category", "category"), ("price", "price"), ("slot", "slot"))]
        assert row == ["2023-11-15", "06:13:20", str(group["label"][place]), *expected]
    count, header, rows = cells_after(text, "lifelong_source", 8)
    assert count == "11" and header == ["timestamp", "item_id", "category", "behaviour"]
    for place, row in enumerate(rows):
        assert row[2:] == [raw(table, group[f"lifelong_source_{name}"][place]) for name, table in
                           (("item_id", "item"), ("category", "category"), ("behaviour", "behaviour"))]
        moment = group["lifelong_source_timestamp"][place] + 8 * 3600
        assert " ".join(row[:2]) == str(np.datetime64(moment, "s")).replace("T", " ")
    assert text.endswith("  ... 3 more")


def test_offsets_and_long_lists_of_candidates(tmp_path):
    files, group = write(tmp_path, offsets=True, candidates=11)
    text = describe_group(files, "test", 0)
    _, header, rows = cells_after(text, "candidates", 8)
    assert header[6:] == [f"{history}_offset" for history in HISTORIES]
    assert [row[7:] for row in rows] == [
        [str(group[f"{history}_offset"][place]) for history in HISTORIES] for place in range(8)]
    assert "  ... 3 more\nshort_target: 2" in text


def test_an_empty_history_is_a_line(tmp_path):
    group = synthetic.make_group(SCHEMA, np.random.default_rng(0), 1, 1, dict.fromkeys(HISTORIES, 0))
    synthetic.write_records(tmp_path, SCHEMA, dict.fromkeys(synthetic.GROUPS, (group,)))
    text = describe_group(RecordFiles.open(str(tmp_path)), "test", 0)
    assert text.endswith("\nshort_target: 0\nshort_source: 0\nlifelong_source: 0")


def test_raw_values(tmp_path):
    folder = tmp_path / "vocabularies"
    folder.mkdir()
    (folder / "brand.txt").write_text("first\n\nthird\u2028one\n", encoding="utf-8")
    assert raw_values(str(tmp_path), "brand", {0, 1, 2, 3, 4}) == {
        0: "PADDING", 1: "OOV", 2: "first", 3: "", 4: "third\u2028one"}
    assert raw_values(str(tmp_path), "hashed", {1, 2, 999}) == {1: "OOV", 2: "#2", 999: "#999"}
    with pytest.raises(InputError, match=r"brand\.txt: no line 4 for the id 5"):
        raw_values(str(tmp_path), "brand", {2, 5, 6})
