"""Training that goes on from weights: resumes exactly, and leaves its means."""

import dataclasses

import numpy as np
import pytest

from lcn_tf.data.pipeline import RecordFiles
from lcn_tf.training import results, train_further
from lcn_tf.training.checkpoints import Checkpoints
from tests import synthetic
from tests.training.test_trainer import DATA, QUEUE, TRAIN, new_model

CONFIG = dataclasses.replace(TRAIN, epochs=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    synthetic.write_records(data_dir, seed=3)
    return RecordFiles.open(str(data_dir))


class KilledError(Exception):
    """Stands for the end of a process."""


def weights_after(files, workdir, monkeypatch, kill_at=None, order=(20240101,)):
    """The weights of a model trained for two epochs, with a kill in between, if any."""
    if kill_at:
        write, calls = Checkpoints.write, []

        def killed(self, name):
            write(self, name)
            calls.append(name)
            if len(calls) == kill_at:
                raise KilledError

        with monkeypatch.context() as patch, pytest.raises(KilledError):
            patch.setattr(Checkpoints, "write", killed)
            train_further(new_model(files, parts=QUEUE), files, DATA, CONFIG, str(workdir), order, verbose=0)
    model = new_model(files, parts=QUEUE)
    train_further(model, files, DATA, CONFIG, str(workdir), order, verbose=0)
    return [value.numpy() for value in model.variables]


def test_a_kill_changes_nothing_and_the_order_does(files, tmp_path, monkeypatch):
    whole = weights_after(files, tmp_path / "whole", monkeypatch)
    killed = weights_after(files, tmp_path / "killed", monkeypatch, kill_at=3)
    for expected, found in zip(whole, killed, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    other = weights_after(files, tmp_path / "other", monkeypatch, order=(20240102,))
    assert any((found != expected).any() for found, expected in zip(other, whole, strict=True))
    rows = results.read_history(tmp_path / "whole" / "history.csv")
    assert [row["epoch"] for row in rows] == [1, 2] and all(np.isfinite(row["train_loss"]) for row in rows)
    assert rows == results.read_history(tmp_path / "killed" / "history.csv")


def test_what_has_an_end_is_refused(files, tmp_path):
    config = dataclasses.replace(CONFIG, decay="linear")
    with pytest.raises(ValueError, match="train.decay=linear: training that goes on has no end to decay to"):
        train_further(new_model(files), files, DATA, config, str(tmp_path), (), verbose=0)
