"""The README's Python runs, and what it names exists."""

import pathlib
import re
import runpy

import pytest

import lcn_tf

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = {name: (ROOT / name).read_text(encoding="utf-8")
         for name in ("README.md", "WORKSPACE.md", "CHANGELOG.md", "data_prep/README.md")}


def test_the_example_runs(tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", PAGES["README.md"], re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(block, encoding="utf-8")
    names = runpy.run_path(str(script))
    assert names["logits"].shape == (2, 5)
    assert names["crp"].shape == ()


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
