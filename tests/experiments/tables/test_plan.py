"""Results are kept under keys that tell rows and records apart."""

import pytest

from experiments import inputs
from experiments.tables.plan import plan
from experiments.tables.rows import TABLES, Row

ROWS = (Row("SIM Soft", "sim.cfg"), Row("ETA", "eta.cfg"))


def holding(monkeypatch, facts):
    monkeypatch.setattr(inputs, "prepared_data", lambda experiment: inputs.PreparedData("folder", None, facts))


def test_rows_have_keys_of_their_own_on_the_same_data(monkeypatch):
    holding(monkeypatch, {"fingerprint": "abc"})
    one, other = (row.key for row in plan(ROWS, ["--dataset=industrial"]))
    assert one.config_hash != other.config_hash
    assert one.data_fingerprint == other.data_fingerprint == "abc" and one.code == other.code is not None
    assert [row.key.code for row in plan(ROWS, [], any_code=True)] == [None, None]


def test_rows_that_flags_or_the_data_set_make_the_same_are_refused(monkeypatch):
    holding(monkeypatch, {"fingerprint": "abc"})
    with pytest.raises(ValueError, match="rows 'SIM Soft' and 'ETA' are the same with --model.long_term=twin"):
        plan(ROWS, ["--model.long_term=twin"])
    with pytest.raises(ValueError, match="rows 'single domain' and 'LCN-200-50 without CRP' are the same"):
        plan(TABLES["4"].rows, ["--dataset=userbehavior", "--input_dir=logs"])  # it has no single domain


@pytest.mark.parametrize("arguments, message", [
    (["--eval.consistency_rows=0"], "--eval.consistency_rows must be 1000 for all tables, got 0"),
    (["--train.deterministic", "yes"], "expected flags of experiments.run, like --train.epochs=2, got yes")])
def test_flags_that_would_be_ignored_or_mix_measures_are_refused(monkeypatch, arguments, message):
    holding(monkeypatch, {"fingerprint": "abc"})
    with pytest.raises(ValueError, match=message):
        plan(ROWS, arguments)


def test_records_without_fingerprint_are_refused(monkeypatch):
    holding(monkeypatch, {})
    with pytest.raises(ValueError, match="mine has no preparation.json with a fingerprint"):
        plan(ROWS, ["--data_dir=mine"])
