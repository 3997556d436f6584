"""The examples in docstrings show what they say; everything that a user would take alone has one."""

import doctest
import importlib
import inspect
import os
import pathlib

import pytest
import tensorflow as tf

from lcn_tf import layers, metrics, schema

ROOT = pathlib.Path(__file__).resolve().parent.parent
KERAS_2 = os.environ.get("TF_USE_LEGACY_KERAS") == "1"  # tensorflow-recommenders, hence `lcn_tf.models`, needs it
MODULES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted((ROOT / "lcn_tf").rglob("*.py"))
           if ">>>" in path.read_text(encoding="utf-8")]
PUBLIC_LAYERS = [value for value in (getattr(layers, name) for name in layers.__all__)
                 if inspect.isclass(value) or inspect.isroutine(value)]
OTHERS = [schema.FeatureSchema, metrics.StreamingAUC, metrics.consistency_of_scores, metrics.delong, metrics.evaluate,
          metrics.exact_auc, metrics.group_auc, metrics.paired_t_test, metrics.user_bootstrap]
if KERAS_2:
    from lcn_tf.models import build_model
    OTHERS.append(build_model)


def examples() -> dict[str, doctest.DocTest]:
    """By dotted name. `tf` is TensorFlow in all of them; they import what else they need."""
    finder = doctest.DocTestFinder()
    found = [example for module in MODULES if KERAS_2 or not module.startswith("lcn_tf.models")
             for example in finder.find(importlib.import_module(module), globs={"tf": tf})]
    return {example.name: example for example in found if example.examples}


EXAMPLES = examples()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_short_and_shows_what_it_says(name):
    report = []
    failed = doctest.DocTestRunner(verbose=False).run(EXAMPLES[name], out=report.append).failed
    assert not failed, "".join(report)
    assert len(EXAMPLES[name].examples) <= 8


@pytest.mark.parametrize("found", [*PUBLIC_LAYERS, *OTHERS], ids=lambda found: found.__name__)
def test_what_a_user_takes_alone_has_an_example(found):
    assert f"{found.__module__}.{found.__qualname__}" in EXAMPLES


def test_all_layers_are_among_them():
    assert {"CSA", "DINAttention", "LAP", "crp_loss", "masked_top_k"} <= {found.__name__ for found in PUBLIC_LAYERS}
