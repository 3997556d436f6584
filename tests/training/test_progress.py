"""The clock of an epoch goes on after a kill, and starts anew with the next epoch."""

import time

import tensorflow as tf

from lcn_tf.checkpoint_folder import restore
from lcn_tf.training.progress import Progress


def test_an_epoch_does_not_have_the_seconds_of_the_one_before(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress()
    for lasted in (7.0, 3.0):
        progress.start()
        now += lasted
        assert progress.seconds() == lasted
        progress.end_epoch()
        progress.seconds()  # as the checkpoint that is written then does


def test_a_killed_epoch_goes_on_with_the_seconds_of_its_checkpoint(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    killed, resumed = Progress(), Progress()
    killed.start()
    now += 7.0
    killed.seconds()
    path = tf.train.Checkpoint(progress=killed).write(str(tmp_path / "checkpoint"))
    now += 1000.0
    restore(tf.train.Checkpoint(progress=resumed), path)
    resumed.start()
    now += 3.0
    assert resumed.seconds() == 10.0
