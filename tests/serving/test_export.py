"""What an export holds, and what it leaves out."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from lcn_tf.data.pipeline import DataConfig, RecordFiles
from lcn_tf.models import registry
from lcn_tf.objectives import crp
from lcn_tf.schema import FeatureSchema
from lcn_tf.serving.export import export_model, next_version
from lcn_tf.serving.recorded_requests import named_tensors
from lcn_tf.serving.signatures import build_signatures
from lcn_tf.towers import mlp
from tests import synthetic
from tests.serving.conftest import DATA, small_model

ROOT = pathlib.Path(__file__).resolve().parents[2]


def names_in(path) -> set[str]:
    """Every node, function and variable name of a SavedModel."""
    (meta_graph,) = saved_model_pb2.SavedModel.FromString(
        (pathlib.Path(path) / "saved_model.pb").read_bytes()).meta_graphs
    library = meta_graph.graph_def.library.function
    names = {node.name for node in meta_graph.graph_def.node}
    names |= {node.name for function in library for node in function.node_def}
    names |= {function.signature.name for function in library}
    objects = meta_graph.object_graph_def.nodes
    return names | {node.variable.name for node in objects if node.WhichOneof("kind") == "variable"}


def shapes_in(path) -> list[tuple[int, ...]]:
    """Sorted shapes of the saved variables."""
    return sorted(tuple(shape) for name, shape in tf.train.list_variables(os.path.join(path, "variables", "variables"))
                  if not name.startswith("_CHECKPOINTABLE"))


def test_files(exported):
    assert exported.path.name == "1"
    files = {str(path.relative_to(exported.path)) for path in exported.path.rglob("*") if path.is_file()}
    assert files == {"saved_model.pb", "fingerprint.pb", "variables/variables.index",
                     "variables/variables.data-00000-of-00001", "assets.extra/README.md",
                     "assets.extra/schema.json", "assets.extra/tf_serving_warmup_requests",
                     "assets.extra/verification.npz", "assets.extra/vocabularies/fingerprint",
                     *(f"assets.extra/vocabularies/{table}.txt" for table in exported.files.schema.tables)}
    assert [path.name for path in exported.path.parent.iterdir()] == ["1"]
    assert FeatureSchema.load(exported.path / "assets.extra") == exported.files.schema
    json.loads((exported.path / "assets.extra" / "schema.json").read_text())
    fingerprint = (exported.path / "assets.extra" / "vocabularies" / "fingerprint").read_text().strip()
    assert f"fingerprint {fingerprint};" in (exported.path / "assets.extra" / "README.md").read_text()


def test_versions_count_upwards(tmp_path):
    assert next_version(str(tmp_path)) == 1
    for name in ("2", "10", ".11.partial", "latest"):
        (tmp_path / name).mkdir()
    assert next_version(str(tmp_path)) == 11


def test_a_second_export_leaves_the_first_alone(exported, tmp_path):
    shutil.copytree(exported.path, tmp_path / "1")
    (tmp_path / ".2.partial").mkdir()
    (tmp_path / ".2.partial" / "rest_of_a_killed_export").write_text("")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "1").rglob("*")}
    path = export_model(exported.model, str(tmp_path), exported.files, DATA)
    assert path == str(tmp_path / "2")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "1").rglob("*")} == before
    assert sorted(os.listdir(tmp_path)) == ["1", "2"]
    assert not (tmp_path / "2" / "rest_of_a_killed_export").exists()


@pytest.fixture(scope="module")
def exports(exported, record_files, tmp_path_factory):
    """Model and path of LCN without CRP, and with each of CRP's tables."""
    folder, found = tmp_path_factory.mktemp("exports"), {crp.Config().tables: (exported.model, str(exported.path))}
    for tables in ("none", "projection", "separate"):
        objectives = {} if tables == "none" else {("objectives", "crp"): crp.Config(tables=tables, num_negatives=13)}
        model = small_model(record_files.schema, objectives, objectives=("crp",) if objectives else ())
        model.compile(optimizer=tf.keras.optimizers.Adam())
        model.optimizer.build(model.trainable_variables)
        found[tables] = model, export_model(model, str(folder / tables), record_files, DATA)
    return found


@pytest.mark.parametrize("tables", ["shared", "projection", "separate"])
def test_crp_leaves_no_trace(exports, tables):
    model, path = exports[tables]
    training_only = {variable.name for objective in model.objectives.values() for variable in objective.variables}
    assert bool(training_only) == (tables == "projection")
    names = names_in(path)
    traces = {name for name in names for word in ("crp", "projection/", "adam", "auc", "loss", "label")
              if word in name.lower() and "projections/" not in name.lower()}
    assert not traces
    assert any("csa" in name for name in names), "names of layers do appear in the graph"
    expected = list(shapes_in(exports["none"][1]))
    if tables == "separate":  # CSA searches with the tables that CRP trains
        expected = sorted(expected + [(rows, 5) for rows in (61, 11)])
    assert shapes_in(path) == expected


def test_no_objective_leaves_a_trace(exports, record_files, tmp_path):
    """Serving pays nothing for any of them: neither weights nor operations."""
    model = small_model(record_files.schema, objectives=registry.components("objectives"))
    held = {name: sum(variable.shape.num_elements() for variable in objective.variables)
            for name, objective in model.objectives.items()}
    assert min(count for name, count in held.items() if name != "crp") > 100 and len(held) == 10
    path = export_model(model, str(tmp_path), record_files, DATA)
    assert shapes_in(path) == shapes_in(exports["none"][1])
    assert sizes_of_functions(path) == sizes_of_functions(exports["none"][1])


def sizes_of_functions(path) -> list[int]:
    """How many operations the functions of a SavedModel have."""
    (meta_graph,) = saved_model_pb2.SavedModel.FromString(
        (pathlib.Path(path) / "saved_model.pb").read_bytes()).meta_graphs
    return sorted(len(function.node_def) for function in meta_graph.graph_def.library.function)


def test_nothing_but_weights_is_in_the_object_graph(exports):
    for _, path in exports.values():
        (meta_graph,) = saved_model_pb2.SavedModel.FromString(
            (pathlib.Path(path) / "saved_model.pb").read_bytes()).meta_graphs
        identifiers = {node.user_object.identifier for node in meta_graph.object_graph_def.nodes
                       if node.WhichOneof("kind") == "user_object"}
        assert not any("keras" in identifier for identifier in identifiers)


def test_dropout_leaves_no_trace(exports, record_files, tmp_path):
    configs = {("towers", "mlp"): mlp.Config(dropout=0.5, input_dropout=0.5)}
    model = small_model(record_files.schema, configs, objectives=())
    assert sum("dropout" in variable.name or "step" in variable.name for variable in model.variables) == 3
    path = export_model(model, str(tmp_path), record_files, DATA)
    assert not {name for name in names_in(path) if "dropout" in name.lower() or "random" in name.lower()}
    assert shapes_in(path) == shapes_in(exports["none"][1])


def test_every_saved_weight_is_read(exports):
    model, path = exports["projection"]
    used = {variable.name for variable in tf.saved_model.load(path).inference_weights}
    kept = {variable.name for variable in model.trainable_variables}
    assert used < kept
    assert len(kept - used) == len(model.objectives["crp"].trainable_variables)


def test_search_tables_are_used(exports, record_files):
    """CSA ranks by the search tables, in the export as in the model."""
    model, path = exports["separate"]
    signature = tf.saved_model.load(path).signatures["explain"]
    group = synthetic.make_group(record_files.schema, np.random.default_rng(5), 1, 3, record_files.schema.lengths)
    named = {name: tf.constant(values) for name, values in named_tensors(record_files.schema, [group]).items()}
    before = signature(**named)["msa_indices"].numpy()
    saved = {variable.ref(): variable.numpy() for variable in model.embedder.search_tables.variables}
    for variable in model.embedder.search_tables.variables:
        variable.assign(-variable)
        variable.assign(variable * tf.range(1.0, 1.0 + variable.shape[0])[:, tf.newaxis])
    after = build_signatures(model)["explain"](**named)["msa_indices"].numpy()
    for variable in model.embedder.search_tables.variables:
        variable.assign(saved[variable.ref()])
    assert (before != after).any()


def test_another_schema_is_refused(exported, tmp_path):
    few = {"train": 1, "validation": 1, "test": 1}
    synthetic.write_records(tmp_path, synthetic.make_schema(name="other"), few, shards=1)
    with pytest.raises(ValueError, match=r"files: expected the model's schema \('synthetic'.*'other'"):
        export_model(exported.model, str(tmp_path / "saved_model"), RecordFiles.open(str(tmp_path)), DATA)


def test_other_lengths_are_refused(exported, tmp_path):
    with pytest.raises(ValueError, match="data: expected the model's history lengths"):
        export_model(exported.model, str(tmp_path), exported.files, DataConfig(short_length=5, lifelong_length=13))
    assert not os.listdir(tmp_path)


MIRRORED = """
import sys, lcn_tf, numpy as np, tensorflow as tf
from lcn_tf.data.pipeline import RecordFiles
from lcn_tf.serving.export import export_model
from lcn_tf.serving.verify import verify_export
from lcn_tf.training import StrategyConfig, create_strategy
from tests.serving.conftest import DATA, small_model
strategy = create_strategy(StrategyConfig("mirrored", logical_cpus=2))
assert strategy.num_replicas_in_sync == 2
files = RecordFiles.open(sys.argv[1])
with strategy.scope():
    model = small_model(files.schema)
path = export_model(model, sys.argv[2], files, DATA)
report = verify_export(path)
assert report.candidates > 3 and report.max_difference < 1e-6, report
"""


@pytest.mark.slow
def test_a_model_on_two_replicas(exported, tmp_path):
    done = subprocess.run([sys.executable, "-c", MIRRORED, exported.files.data_dir, str(tmp_path)], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert shapes_in(tmp_path / "1") == shapes_in(exported.path), "one copy of each weight"
