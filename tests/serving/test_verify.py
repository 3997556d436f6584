"""Verification passes for a whole export and fails for every other."""

import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from lcn_tf.serving import clean_process
from lcn_tf.serving.__main__ import main
from lcn_tf.serving.export import export_model
from lcn_tf.serving.verify import VERIFICATION_PATH, VerificationError, largest_difference, verify_export
from tests.serving.conftest import DATA

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def copied(exported, tmp_path):
    """A copy of the export to spoil."""
    return pathlib.Path(shutil.copytree(exported.path, tmp_path / "copied"))


def test_an_export_is_verified(exported, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = shutil.copytree(exported.path, pathlib.Path("lr[0.1]*", "a\\b", "1"))  # as a pattern, of other folders
    report = verify_export(str(path))
    assert report.max_difference < 1e-6
    assert report.signatures == ("explain", "rank_from_state", "serving_default", "serving_examples")
    with np.load(exported.path / VERIFICATION_PATH) as arrays:
        assert report.requests == len(arrays["examples_lengths"]) > 5
        assert report.candidates == arrays["candidate_mask"].sum() > report.requests / 2
        assert arrays["probability"][arrays["candidate_mask"]].min() > 0


def test_an_altered_weight_is_found(exported, copied, tmp_path, capsys):
    bias = exported.model.head.trainable_variables[-1]
    original = bias.numpy()
    bias.assign(original + 0.01)
    try:
        other = export_model(exported.model, str(tmp_path / "altered"), exported.files, DATA)
    finally:
        bias.assign(original)
    shutil.rmtree(copied / "variables")
    shutil.copytree(pathlib.Path(other) / "variables", copied / "variables")
    with pytest.raises(VerificationError, match=r"^(explain|serving_\w+): probability\[\d+, \d+\].*exceeds 1e-05"):
        verify_export(str(copied))
    assert main(["verify", str(copied), "--tolerance=0.01"]) == 0
    assert re.match(r"verified: \d+ requests, \d+ candidates, .*; largest difference 0\.00", capsys.readouterr().out)


def test_a_version_without_weights_is_found(copied):
    shutil.rmtree(copied / "variables")
    with pytest.raises(VerificationError, match="the clean process ended with status 1"):
        verify_export(str(copied))


def test_a_folder_without_recorded_requests_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"verification\.npz does not exist"):
        verify_export(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"xx", b"PK\x03\x04cut"])
def test_damaged_recorded_requests_are_named(tmp_path, content):
    path = tmp_path / VERIFICATION_PATH
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(VerificationError, match=r"verification\.npz: not the recorded requests of an export"):
        verify_export(str(tmp_path))


def test_the_largest_difference_is_named():
    expected = np.array([[0.25, 0.5], [0.75, 0.0]], np.float32)
    close = {"explain/probability": expected + np.float32(1e-6)}
    assert largest_difference("explain", close, "probability", expected, 1e-5) < 2e-6
    found = expected.copy()
    found[1, 0] += 0.125
    found[0, 1] += 0.0625
    with pytest.raises(VerificationError, match=r"explain: probability\[1, 0\] .* is 0\.875, .*0\.75.* 0\.125 exceeds"):
        largest_difference("explain", {"explain/probability": found}, "probability", expected, 1e-5)
    found[0, 0] = np.nan
    with pytest.raises(VerificationError, match=r"probability\[0, 0\] .* is nan"):
        largest_difference("explain", {"explain/probability": found}, "probability", expected, 1e-5)
    with pytest.raises(VerificationError, match=r"shape \(1, 2\), expected \(2, 2\)"):
        largest_difference("explain", {"explain/probability": expected[:1]}, "probability", expected, 1e-5)
    with pytest.raises(VerificationError, match="serving_default: probability has the shape None"):
        largest_difference("serving_default", {"explain/probability": expected}, "probability", expected, 1e-5)


@pytest.mark.parametrize("package", ["lcn_tf", "command_line", "experiments", "data_prep"])
def test_the_clean_process_cannot_import_the_project(package):
    code = ("import runpy, sys; sys.path.insert(0, sys.argv[1]); program = runpy.run_path(sys.argv[2])\n"
            "if sys.argv[4] == 'blocked': program['block_packages']()\n"
            "__import__(sys.argv[3])")
    for state, expected in (("open", 0), ("blocked", 1)):
        done = subprocess.run([sys.executable, "-I", "-c", code, str(ROOT), clean_process.__file__, package, state],
                              text=True, capture_output=True, check=False)
        assert done.returncode == expected, done.stderr
    assert f"ModuleNotFoundError: import of {package} halted" in done.stderr


def test_the_command_fails_with_a_message(tmp_path, capsys):
    assert main(["verify", str(tmp_path)]) == 1
    assert "does not exist" in capsys.readouterr().err
