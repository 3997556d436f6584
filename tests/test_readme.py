"""The README's Python runs, and what it names exists."""

import os
import pathlib
import re
import runpy

import pytest

import lcn_tf
from tests import synthetic

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = {name: (ROOT / name).read_text(encoding="utf-8")
         for name in ("README.md", "WORKSPACE.md", "CHANGELOG.md", "data_prep/README.md")}
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGES["README.md"], re.DOTALL)


def run_example(number: int, folder: pathlib.Path) -> dict:
    """The names that one of the README's programs leaves behind."""
    script = folder / "example.py"
    script.write_text(EXAMPLES[number], encoding="utf-8")
    return runpy.run_path(str(script))


def test_there_are_two_examples_and_the_first_screen_has_one():
    assert len(EXAMPLES) == 2
    first_screen = PAGES["README.md"].splitlines()[:50]
    assert "make demo" in " ".join(first_screen) and "--flagfile=lcn_200_50.cfg" in " ".join(first_screen)
    assert [line for line in first_screen if line.startswith("## ")] == []


def test_the_first_example_trains_a_step(tmp_path):
    names = run_example(0, tmp_path)
    model, batch = names["model"], names["batch"]
    assert 1.5 < float(names["loss"]) < 4  # log 2 of the clicks and 0.1 * 3 log 512 of CRP at the start
    assert model(batch).shape == (8, 5)
    assert model.losses == []  # CRP is a loss of training alone


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("TF_USE_LEGACY_KERAS") != "1", reason="tensorflow-recommenders needs Keras 2")
def test_the_second_example_goes_from_records_to_an_export(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lengths = {"short_target": 24, "short_source": 24, "lifelong_source": 300}
    synthetic.write_records("my_clicks", synthetic.make_schema("my_clicks", lengths))
    names = run_example(1, tmp_path)
    assert 0 <= names["metrics"]["auc"] <= 1
    assert (tmp_path / names["path"] / "saved_model.pb").exists()


@pytest.mark.parametrize("page", PAGES)
def test_named_configurations_modules_and_targets_exist(page):
    text = PAGES[page]
    for name in re.findall(r"--flagfile=(\w+\.cfg)", text):
        assert (ROOT / "experiments" / "configs" / name).exists(), name
    for name in re.findall(r"python -m ((?:experiments|data_prep)[\w.]*)", text):
        path = ROOT.joinpath(*name.rstrip(".").split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), name
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`(?:\w+=\S+ )?make (\w+)`", text)) <= set(targets.group(1).split())


def test_the_changelog_has_the_version():
    assert re.search(rf"^## {re.escape(lcn_tf.__version__)}$", PAGES["CHANGELOG.md"], re.MULTILINE)
