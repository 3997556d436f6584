"""Files of a run appear whole, and say by name what is wrong with them when they are read back."""

import concurrent.futures
import json
import os

import pytest

from lcn_tf.training import results


def test_files_of_a_run_appear_whole(tmp_path):
    path = str(tmp_path / "metrics.json")
    results.write_json(path, {"b": 1, "a": [2]})
    results.append_json_line(str(tmp_path / "results.jsonl"), {"x": 1})
    results.append_json_line(str(tmp_path / "results.jsonl"), {"x": 2})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"a": [2], "b": 1}
    assert [json.loads(line)["x"] for line in (tmp_path / "results.jsonl").read_text().splitlines()] == [1, 2]
    assert not os.path.exists(f"{path}.partial")


def test_half_a_line_does_not_swallow_the_next_one(tmp_path):
    path = tmp_path / "results.jsonl"
    for before, expected in (('{"x": 1}\n{"x": 2', [1, 3]), ('{"x": 1}', [1, 3]), ("", [3]), ('{"x"', [3])):
        path.write_text(before)
        assert results.read_json_lines(str(path)) == [{"x": value} for value in expected[:-1]]
        results.append_json_line(str(path), {"x": 3})
        assert [json.loads(line)["x"] for line in path.read_text().splitlines()] == expected
        assert results.read_json_lines(str(path)) == [{"x": value} for value in expected]
    path.write_text('{"x": 1}\n{"x": \n{"x": 3}\n')
    with pytest.raises(ValueError, match="results.jsonl, line 2: not JSON"):
        results.read_json_lines(str(path))
    path.write_text('{"x": 1}\n[2]\n')
    with pytest.raises(ValueError, match="results.jsonl, line 2: not JSON"):
        results.read_json_lines(str(path))
    assert results.read_json_lines(str(tmp_path / "nowhere.jsonl")) == []


@pytest.mark.parametrize("text", ["epoch,loss\n1,much\n", "step,loss\n1,2\n", "epoch\n1,2\n", "\xff"])
def test_a_history_of_other_rows_is_named(tmp_path, text):
    path = tmp_path / "history.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match="history.csv: expected a row of numbers for each epoch"):
        results.read_history(str(path))


def test_lines_of_several_writers_stay_whole(tmp_path):
    path = str(tmp_path / "results.jsonl")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: results.append_json_line(path, {"x": number, "text": "y" * 5000}), range(64)))
    assert sorted(line["x"] for line in results.read_json_lines(path)) == list(range(64))


def test_what_is_not_a_number_becomes_null(tmp_path):
    path = str(tmp_path / "metrics.json")
    results.write_json(path, {"test": {"auc": float("nan"), "logloss": 0.5}, "slices": [{"auc": float("nan")}]})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {
        "test": {"auc": None, "logloss": 0.5}, "slices": [{"auc": None}]}
