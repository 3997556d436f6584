"""Texts refer to nothing that a clone lacks, and the pages in `docs/` name flags and values that exist."""

import pathlib
import re
import subprocess

import pytest
from absl import flags as absl_flags

from experiments import flags
from lcn_tf.models import registry

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Without formulas and figures.
READINGS, LCN, SYSTEMS = (re.sub(r"```.*?```", "", (ROOT / "docs" / name).read_text(encoding="utf-8"), flags=re.DOTALL)
                 for name in ("readings.md", "lcn.md", "systems.md"))
# Numbers of documents that are no part of the repository; written so that this line is none of them.
OUTSIDE = re.compile(r"SPE[C]|A-[0-9]+|TV-[A-Z]|DESIG[N]")

ROWS = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in READINGS.splitlines()
        if line.startswith("| **")]
NAMES = [row[0].strip("*") for row in ROWS]
FLAG = re.compile(r"(?:--)?([a-z][a-z0-9_]*\.(?!cfg\b|py\b|md\b|csv\b|json\b)[a-z][a-z0-9_]*)(?:=(.*))?")


@pytest.fixture(scope="module", autouse=True)
def defined_flags():
    if "lap.msa_top_k" not in absl_flags.FLAGS:
        flags.define()


def tracked_texts() -> dict[str, str]:
    """Path -> text of every file that git tracks and that is text."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    contents = {name: (ROOT / name).read_bytes() for name in listed.split("\0") if (ROOT / name).is_file()}
    return {name: content.decode("utf-8") for name, content in contents.items() if b"\0" not in content}


def value(flag: str, text: str):
    return absl_flags.FLAGS[flag].parser.parse(text)


def test_no_text_refers_to_a_document_that_a_clone_lacks():
    found = [f"{name}:{number}: {line}" for name, text in tracked_texts().items() if name != "CHANGELOG.md"
             for number, line in enumerate(text.splitlines(), 1) if OUTSIDE.search(line)]
    assert not found, "\n".join(found)


def test_references_to_readings_name_one():
    for name, text in tracked_texts().items():
        text = re.sub(r"\s*\n\s*(?:# )?", " ", text)  # docstrings and comments wrap
        for match in re.finditer(r"docs/readings\.md, (?=[\w'])", text):
            rest = text[match.end():]
            assert rest.startswith(tuple(NAMES)), f"{name}: no reading is called {rest[:40]!r}"


def test_every_reading_has_a_name_of_its_own_and_four_cells():
    assert len(ROWS) > 50 and len(set(NAMES)) == len(NAMES)
    assert [row[0] for row in ROWS if len(row) != 4] == []


def named_flags(page: str) -> list[tuple[str, str | None]]:
    """Flags in a page, and the values that stand beside them."""
    return [match.groups() for token in re.findall(r"`([^`]+)`", page) if (match := FLAG.fullmatch(token))]


def test_every_named_flag_exists_and_takes_its_value():
    assert len(named_flags(READINGS)) > 100
    for flag, text in named_flags(READINGS):
        assert flag in absl_flags.FLAGS, flag
        if text is not None:
            value(flag, text)


def test_lcn_is_explained_with_the_defaults():
    assert len(named_flags(LCN)) > 8
    for flag, text in named_flags(LCN):
        assert text is None or value(flag, text) == absl_flags.FLAGS[flag].default, flag


def test_every_part_has_a_card():
    for kind in registry.KINDS:
        for name in registry.components(kind):
            path = registry.component(kind, name).__file__
            assert f"`{pathlib.Path(path).relative_to(ROOT).as_posix()}`" in SYSTEMS, path
    for flag, text in named_flags(SYSTEMS):
        assert flag in absl_flags.FLAGS, flag
        assert text is None or value(flag, text) != absl_flags.FLAGS[flag].default, flag


def test_help_that_is_marked_as_a_reading_is_one_short_line_and_of_a_flag_among_the_readings():
    marked = {name: flag.help for name in absl_flags.FLAGS if "reading:" in (flag := absl_flags.FLAGS[name]).help}
    assert {"lap.csa_pool", "lap.level_norm", "crp.denominator", "crp.rows", "eta.context"} <= set(marked)
    assert [name for name, text in marked.items() if not text.startswith("reading: ") or len(text) > 100] == []
    assert set(marked) <= {flag for row in ROWS for flag, _ in named_flags(row[3])}


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_the_last_column_has_defaults_and_other_values_or_files(row):
    for part in row[3].split("; "):
        first, *others = re.findall(r"`([^`]+)`", part)
        match = FLAG.fullmatch(first)
        if match is None:
            assert not others and ((ROOT / first).exists() or (ROOT / "experiments" / "configs" / first).exists())
            continue
        flag, default = match.groups()
        assert value(flag, default) == absl_flags.FLAGS[flag].default
        for other in others:
            assert value(flag, other) != absl_flags.FLAGS[flag].default, other


@pytest.mark.parametrize("page", [READINGS, LCN, SYSTEMS], ids=["readings", "lcn", "systems"])
def test_named_files_and_links_exist(page):
    for token in re.findall(r"`((?:lcn_tf|data_prep|experiments|tests|docs)/[\w./]+)`", page):
        assert (ROOT / token).exists(), token
    for name in re.findall(r"`(\w+\.cfg)`", page):
        assert (ROOT / "experiments" / "configs" / name).exists(), name
    headings = {re.sub(r"[^\w -]", "", line[3:]).lower().replace(" ", "-") for line in page.splitlines()
                if line.startswith("## ")}
    for target in re.findall(r"\]\(#([^)]+)\)", page):
        assert target in headings, target
    for target in re.findall(r"\]\(([^#)]+)", page):
        assert (ROOT / "docs" / target).exists(), target
