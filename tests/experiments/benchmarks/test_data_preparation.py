"""The benchmark of the preparation: its pandas version makes the same records, and the command runs as a whole."""

import json
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from data_prep.config import PreparationConfig
from data_prep.own_logs.config import OwnLogsConfig
from data_prep.own_logs.prepare import prepare as prepare_own_logs
from data_prep.taobao.config import TaobaoConfig
from data_prep.taobao.generator import GeneratorConfig, generate
from data_prep.taobao.prepare import prepare
from experiments.benchmarks import data_preparation, mapped_logs, pandas_preparation
from experiments.benchmarks.data_preparation import Cost


def records(paths):
    """First impression -> record."""
    examples = [tf.train.Example.FromString(serialized.numpy()) for serialized in tf.data.TFRecordDataset(paths)]
    return {example.features.feature["impression_id"].int64_list.value[0]: example for example in examples}


def test_pandas_makes_the_same_records(tmp_path):
    generate(tmp_path / "logs", GeneratorConfig(num_users=60, seed=3))
    prepare(str(tmp_path / "logs"), str(tmp_path / "ours"), TaobaoConfig(), PreparationConfig())
    pandas_preparation.prepare(str(tmp_path / "logs"), str(tmp_path / "pandas"))
    for split in pandas_preparation.SPLITS:
        ours = records([str(path) for path in sorted((tmp_path / "ours").glob(f"*-{split}.tfrecord-*"))])
        assert ours and ours == records([str(tmp_path / "pandas" / f"{split}.tfrecord")])


def test_a_mapping_of_25_lines_makes_the_same_records(tmp_path):
    generate(tmp_path / "logs", GeneratorConfig(num_users=60, seed=3))
    prepare(str(tmp_path / "logs"), str(tmp_path / "ours"), TaobaoConfig(), PreparationConfig())
    mapping = mapped_logs.write(str(tmp_path / "logs"), str(tmp_path / "mapped"))
    assert len(pathlib.Path(mapping).read_text().splitlines()) <= 25
    prepare_own_logs("", str(tmp_path / "own"), OwnLogsConfig(mapping), PreparationConfig())
    for path in sorted((tmp_path / "ours").glob("*.tfrecord-*")):
        assert path.read_bytes() == (tmp_path / "own" / path.name).read_bytes()
    schemas = [(tmp_path / folder / "schema.json").read_text() for folder in ("ours", "own")]
    assert schemas[0] == schemas[1]


def test_figures():
    figures = data_preparation.figures_of(
        {"small": Cost(10, 100), "large": Cost(25, 110), "mapped": Cost(28, 120), "pandas": Cost(60, 900)},
        {"small": 2_000_000, "large": 5_000_000, "mapped": 5_000_000, "pandas": 2_000_000},
        dict(zip(data_preparation.SNAPSHOTS, (50, 40, 30, 200), strict=True)))
    assert figures["speed_over_pandas"] == 6 and figures["mapped_over_reader"] == pytest.approx(1.12)
    assert figures["peak_large_over_small"] == pytest.approx(1.1)
    assert figures["seconds_per_further_million_events"] == pytest.approx(5)
    assert figures["hours_for_the_real_log"] == pytest.approx((25 + 718.268134 * 5) / 3600)
    text = data_preparation.report(figures)
    assert "6.0 times as fast as pandas" in text and "1.0 hours for 723,268,134" in text and "0.25" in text


@pytest.mark.slow
def test_the_command_measures_everything(tmp_path):
    output = tmp_path / "figures.json"
    subprocess.run([sys.executable, "-m", "experiments.benchmarks.data_preparation", "--small_users=40",
                    "--large_users=80", f"--folder={tmp_path / 'work'}", f"--output={output}"], check=True)
    figures = json.loads(output.read_text())["figures"]
    assert set(figures["preparations"]) == {"small", "large", "mapped", "pandas"}
    sizes = figures["bytes_per_impression"]
    assert sizes["user"] < sizes["day"] < sizes["one record per impression"]
    assert all(cost["peak_bytes"] > 50 * 2**20 for cost in figures["preparations"].values())
