"""What is written beside an export is what a server reads, and follows from the measurement."""

import collections
import re
import shutil

import numpy as np
import tensorflow as tf

from lcn_tf.serving.__main__ import main
from lcn_tf.serving.configure import BATCHING_PATH, CONFIG_PATH, Measured, config_class, saved_model_config
from lcn_tf.serving.verify import verify_export
from lcn_tf.serving.warmup import MAX_RECORDS, WARMUP_PATH, log_class


def warmup(path):
    records = tf.data.TFRecordDataset(str(path / WARMUP_PATH)).as_numpy_iterator()
    return [log_class().FromString(record).predict_log.request for record in records]


def test_field_numbers_are_those_of_tensorflow_serving():
    """saved_model_config.proto: session_overrides 1; disable_meta_optimizer 3, a varint."""
    assert saved_model_config(optimize=False) == bytes([1 << 3 | 2, 2, 3 << 3, 1])
    assert not config_class().FromString(saved_model_config(optimize=True)).session_overrides.disable_meta_optimizer


def test_the_graph_is_optimised_unless_it_is_clearly_faster_as_it_is():
    assert [Measured({}, {}, ratio).optimize for ratio in (1.4, 0.96, 0.94)] == [True, True, False]


def test_the_warmup_covers_the_allowed_sizes_and_the_command_can_run_again(exported, tmp_path, capsys):
    path = shutil.copytree(exported.path, tmp_path / "1")
    before = len(warmup(path))
    for _ in range(2):
        assert main(["configure", str(path), "--budget_ms=60000", "--repeats=2"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^1 requests in one run: [0-9.]+ ms, [0-9,]+ requests/s$", printed, re.MULTILINE)
    text = (path / BATCHING_PATH).read_text()
    assert printed.endswith(text)
    allowed = [int(size) for size in re.findall(r"allowed_batch_sizes: (\d+)", text)]
    assert allowed[0] == 1 and f"max_batch_size {{ value: {allowed[-1]} }}" in text
    config_class().FromString((path / CONFIG_PATH).read_bytes())
    requests = warmup(path)
    assert len(requests) < MAX_RECORDS and len(requests) <= before + 2 * 2 * 6
    sizes = collections.defaultdict(set)
    for request in requests:
        values = next(iter(request.inputs.values()))
        sizes[request.model_spec.signature_name].add(tf.make_ndarray(values).shape[0])
    assert set(allowed) <= sizes["serving_default"] and set(allowed) <= sizes["serving_examples"]
    last = {name: tf.make_ndarray(value) for name, value in requests[-2].inputs.items()}
    assert np.isfinite(exported.serve("serving_default", **last)["probability"]).all()
    assert verify_export(str(path)).requests > 1


def test_a_budget_that_one_request_exceeds(exported, tmp_path, capsys):
    path = shutil.copytree(exported.path, tmp_path / "1")
    assert main(["configure", str(path), "--budget_ms=0.0001", "--repeats=1"]) == 1
    assert re.match(r"error: one request takes [0-9.]+ ms, more than the budget of 0\.0 ms\n$", capsys.readouterr().err)
    assert not (path / BATCHING_PATH).exists()


def test_budgets_repeats_and_warm_up_files_that_are_none(exported, tmp_path, capsys):
    path = shutil.copytree(exported.path, tmp_path / "1")
    for budget in ("nan", "inf", "0", "-1"):
        assert main(["configure", str(path), f"--budget_ms={budget}", "--repeats=1"]) == 1
        assert capsys.readouterr().err.startswith("error: budget must be positive and finite, got ")
    assert main(["configure", str(path), "--repeats=0"]) == 1
    assert capsys.readouterr().err == "error: repeats must be at least 1, got 0\n"
    for content, message in ((b"", "no warm-up requests"), (b"a text, and no records at all", "no file of warm-up")):
        (path / WARMUP_PATH).write_bytes(content)
        assert main(["configure", str(path), "--budget_ms=60000", "--repeats=1"]) == 1
        assert f"tf_serving_warmup_requests: {message}" in capsys.readouterr().err
    assert not (path / BATCHING_PATH).exists()
