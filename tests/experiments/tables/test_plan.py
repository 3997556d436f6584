"""Results are kept under keys that tell rows and records apart."""

import pytest

from experiments import prepared_data
from experiments.tables.plan import plan
from experiments.tables.rows import TABLES, Row
from tests import synthetic

ROWS = (Row("SIM Soft", "sim.cfg"), Row("ETA", "eta.cfg"))


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    synthetic.write_records(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def prepared(monkeypatch, records):
    monkeypatch.setattr(prepared_data, "find_or_prepare",
                        lambda experiment: prepared_data.PreparedData(records, None, {}))


def test_rows_have_keys_of_their_own_on_the_same_data():
    one, other = plan(ROWS, ["--dataset=industrial"])
    assert one.key.configuration != other.key.configuration
    assert one.data_fingerprint == other.data_fingerprint
    assert one.configuration.parts == {"core": 1, "long_term/sim": 1, "short_term/din": 1, "towers/mlp": 1,
                                       "heads/click": 1}


def test_what_changes_no_result_is_not_in_the_key():
    (one,), (other,) = (plan(ROWS[:1], ["--dataset=industrial", *arguments]) for arguments in (
        [], ["--train.checkpoint_every=7", "--train.microbatches=2", "--prep.memory_limit=1GB"]))
    assert one.key == other.key != plan(ROWS[:1], ["--dataset=industrial", "--train.epochs=2"])[0].key


def test_rows_that_flags_or_the_data_set_make_the_same_are_refused():
    with pytest.raises(ValueError, match="rows 'SIM Soft' and 'ETA' are the same with --model.long_term=twin"):
        plan(ROWS, ["--model.long_term=twin"])
    with pytest.raises(ValueError, match="rows 'single domain' and 'LCN-200-50 without CRP' are the same"):
        plan(TABLES["4"].rows, ["--dataset=userbehavior", "--input_dir=logs"])  # it has no single domain


@pytest.mark.parametrize("arguments, message", [
    (["--eval.consistency_rows=0"], "--eval.consistency_rows must be 1000 for all tables, got 0"),
    (["--train.deterministic", "yes"], "expected flags of experiments.run, like --train.epochs=2, got yes")])
def test_flags_that_would_be_ignored_or_mix_measures_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan(ROWS, arguments)


def test_items_that_are_missing_are_told_before_anything_runs(records):
    drawing = Row("SSL", "lcn_ssl.cfg")
    with pytest.raises(FileNotFoundError, match="catalogue.npz is missing"):
        plan([drawing], ["--dataset=industrial"])
    plan([drawing], ["--dataset=industrial", "--ssl.weight=0"])
