"""Training on what a mapping file made: presets by size, which flags win over, and what is asked for otherwise."""

import json
import shlex

import pytest

from experiments import flags, own_logs, prepared_data
from tests import synthetic


def made(folder, impressions, groups):
    synthetic.write_records(folder, synthetic.make_schema(), seed=1, groups={"train": 3, "validation": 2, "test": 2})
    (folder / "preparation.json").write_text(json.dumps(
        {"dataset": "shop", "rows": {}, "splits": {"train": {"impressions": impressions, "groups": groups}}}))
    return folder


def parsed(arguments):
    flags.parse(["run", *shlex.split(arguments)])
    return flags.read()


@pytest.mark.parametrize("impressions, groups, batch_size, epochs, dropout, layout", [
    (900, 800, 128, 10, 0.3, "flat"), (60_000, 9_000, 512, 10, 0.3, "grouped"),
    (400_000, 9_000, 2_048, 5, 0.1, "grouped"), (2_000_000_000, 9_000, 2_048, 1, 0.0, "grouped")])
def test_presets_follow_the_size(tmp_path, impressions, groups, batch_size, epochs, dropout, layout):
    folder = made(tmp_path / "data", impressions, groups)
    found = parsed(f"--flagfile=lcn_200_50.cfg --dataset=own_logs --data_dir={folder}")
    train, data = found.groups["train"], found.groups["data"]
    assert (train.batch_size, train.epochs, data.layout) == (batch_size, epochs, layout)
    assert found.components[("towers", "mlp")].input_dropout == dropout
    lengths = synthetic.make_schema().lengths
    assert (data.short_length, data.lifelong_length) == (lengths["short_source"], lengths["lifelong_source"])


def test_flags_win_and_the_preset_is_printed(tmp_path, capsys):
    folder = made(tmp_path / "data", 60_000, 9_000)
    found = parsed(f"--flagfile=lcn_200_50.cfg --dataset=own_logs --data_dir={folder} --train.batch_size=77")
    assert found.groups["train"].batch_size == 77
    assert prepared_data.find_or_prepare(found).data_dir == str(folder)
    assert "Preset for 60,000 training impressions, where flags do not say otherwise: " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", ["", "--input_dir=logs", "--input_dir=logs --data_dir=x"])
def test_the_logs_are_prepared_first(arguments):
    with pytest.raises(ValueError, match="dataset=own_logs needs --data_dir, no --input_dir: prepare the logs"):
        parsed(f"--dataset=own_logs {arguments}")


def test_records_that_are_not_there(tmp_path):
    assert own_logs.preset(str(tmp_path)) == own_logs.preset(str(tmp_path / "absent")) == []
    found = parsed(f"--dataset=own_logs --data_dir={tmp_path}")
    with pytest.raises(FileNotFoundError, match="holds no prepared data set .* python -m data_prep.own_logs --mapping"):
        prepared_data.find_or_prepare(found)
