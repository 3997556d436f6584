"""The benchmark of systems' steps measures rows beside the first, and its figures stand in the table."""

import pytest

from experiments.benchmarks import system_step
from experiments.tables import report
from experiments.tables.rows import Row
from experiments.tables.systems import SYSTEMS
from tests import synthetic


def test_rows_are_measured_beside_the_first(tmp_path, monkeypatch):
    synthetic.write_records(tmp_path / "data")
    (tmp_path / "data" / "preparation.json").unlink()  # as of records that were prepared elsewhere
    monkeypatch.setattr(system_step.flags, "define", lambda: None)  # once in a process
    rows = [Row("LCN", "lcn_200_50.cfg"), Row("codes", "lcn_alpt.cfg", flags=("--alpt.every=2",))]
    lcn, codes = system_step.measure_systems(rows, 2, False, [
        f"--data_dir={tmp_path / 'data'}", "--data.short_length=3", "--data.lifelong_length=11",
        "--embeddings.exclude=", "--embeddings.embedding_dim=32", "--tower.units=5", "--crp.num_negatives=16",
        "--train.batch_size=16"])
    assert (lcn["row"], lcn["over_first"], lcn["peak_bytes"]) == ("LCN", 1.0, None)
    assert codes["table_bytes"] == pytest.approx(lcn["table_bytes"] * (32 + 4) / (4 * 32))  # and a step size per row
    assert codes["seconds"] > 0 and codes["trained"] < lcn["trained"]  # no optimiser trains codes
    assert [line.split()[0] for line in system_step.report([lcn, codes]).splitlines()] == ["system", "LCN", "codes"]
    assert report._system_cells({**codes, "peak_bytes": 3 * 2**20})["peak MiB"] == "3.0"


def test_unknown_rows_are_named():
    with pytest.raises(ValueError, match="--rows names 'lcn_x.cfg'; known: lcn_hamur.cfg, lcn_hierrec.cfg"):
        system_step._chosen(["lcn_x.cfg"])
    assert system_step._chosen(["lcn_alpt.cfg"]) == [SYSTEMS.rows[0], *(row for row in SYSTEMS.rows
                                                                       if row.cfg == "lcn_alpt.cfg")]
