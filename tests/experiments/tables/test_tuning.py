"""Options are chosen by the validation day of finished trials, and by nothing else."""

import csv
import dataclasses

import pytest

from experiments import flags
from experiments.settings import Configuration
from experiments.tables import resamples, tuning, worlds
from experiments.tables.plan import Planned
from experiments.tables.rows import TABLES, Row, Table
from experiments.tables.store import Store

from .finished_runs import finished

ROWS = (Row("plain", "a.cfg"),
        Row("tried", "b.cfg", "plain", trials=(("--crp.weight=1",), ("--crp.weight=2", "--crp.temperature=0.5"))),
        Row("tried too", "c.cfg", "plain", flags=("--x=3",), trials=(("--crp.weight=1",), ("--crp.weight=5",))))
TABLE = Table("table_7", "Table 7", ROWS)


def planned(row, version=1):
    return Planned(row, row.flags, Configuration({"core": version}, {"of": " ".join([row.cfg, *row.flags])}), "data")


@pytest.fixture
def tried(monkeypatch):
    monkeypatch.setattr(tuning, "plan", lambda rows, common: [planned(row, *common) for row in rows])
    return lambda version=1: tuning.trials(TABLE, (version,))


def add(store, trial, validation_auc, test_auc, seed=None):
    seed = trial.seed if seed is None else seed
    run = finished(trial.planned.row.cfg, seed, test_auc)
    run["configuration"] = trial.planned.configuration.id
    model = {**run["metrics"]["validation"]["model"], "auc": validation_auc}
    run["metrics"]["validation"] = {**run["metrics"]["validation"], "model": model}
    store.add(run, resamples.pack([[0.5] * 4] * 2), trial.planned.configuration)


def test_the_validation_day_of_all_trials_decides(tmp_path, tried):
    store, trials = Store(str(tmp_path)), tried()
    assert [trial.planned.row.flags for trial in trials] == [
        ("--crp.weight=1",), ("--crp.weight=2", "--crp.temperature=0.5"), ("--x=3", "--crp.weight=1"),
        ("--x=3", "--crp.weight=5")]
    add(store, trials[0], 0.70, 0.9)
    add(store, trials[2], None, 0.9)  # labels of one class
    assert tuning.choices(trials, store) == {}
    add(store, trials[1], 0.71, 0.2)
    add(store, trials[3], 0.61, 0.2)
    add(store, trials[0], 0.99, 0.9, seed=2)
    chosen = {"tried": ("--crp.weight=2", "--crp.temperature=0.5"), "tried too": ("--crp.weight=5",)}
    assert tuning.choices(trials, store) == chosen
    table = tuning.tuned(TABLE, chosen)
    assert [row.flags for row in table.rows] == [(), chosen["tried"], ("--x=3", "--crp.weight=5")]
    assert table.key == "table_7_tuned"
    with pytest.raises(ValueError, match="trials of tried too are not finished: the same command with --tune instead"):
        tuning.tuned(TABLE, {"tried": chosen["tried"]})
    assert tuning.choices(tried(2), store) == {}  # trials of other versions of the parts


def test_every_trial_is_listed(tmp_path, tried):
    store, trials = Store(str(tmp_path)), tried()
    for trial, auc in zip(trials[:3], (0.7, 0.71, 0.5), strict=True):
        add(store, trial, auc, 0.9)
    tuning.write(str(tmp_path), TABLE, trials, store, "the command")
    text = (tmp_path / "table_7_trials.md").read_text()
    assert "| tried | weight 1 | 0.7000 |  |" in text and "| tried too | weight 5 |  |  |" in text
    assert "| tried | weight 2, temperature 0.5 | 0.7100 | chosen |" in text and "0.9" not in text
    with open(tmp_path / "table_7_trials.csv", newline="") as file:
        assert [row["chosen"] for row in csv.DictReader(file)] == ["0", "1", "0", "0"]


@pytest.mark.parametrize("table, rows, trials", [("2", 8, 4), ("5", 12, 8), ("5-sim", 10, 8)])
def test_every_row_has_as_many_trials(table, rows, trials):
    tuned = [row for row in TABLES[table].rows if row.trials]
    assert len(tuned) == rows and {len(set(row.trials)) for row in tuned} == {trials}


def test_runs_of_the_rows_seeds_choose_nothing_where_trials_have_their_own(tmp_path, tried):
    for table in (TABLES["5"], TABLES["5-sim"], worlds.WORLDS["joined_by_order"]):
        assert table.tuning_seed not in range(1, 100)
    apart = dataclasses.replace(TABLE, tuning_seed=101)
    store, trials = Store(str(tmp_path)), tuning.trials(apart, (1,))
    for trial in trials:
        add(store, trial, 0.7, 0.9, seed=1)
    assert tuning.choices(trials, store) == {}
    for trial, auc in zip(trials, (0.6, 0.7, 0.7, 0.6), strict=True):
        add(store, trial, auc, 0.9)
    assert tuning.choices(trials, store) == {"tried": trials[1].flags, "tried too": trials[2].flags}


def test_trials_differ_and_the_defaults_are_among_them():
    for table in (TABLES["2"], TABLES["5"], TABLES["5-sim"], worlds.WORLDS["joined_by_user"]):
        for row in (row for row in table.rows if row.trials):
            settings = []
            for trial in row.trials:
                flags.parse(["experiments.run", f"--flagfile={row.cfg}", *row.flags, *trial])
                settings.append(flags.read().settings())
            assert all(one != other for place, one in enumerate(settings) for other in settings[:place]), row.name
            flags.parse(["experiments.run", f"--flagfile={row.cfg}", *row.flags])
            assert flags.read().settings() in settings, row.name
