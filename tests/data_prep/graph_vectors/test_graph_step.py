"""Vectors are of the training days alone, the same for a seed, and lie at their ids; what does not fit is named."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.graph_vectors.config import GraphConfig
from data_prep.graph_vectors.graph_step import add_graph_vectors
from data_prep.graph_vectors.training import trained_vectors
from data_prep.graph_vectors.training_graph import read_graph
from data_prep.taobao.config import TaobaoConfig
from data_prep.taobao.prepare import prepare
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.schema import FIRST_ID
from tests import synthetic
from tests.data_prep.taobao_logs import random_logs, second, write_logs

CONFIG = GraphConfig(width=5, steps=3, samples=64)


def quiet(_):
    pass


def vectors_of(data_dir, config=CONFIG, table="item", user_table=None):
    """The bytes of the files that the step writes."""
    written = add_graph_vectors(str(data_dir), table, user_table, config, quiet)
    return {name: np.load(of.path).tobytes() for name, of in written.items()}


def test_other_splits_and_the_order_of_records_change_no_byte(tmp_path):
    schema = synthetic.make_schema()
    train = synthetic.make_groups(schema, 40, seed=2)
    folders = {"first": (train, 13, 17, 2), "other splits": (train, synthetic.make_groups(schema, 31, seed=9), 1, 2),
               "other order": (train[::-1], 13, 17, 5), "fewer": (train[:-1], 13, 17, 2)}
    found = {}
    for name, (groups, validation, test, shards) in folders.items():
        splits = {"train": groups, "validation": validation, "test": test}
        synthetic.write_records(tmp_path / name, schema, splits, shards)
        found[name] = vectors_of(tmp_path / name, user_table="user")
    assert found["first"] == found["other splits"] == found["other order"] != found["fewer"]
    assert vectors_of(tmp_path / "first", user_table="user") == found["first"]  # where there are vectors already
    assert vectors_of(tmp_path / "first", dataclasses.replace(CONFIG, seed=2), user_table="user") != found["first"]


def test_what_happens_after_the_training_days_changes_no_byte(tmp_path):
    logs = random_logs(3, users=9, events=300)
    end = second(12)  # of the training days
    changed = {name: [list(row) for row in rows] for name, rows in logs.items()}
    rng = np.random.default_rng(1)
    for row in changed["raw_sample.csv"]:
        if int(row[1]) >= end:
            row[4], row[5] = row[5], row[4]  # clicked and not
    late = [row for row in changed["behavior_log.csv"] if int(row[1]) >= end]
    for row in late:
        row[2] = str(rng.choice(["pv", "cart", "fav", "buy"]))
    changed["behavior_log.csv"] += [[row[0], int(row[1]) + 1, "buy", *row[3:]] for row in late]
    found = []
    for name, rows in (("as they are", logs), ("changed", changed)):
        data = tmp_path / name / "data"
        prepare(str(write_logs(tmp_path / name / "logs", rows)), str(data), TaobaoConfig(),
                PreparationConfig(snapshot="user", shards=1))
        found.append(vectors_of(data, dataclasses.replace(CONFIG, behaviour="btag"), "brand", "user_id"))
    assert found[0] == found[1] and len(late) > 20
    tests = [[path.read_bytes() for path in sorted((tmp_path / name / "data").glob("*-test.tfrecord*"))]
             for name in ("as they are", "changed")]
    assert tests[0] != tests[1]


def test_vectors_lie_at_the_ids_of_what_has_an_edge(tmp_path):
    synthetic.write_records(tmp_path)
    config = dataclasses.replace(CONFIG, output="all")
    written = add_graph_vectors(str(tmp_path), "item", "user", config, quiet)
    files = RecordFiles.open(str(tmp_path))
    graph = read_graph(files, "item", "user_id", None, True, quiet)
    vectors, nodes = files.vectors(), trained_vectors(graph, config, quiet)
    assert nodes.shape == (len(graph.users) + len(graph.items), 3, 5)
    nodes = nodes.reshape(len(nodes), -1)
    expected = np.zeros((files.schema.tables["item"], 15), np.float32)
    expected[graph.items] = nodes[len(graph.users):]
    np.testing.assert_array_equal(vectors["item"], expected)
    for row, found in enumerate(vectors["user"]):  # several users share an id
        of = np.flatnonzero(graph.user_ids == row)
        mean = nodes[of].mean(0) if row >= FIRST_ID and len(of) else 0
        np.testing.assert_allclose(found, np.broadcast_to(mean, 15), rtol=2e-5, atol=1e-6)
    assert written["item"].known == len(graph.items) and written["item"].ids == files.schema.tables["item"] - FIRST_ID
    target = add_graph_vectors(str(tmp_path), "item", None, CONFIG, quiet)["item"]
    np.testing.assert_array_equal(np.load(target.path), vectors["item"][:, -5:])


@pytest.mark.parametrize(("options", "message"), [
    ({"table": "price"}, "schema.json, item: expected one item feature of the table 'price', .*: category, item"),
    ({"user_table": "item"}, "schema.json, user: expected one user feature of the table 'item', .*: age, user"),
    ({"behaviour": "btag"}, "schema.json, context: no feature 'btag'; known: behaviour")])
def test_what_cannot_be_is_named(tmp_path, options, message):
    synthetic.write_records(tmp_path)
    config = dataclasses.replace(CONFIG, behaviour=options.get("behaviour"))
    with pytest.raises(InputError, match=message):
        add_graph_vectors(str(tmp_path), options.get("table", "item"), options.get("user_table"), config, quiet)
    assert not (tmp_path / "vectors").exists()


@pytest.mark.parametrize(("field", "value"), [("width", 0), ("hops", 0), ("steps", 0), ("samples", 0), ("l2", -1.0),
                                              ("learning_rate", 0.0), ("output", "first"), ("normalisation", "right"),
                                              ("seed", -1)])
def test_impossible_settings(field, value):
    with pytest.raises(ValueError, match=f"^{field} must .*got {value!r}"):
        GraphConfig(**{field: value})


def test_the_command_says_what_it_does_or_ends_in_one_line(tmp_path):
    synthetic.write_records(tmp_path)

    def run(*arguments):
        return subprocess.run([sys.executable, "-m", "data_prep.graph_vectors", str(tmp_path), *arguments],
                              capture_output=True, text=True, check=False)

    done = run("--table=item", "--steps=2", "--width=3", "--behaviour=behaviour")
    assert done.returncode == 0, done.stderr
    assert "clicks: " in done.stdout and "step 2 of 2: ranking loss " in done.stdout
    assert done.stdout.splitlines()[-1] == (
        f"59 of 59 ids of item have a vector (100.0%), of 3 numbers, in {tmp_path}/vectors/item.npy")
    refused = run("--table=slot")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith(f"error: {tmp_path}/schema.json, item: expected one item feature")
