"""An export answers the same in a second runtime, whatever the sizes; or the error says which operation it lacks."""

import re
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.serving.__main__ import main
from lcn_tf.serving.convert import RUNTIMES, convert_export
from lcn_tf.serving.export import export_model
from lcn_tf.serving.recorded_requests import named_tensors
from lcn_tf.serving.second_runtime import ConversionError
from lcn_tf.serving.verify import VERIFICATION_PATH, VerificationError
from tests import synthetic
from tests.serving.conftest import DATA, small_model


@pytest.fixture(scope="module", params=sorted(RUNTIMES))
def runtime(request):
    pytest.importorskip({"onnx": "tf2onnx"}.get(request.param, request.param))
    return request.param


@pytest.fixture(scope="module")
def converted(runtime, exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted") / runtime
    report = convert_export(str(exported.path), runtime, str(folder))
    assert report.max_difference < 1e-6 and report.requests > 8 and report.bytes > 10_000
    return folder


def test_requests_of_growing_and_shrinking_sizes_are_answered_as_by_tensorflow(runtime, converted, exported):
    answer = RUNTIMES[runtime].load(str(converted), 1)
    schema = exported.files.schema
    sizes = [(1, 1, 1), (3, 2, 5), (7, 5, 30), (1, 11, 0), (2, 13, 41), (1, 1, 3)]
    for seed, (requests, candidates, events) in enumerate(sizes):
        rng = np.random.default_rng(seed)
        groups = [synthetic.make_group(schema, rng, 1, candidates, dict.fromkeys(schema.histories, events))
                  for _ in range(requests)]
        request = named_tensors(schema, groups)
        if seed == 2:  # padding in front of an event, an unknown id, several moments
            request["lifelong_source_item_id"][:, 0] = 0
            request["category"][0, 0] = 10**6
            request["timestamp"][:, 1] += 3_600
            if runtime != "openvino":  # whose integers have 32 bits
                request["timestamp"][1, 2] *= 1_000
        if seed == 4:  # events of one item, of which some are kept
            request["lifelong_source_item_id"] = 2 + request["lifelong_source_item_id"] % 2
            request["lifelong_source_category"] = np.full_like(request["lifelong_source_category"], 3)
        expected, found = exported.serve("serving_default", **request), answer(request)
        assert set(found) == set(expected)
        np.testing.assert_allclose(found["probability"], expected["probability"], rtol=0, atol=1e-6)
        for name in set(expected) - {"probability"}:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_what_lies_beside_the_model(converted, exported):
    for name in ("README.md", "schema.json", "verification.npz", "vocabularies/fingerprint"):
        assert (converted / name).read_bytes() == (exported.path / "assets.extra" / name).read_bytes()
    assert not (converted / "tf_serving_warmup_requests").exists()
    assert [path.name for path in converted.parent.iterdir()] == [converted.name]


@pytest.fixture
def copied(exported, tmp_path):
    return shutil.copytree(exported.path, tmp_path / "1")


def test_an_answer_that_differs_leaves_nothing_behind(runtime, copied, tmp_path, capsys):
    path = copied / VERIFICATION_PATH
    with np.load(path) as arrays:
        altered = dict(arrays)
    altered["probability"][3, 0] += 3e-5
    np.savez(path, **altered)
    target = tmp_path / "new" / runtime
    assert main(["convert", str(copied), f"--to={runtime}", f"--output_dir={target}"]) == 1
    message = rf"error: {runtime}, request 3 alone: probability\[0, 0\] .*exceeds 1e-05\n$"
    assert re.match(message, capsys.readouterr().err)
    assert list(target.parent.iterdir()) == []


def test_an_operation_that_a_runtime_lacks_is_named(runtime, tmp_path, exported):
    class Searching(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64, name="item_id")])
        def serve(self, item_id):
            ends = tf.constant([2, 3, 5], tf.int64)
            return {"probability": tf.cast(tf.searchsorted(ends, tf.reshape(item_id, [-1]), "right"), tf.float32)}

    module = Searching()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=module.serve)
    shutil.copytree(exported.path / "assets.extra", tmp_path / "1" / "assets.extra")
    with pytest.raises(ConversionError, match="UpperBound"):
        convert_export(str(tmp_path / "1"), runtime, str(tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_what_is_there_is_kept(runtime, converted, exported):
    with pytest.raises(FileExistsError, match="exists already"):
        convert_export(str(exported.path), runtime, str(converted))
    with pytest.raises(FileNotFoundError, match="is not an exported version"):
        convert_export(str(converted), runtime, str(converted / "new"))
    with pytest.raises(ValueError, match="runtime must be one of onnx, openvino, got 'tflite'"):
        convert_export(str(exported.path), "tflite", str(converted / "new"))


def test_a_runtime_that_is_not_installed(runtime, exported, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, {"onnx": "tf2onnx"}.get(runtime, runtime), None)
    with pytest.raises(ConversionError, match=rf"pip install 'lcn-tf\[{runtime}\]'"):
        convert_export(str(exported.path), runtime, str(tmp_path / "new"))


@pytest.mark.slow
@pytest.mark.parametrize("long_term", ["twin", "din"])
def test_long_term_models_whose_conversion_needs_help(long_term, record_files, tmp_path):
    """TWIN merges lists by an operation without a rule; DIN has the context of all events behind a `tf.cond`."""
    pytest.importorskip("openvino")
    model = small_model(record_files.schema, long_term=long_term, objectives=())
    path = export_model(model, str(tmp_path / "saved_model"), record_files, DATA)
    assert convert_export(path, "openvino", str(tmp_path / "openvino")).max_difference < 1e-6


@pytest.mark.slow
def test_a_loop_over_events_converts_to_onnx_alone(record_files, tmp_path):
    pytest.importorskip("openvino")
    pytest.importorskip("tf2onnx")
    model = small_model(record_files.schema, long_term="dien", objectives=())
    path = export_model(model, str(tmp_path / "saved_model"), record_files, DATA)
    assert convert_export(path, "onnx", str(tmp_path / "onnx")).max_difference < 1e-6
    with pytest.raises((ConversionError, VerificationError), match="openvino, request 0 alone"):
        convert_export(path, "openvino", str(tmp_path / "openvino"))
    assert not (tmp_path / "openvino").exists()
