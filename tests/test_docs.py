"""Texts refer to nothing that a clone lacks, and `docs/readings.md` names flags and values that exist."""

import pathlib
import re
import subprocess

import pytest
from absl import flags as absl_flags

from experiments import flags

ROOT = pathlib.Path(__file__).resolve().parent.parent
READINGS = (ROOT / "docs" / "readings.md").read_text(encoding="utf-8")
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


def test_every_named_flag_exists_and_takes_its_value():
    tokens = [match for token in re.findall(r"`([^`]+)`", READINGS) if (match := FLAG.fullmatch(token))]
    assert len(tokens) > 100
    for flag, text in (match.groups() for match in tokens):
        assert flag in absl_flags.FLAGS, flag
        if text is not None:
            value(flag, text)


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


def test_named_files_and_links_exist():
    for token in re.findall(r"`((?:lcn_tf|data_prep|experiments|tests|docs)/[\w./]+)`", READINGS):
        assert (ROOT / token).exists(), token
    for name in re.findall(r"`(\w+\.cfg)`", READINGS):
        assert (ROOT / "experiments" / "configs" / name).exists(), name
    headings = {re.sub(r"[^\w -]", "", line[3:]).lower().replace(" ", "-") for line in READINGS.splitlines()
                if line.startswith("## ")}
    for target in re.findall(r"\]\(#([^)]+)\)", READINGS):
        assert target in headings, target
    for target in re.findall(r"\]\(([^#)]+)", READINGS):
        assert (ROOT / "docs" / target).exists(), target
