"""Parts of one's own, through every door of the contracts: on any number of replicas, after a kill, in an export."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import CLICK, HistorySpec, Label
from lcn_tf.serving.export import export_model
from lcn_tf.serving.verify import verify_export
from lcn_tf.training import TrainConfig, predict, train
from lcn_tf.training.distributed_input import evaluation_batches
from tests import synthetic
from tests.models import new_parts

SCRIPT = pathlib.Path(new_parts.__file__)
SCHEMA = dataclasses.replace(
    synthetic.make_schema(), labels=(CLICK, Label("long_stay", given="click")), scenario="slot",
    histories={**synthetic.make_schema().histories, "zapped": HistorySpec("target", 4, "extra", ())})


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    synthetic.write_records(folder, SCHEMA, groups={"train": 47, "validation": 17, "test": 19}, seed=3)
    return str(folder)


@pytest.mark.slow
def test_replicas_change_no_loss_and_no_state(data_dir, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parent.parent.parent)}
    for count in new_parts.REPLICAS:
        output = str(tmp_path / f"replicas-{count}.npz")
        done = subprocess.run([sys.executable, str(SCRIPT), data_dir, output, str(count)], env=environment, text=True,
                              stderr=subprocess.PIPE, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
    one, *others = (dict(np.load(tmp_path / f"replicas-{count}.npz")) for count in new_parts.REPLICAS)
    assert {"ctr_loss", "long_stay_loss", "queue_nce", "embeddings_l2", "added_losses"} <= set(one["names"])
    assert one["updates"].max() > 1 and len(np.unique(one["queue"])) > new_parts.QUEUE
    for other in others:
        for name in set(one) - {"names"}:
            np.testing.assert_allclose(other[name], one[name], rtol=1e-5, atol=1e-6, err_msg=name)


class KilledError(Exception):
    """Stands for the end of the process."""


def trained(files, workdir, epochs=2):
    model = new_parts.new_model(files)
    result = train(model, files, new_parts.DATA, TrainConfig(epochs=epochs, patience=2, batch_size=29,
                                                                   checkpoint_every=1), str(workdir), verbose=0)
    rows = predict(model, evaluation_batches(model.distribute_strategy, files, "test", new_parts.DATA, 29))
    return model, result, rows


def test_a_kill_changes_nothing_and_an_export_holds_what_scores(data_dir, tmp_path, monkeypatch):
    files = RecordFiles.open(data_dir)
    _, expected, rows = trained(files, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(tf.keras.callbacks.TensorBoard, "on_train_batch_end", kill_at(9))
        with pytest.raises(KilledError):
            trained(files, tmp_path / "killed")
    trained(files, tmp_path / "between epochs", epochs=1)
    _, halves, _ = trained(files, tmp_path / "between epochs")
    assert {**halves.history[1], "seconds": 0} == pytest.approx({**expected.history[1], "seconds": 0}, rel=1e-4)
    model, result, again = trained(files, tmp_path / "killed")
    assert {"validation_long_stay_auc", "validation_long_stay_joint_auc", "validation_long_stay_logloss",
            "train_added_losses", "train_queue_nce"} <= set(result.history[0])
    for row, other in zip(result.history, expected.history, strict=True):
        assert {**row, "seconds": 0} == pytest.approx({**other, "seconds": 0}, rel=1e-4)
    for name, values in rows.arrays().items():
        np.testing.assert_allclose(again.arrays()[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
    assert set(rows.others) == {"long_stay"} and rows.others["long_stay"].counted.sum() == rows.label.sum()

    path = export_model(model, str(tmp_path / "saved_model"), files, new_parts.DATA)
    held = " ".join(tf.saved_model.load(path).signatures["serving_default"].structured_outputs)
    assert "long_stay_probability" in held and verify_export(path).max_difference < 1e-5
    names = [name for name, _ in tf.train.list_variables(f"{path}/variables/variables")]
    shapes = [tuple(tf.train.load_variable(f"{path}/variables/variables", name).shape) for name in names
              if "inference_weights" in name]
    assert (11, 4) in shapes and (9, 7) in shapes  # the table that trains itself, the gates
    assert (11,) not in shapes and (new_parts.QUEUE, 8) not in shapes  # its counts, the queue


def kill_at(last):
    steps = iter(range(1, 1_000))

    def on_train_batch_end(self, batch, logs=None):
        if next(steps) == last:
            raise KilledError

    return on_train_batch_end
