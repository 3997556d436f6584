"""TF_CONFIG is written, read back and refused when it makes no sense."""

import json

import pytest

from lcn_tf.training import cluster

JOBS = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1", "e:1", "f:1"]}


def test_every_task_finds_itself(monkeypatch):
    tasks = cluster.tasks(JOBS)
    assert [(task.job, task.index) for task in tasks] == [
        ("chief", 0), ("worker", 0), ("worker", 1), ("ps", 0), ("ps", 1), ("ps", 2)]
    for task in tasks:
        monkeypatch.setenv("TF_CONFIG", task.to_json())
        assert cluster.current_task() == task


def test_one_process_alone(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert cluster.current_task() is None


def test_the_first_worker_stands_in_for_a_chief():
    assert [task.is_chief for task in cluster.tasks({"worker": JOBS["worker"]})] == [True, False]
    assert [task.is_chief for task in cluster.tasks(JOBS)] == [True, False, False, False, False, False]


@pytest.mark.parametrize("text, message", [
    ("{", "must be JSON"), ("[]", "must be JSON"), ('{"cluster": {}}', "must be JSON"),
    (json.dumps({"cluster": JOBS, "task": {"type": "worker", "index": 2}}), "task 2 of job 'worker', which has 2"),
    (json.dumps({"cluster": JOBS, "task": {"type": "evaluator", "index": 0}}), "job 'evaluator'"),
])
def test_what_makes_no_sense_is_refused(monkeypatch, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=message):
        cluster.current_task()
