"""The structure of the code: who may import whom, names of files, their length."""

import ast
import configparser
import importlib.metadata
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ("lcn_tf", "command_line", "data_prep", "experiments")

DATA_SETS = ("industrial", "movielens", "taobao", "userbehavior")
# Outer layers first: a package or module may import those of its own and of later layers.
LAYERS = {
    "lcn_tf": (
        ("training", "serving"),
        ("models",),
        ("long_term", "short_term", "objectives", "towers", "heads"),
        ("data", "embeddings", "metrics", "optimizers"),
        ("layers",),
        ("ops",),
        ("contracts",),
        ("schema",),
        ("schema_entries", "schema_names", "schema_versions", "checkpoint_folder", "lazy_names", "whole_files",
         "json_files", "canonical_json"),
    ),
    "data_prep": (
        ("days",),
        ("tfds", "inspect", "own_logs", "logged_requests", "graph_vectors"),
        ("registry",),
        DATA_SETS,
        ("command",),
        ("preparation", "content_vectors"),
        ("text_vectors",),
        ("pipeline", "vocabulary", "sampling", "calendar_splits", "share_splits", "taobao_behaviors"),
        ("description",),
        ("reading", "writing", "generating"),
        ("engines",),
        ("config", "errors", "processes"),
    ),
}
# Which packages of the four a package may import, beside itself.
BELOW = {"lcn_tf": (), "command_line": (), "data_prep": ("command_line", "lcn_tf"),
         "experiments": ("command_line", "data_prep", "lcn_tf")}
# Components do not know each other: what two of them need lives in `layers`.
SEPARATE_PARTS = ("long_term", "objectives", "short_term", "heads")
# Nor do packages of one layer here: what two data sets need lies beside their folders.
SEPARATE_PACKAGES = (*DATA_SETS, "reading", "writing", "generating", "tfds", "inspect", "own_logs",
                     "logged_requests", "graph_vectors", "text_vectors")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
DISTRIBUTIONS = importlib.metadata.packages_distributions()
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def module_of(path: pathlib.Path, root: pathlib.Path = ROOT) -> str:
    """Dotted name of a file's module."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(text: str, module: str) -> set[str]:
    """Dotted names a source text imports, at any depth; `from a import b` counts as `a` and `a.b`."""
    return {name for base, names in import_statements(text, module)
            for name in (base, *(f"{base}.{name}" for name in names))}


def import_statements(text: str, module: str) -> list[tuple[str, list[str]]]:
    """What a source text imports from where, at any depth, also for type checkers alone; no names for `import a`."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found.extend((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[:-node.level], *([node.module] if node.module else [])])
            found.append((base, [alias.name for alias in node.names]))
    return found


def import_graph(texts: dict[str, str]) -> dict[str, set[str]]:
    """Module -> the modules that it imports, of those whose texts are given; `from a import b` is `a.b` if that is one.

    That Python loads the package of a module before the module does not count.
    """
    graph = {}
    for module, text in texts.items():
        named = set()
        for base, names in import_statements(text, module):
            within = [f"{base}.{name}" if f"{base}.{name}" in texts else base for name in names]
            named.update(name for name in within or [base] if name in texts)
        graph[module] = named
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules of which each imports the next and the last imports the first; [] where there are none."""
    done: set[str] = set()
    for start in sorted(graph):
        path, waiting = [start], [sorted(graph[start])]
        while path:
            if waiting[-1]:
                module = waiting[-1].pop()
                if module in path:
                    return path[path.index(module):]
                if module not in done:
                    path.append(module)
                    waiting.append(sorted(graph[module]))
            else:
                done.add(path.pop())
                waiting.pop()
    return []


def layer_of(top: str, package: str) -> int:
    """Index of the layer of `<top>.<package>`."""
    return next(index for index, layer in enumerate(LAYERS[top]) if package in layer)


def objections(module: str, imported: set[str]) -> list[str]:
    """Why a module may not import what it imports; empty if it may."""
    found = []
    top, *inner = module.split(".")
    for name in sorted(imported):
        first, *rest = name.split(".")
        if top == "lcn_tf" and name.startswith("absl.flags"):
            found.append(f"{module} imports {name}: the library knows nothing of its users")
        if first in (*PACKAGES, "tests") and first not in (top, *BELOW[top]):
            found.append(f"{module} imports {name}: {top} knows nothing of {first}")
        if first != top or top not in LAYERS or not rest or not inner or rest == ["__version__"]:
            continue
        if not any(rest[0] in layer for layer in LAYERS[top]):  # `lcn_tf.FeatureSchema` is for users, without direction
            found.append(f"{module} imports {name}: parts import a name from the module that has it")
            continue
        above, here = layer_of(top, rest[0]), layer_of(top, inner[0])
        if above < here:
            found.append(f"{module} imports {name}: {inner[0]} is below {rest[0]}")
        if top == "data_prep" and rest[0] != inner[0] and above == here and inner[0] in SEPARATE_PACKAGES:
            found.append(f"{module} imports {name}: {inner[0]} does not import {rest[0]}")
        same_component = len(inner) > 1 and len(rest) > 1 and inner[1] == rest[1]
        if top == "lcn_tf" and inner[0] in SEPARATE_PARTS and rest[0] == inner[0] and len(inner) > 1 and not (
                same_component):
            found.append(f"{module} imports {name}: one of {inner[0]} does not import another")
    return found


def test_there_are_sources():
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == set(PACKAGES) == set(BELOW)


@pytest.mark.parametrize("package", LAYERS)
def test_every_module_and_package_has_a_layer(package):
    packages = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    modules = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__"}
    assert packages | modules == {name for layer in LAYERS[package] for name in layer}, "LAYERS names every package"


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_go_one_way(path):
    module = module_of(path)
    assert not objections(module, imports_of(path.read_text(encoding="utf-8"), module))


@pytest.mark.parametrize(("module", "text"), [
    ("lcn_tf.layers.csa", "import experiments.run"),
    ("lcn_tf.training.trainer", "def f():\n    from data_prep import taobao"),
    ("lcn_tf.schema", "from absl import flags"),
    ("lcn_tf.schema", "import absl.flags as f"),
    ("lcn_tf.layers.csa", "from lcn_tf.models.ctr_model import CTRModel"),
    ("lcn_tf.layers.csa", "from lcn_tf import models"),
    ("lcn_tf.layers.csa", "from ..models import registry"),
    ("lcn_tf.metrics.auc", "from lcn_tf.training import trainer"),
    ("lcn_tf.schema", "import lcn_tf.data.records"),
    ("lcn_tf.long_term.sim", "from lcn_tf.long_term.eta import hash_codes"),
    ("lcn_tf.long_term.sim", "from lcn_tf.long_term import eta"),
    ("lcn_tf.objectives.crp", "from . import dss"),
    ("lcn_tf.towers.mlp", "from lcn_tf.serving import export"),
    ("lcn_tf.towers.mlp", "from lcn_tf import FeatureSchema"),
    ("experiments.run", "from tests import references"),
    ("data_prep.taobao.reader", "from experiments import flags"),
    ("lcn_tf.training.trainer", "from command_line import flag_files"),
    ("command_line.flag_files", "import lcn_tf"),
    ("command_line.flag_files", "from data_prep import config"),
    ("data_prep.userbehavior.reader", "from data_prep.taobao.config import UTC_OFFSET"),
    ("data_prep.userbehavior.reader", "from data_prep import taobao"),
    ("data_prep.reading.log_reader", "def f():\n    from data_prep.taobao import reader"),
    ("data_prep.reading.log_reader", "from data_prep.generating import log_text"),
    ("data_prep.writing.metadata", "from data_prep.industrial.config import describe"),
    ("data_prep.generating.log_text", "from data_prep.taobao.generator import FILES"),
    ("data_prep.engines.duckdb", "from data_prep.reading import csv_files"),
    ("data_prep.engines.duckdb", "from data_prep.movielens import reader"),
    ("data_prep.taobao.prepare", "from data_prep.registry import DATASETS"),
    ("data_prep.registry", "from data_prep.tfds import TaobaoAd"),
    ("data_prep.tfds.taobao_ad", "from data_prep.inspect import plots"),
])
def test_a_forbidden_import_is_found(module, text):
    assert objections(module, imports_of(text, module))


@pytest.mark.parametrize(("module", "text"), [
    ("lcn_tf.long_term.lap", "from lcn_tf.layers import LAP\nfrom lcn_tf import schema"),
    ("lcn_tf.training.trainer", "from lcn_tf.models import registry\nfrom absl import logging"),
    ("lcn_tf.serving.export", "import lcn_tf.data.records\nfrom lcn_tf import __version__"),
    ("experiments.run", "from lcn_tf.training import trainer\nfrom absl import flags\nimport data_prep"),
    ("command_line.flag_files", "from absl import flags\nfrom command_line import dataclass_flags"),
    ("data_prep.taobao.reader", "from data_prep.reading.log_reader import LogReader\nimport data_prep.taobao.config"),
    ("data_prep.tfds.taobao_ad", "from data_prep.taobao.config import describe\nfrom lcn_tf.schema import Feature"),
    ("data_prep.pipeline", "from data_prep import vocabulary"),
])
def test_an_allowed_import_is_not(module, text):
    assert objections(module, imports_of(text, module)) == []


def test_no_modules_import_each_other_in_a_circle():
    graph = import_graph({module_of(path): path.read_text(encoding="utf-8") for path in SOURCES})
    assert not (found := circle(graph)), " imports ".join([*found, *found[:1]])


@pytest.mark.parametrize(("planted", "expected"), [
    ({"p.a": "from p import b", "p.b": "import p.c", "p.c": "from p.a import name"}, ["p.a", "p.b", "p.c"]),
    ({"p.a": "if TYPE_CHECKING:\n    from p.b import B", "p.b": "def f():\n    from p import a"}, ["p.a", "p.b"]),
    ({"p": "from p.a import A", "p.a": "from p import name"}, ["p", "p.a"]),
    ({"q": "import p.a", "p.a": "from p.b import B", "p.b": "from . import a"}, ["p.a", "p.b"]),
    ({"p": "from p.a import A", "p.a": "from p import b", "p.b": "import q, os", "q": "import os"}, []),
])
def test_a_circle_is_named(planted, expected):
    graph = import_graph(planted)
    found = circle(graph)
    assert sorted(found) == expected
    assert all(after in graph[module] for module, after in zip(found, [*found[1:], *found[:1]], strict=True))


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_one_job_and_a_name_that_says_it(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 400, f"{lines} lines: make it two files"
    for part in path.relative_to(ROOT).with_suffix("").parts:
        assert not re.fullmatch(r"_*(test_)?(utils?|commons?|helpers?|misc)", part), f"{part} says nothing"


@pytest.mark.parametrize("path", [path for path in SOURCES if module_of(path).startswith("lcn_tf")], ids=module_of)
def test_the_library_does_not_print(path):
    calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    lines = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert not lines, f"print in lines {lines}: use absl.logging"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_of_code_is_a_documented_package(package):
    for folder in {path.parent for path in (ROOT / package).rglob("*.py")}:
        init = folder / "__init__.py"
        assert init.exists(), f"{folder.relative_to(ROOT)} has no __init__.py, so a wheel would leave it out"
        assert ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))), f"{init} does not say what it is for"


def distributions_of(requirements: str) -> set[str]:
    """Normalised names of a list of requirements in setup.cfg."""
    return {re.split(r"[\[<>=]", line)[0].lower().replace("_", "-") for line in requirements.split("\n") if line}


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_what_is_imported_is_required(path):
    """Imported packages are in setup.cfg; those of an extra are imported inside functions only."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    required = distributions_of(config["options"]["install_requires"])
    extras = config["options.extras_require"]
    optional = required | {"pyspark", "py4j"}  # the latter comes with the former
    optional |= set().union(*(distributions_of(extras[name]) for name in ("ab", "onnx", "openvino", "serving")))
    text = path.read_text(encoding="utf-8")
    at_once = [node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
    for source, allowed in ((ast.unparse(ast.Module(at_once, [])), required), (text, optional)):
        for name in sorted({name.split(".")[0] for name in imports_of(source, module_of(path))}):
            if name not in sys.stdlib_module_names and name not in PACKAGES:
                found = {owner.lower().replace("_", "-") for owner in DISTRIBUTIONS.get(name, [name])}
                assert found & allowed, f"{name} comes with {sorted(found)}, which setup.cfg does not require"
