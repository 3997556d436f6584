"""What `import lcn_tf` offers: lazily, completely, and to type checkers too."""

import ast
import importlib
import os
import pathlib
import subprocess
import sys

import pytest

import lcn_tf
from lcn_tf import lazy_names

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAZY = ("lcn_tf", "lcn_tf.data")
EAGER = ("lcn_tf.embeddings", "lcn_tf.layers", "lcn_tf.metrics", "lcn_tf.models", "lcn_tf.optimizers", "lcn_tf.serving",
         "lcn_tf.training")
FOREIGN = "print(*(name for name in sys.modules if name.split('.')[0] in ('tensorflow', 'keras', 'tf_keras', 'numpy')))"


def python(code: str, **variables: str) -> str:
    """What a new process prints that does not yet know which Keras to use."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment | variables, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("package", [*LAZY, *EAGER])
def test_every_name_is_there_and_listed(package):
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("package", LAZY)
def test_type_checkers_see_the_names_that_are_loaded(package):
    module = importlib.import_module(package)
    tree = ast.parse(pathlib.Path(module.__file__).read_text(encoding="utf-8"))
    (checked,) = (node.body for node in tree.body
                  if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    homes = {alias.name: node.module for node in checked for alias in node.names}
    assert sorted(homes) == sorted(module.__all__)
    for name, home in homes.items():
        found = getattr(module, name)
        if home == package:
            assert found is importlib.import_module(f"{package}.{name}")
        else:
            assert found is getattr(importlib.import_module(home), name)


@pytest.mark.parametrize("package", LAZY)
def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        getattr(importlib.import_module(package), "nothing")  # noqa: B009


def test_dir_shows_what_is_offered_and_nothing_else():
    assert [name for name in dir(lcn_tf) if not name.startswith("__")] == sorted(lcn_tf.__all__)
    assert lcn_tf.__all__ == sorted(lcn_tf.__all__)


def test_a_name_is_looked_up_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "package", package := type(sys)("package"))
    load, _ = lazy_names.offer("package", ["Path"], {"Path": "pathlib"})
    assert load("Path") is pathlib.Path is vars(package)["Path"]


def test_the_import_loads_no_tensorflow():
    assert python(f"import sys, lcn_tf, lcn_tf.data; lcn_tf.FeatureSchema, lcn_tf.data.RecordError; {FOREIGN}") == ""


@pytest.mark.parametrize(("code", "variables", "expected"), [
    ("pass;", {}, "1"),
    ("pass;", {"TF_USE_LEGACY_KERAS": "0"}, "0"),
    ("import sys; sys.modules['keras'] = sys;", {}, "None"),
])
def test_the_import_chooses_keras_2_unless_that_is_decided(code, variables, expected):
    assert python(f"{code} import os, lcn_tf; print(os.environ.get('TF_USE_LEGACY_KERAS'))", **variables) == expected
