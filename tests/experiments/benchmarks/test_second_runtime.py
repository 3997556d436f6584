"""The benchmark of second runtimes runs, and compares answers before times."""

import json

import pytest

from experiments.benchmarks import second_runtime
from lcn_tf.serving.second_runtime import ConversionError
from tests.experiments.benchmarks.commands import run

for _package in ("openvino", "tf2onnx", "onnxruntime"):
    pytest.importorskip(_package)


@pytest.mark.slow
def test_every_runtime_is_measured(tmp_path):
    output = tmp_path / "figures.json"
    printed = run(second_runtime, "--converted=mean_pool", "--lengths=11", "--candidates=7", "--candidates=3",
                  "--short_length=5", "--num_items=50", "--embedding_dim=3", "--steps=3", f"--output={output}")
    header, first, second, *_ = printed.splitlines()
    assert "openvino / tensorflow" in header and "onnx / tensorflow" in header
    assert (first.split()[:3], second.split()[:3]) == (["mean_pool", "11", "7"], ["mean_pool", "11", "3"])
    figures = json.loads(output.read_text())["figures"]
    for found in figures:
        assert set(found["runtimes"]) == {"tensorflow", "openvino", "onnx"}
        assert all(figure > 0 for runtime in found["runtimes"].values() for figure in runtime.values())
        assert found["runtimes"]["tensorflow"]["time_over_tensorflow"] == 1


@pytest.mark.slow
def test_a_runtime_that_answers_otherwise_is_not_timed(monkeypatch):
    monkeypatch.setattr(second_runtime, "TOLERANCE", -1.0)
    with pytest.raises(ConversionError, match=r"^tensorflow and tensorflow differ by 0 for mean_pool$"):
        second_runtime.measure_runtimes("mean_pool", 11, 5, 50, 3, [7], 1)


def test_bad_input_ends_in_one_line():
    with pytest.raises(SystemExit, match="^error: unexpected arguments \\['surplus'\\]$"):
        run(second_runtime, "surplus")
