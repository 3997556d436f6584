"""docs/own_logs.md, read as a user does: every command runs, the mapping prepares the sample, a model trains on it."""

import dataclasses
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from data_prep.own_logs import mapping
from data_prep.own_logs.feature_columns import FeatureColumn
from lcn_tf.schema import FeatureSchema

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "own_logs.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
            for line in block.replace("\\\n", "").splitlines()]
MAPPING, = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
# The test's sample and models are small, and two days are enough.
MODEL = ("--train.epochs=1 --lap.msa_top_k=20 --lap.fsa_top_k=5 --embeddings.embedding_dim=8 --tower.units=8 "
         "--crp.num_negatives=64")
SMALLER = {"data_prep.own_logs.sample": "--users=60", "experiments.run": f"{MODEL} --export=false --workdir=run",
           "experiments.daily": f"{MODEL} --ids.rows=2000 --last_day=2024-01-02"}


@pytest.mark.slow
def test_every_command_runs(tmp_path):
    folder, printed = tmp_path, {}
    for command in COMMANDS:
        if command.startswith("cd "):
            folder = folder / command.removeprefix("cd ")
            (folder / "logs.toml").write_text(MAPPING, encoding="utf-8")
            continue
        module = command.split()[2]
        done = subprocess.run(["sh", "-c", f"{command} {SMALLER.get(module, '')}".replace(
            "python", shlex.quote(sys.executable), 1)], cwd=folder, text=True, capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
        printed[command] = done.stdout
    facts = json.loads((folder / "DATA" / "preparation.json").read_text(encoding="utf-8"))
    assert facts["rows"].keys() == {"impressions", "events[0]", "events[1]", "users"}
    assert all(entry["used"] for entry in facts["rows"].values())
    schema = FeatureSchema.load(folder / "DATA")
    assert [label.name for label in schema.labels] == ["click", "long_stay"]
    assert facts["splits"]["test"]["first_day"] == "2024-01-07"
    trained, carried_on = (next(text for command, text in printed.items() if f"experiments.{name} " in command)
                           for name in ("run", "daily"))
    assert "Preset for" in trained and "test" in trained
    assert sorted(path.name for path in (folder / "live" / "published").iterdir()) == ["20240101", "20240102"]
    assert re.search(r"2024-01-02 +0\.\d{4}.* 20240102", carried_on)
    assert "[impressions]" not in (folder / "draft.toml").read_text()  # nothing in the sample says what a click is


def test_the_mapping_is_short():
    assert len([line for line in MAPPING.splitlines() if line]) <= 30


def test_every_key_is_explained():
    for cls in (mapping.Mapping, mapping.Impressions, mapping.Lookup, FeatureColumn, mapping.Splits, mapping.Negatives,
                mapping.Domain):
        for key in (field.name for field in dataclasses.fields(cls)):
            assert re.search(rf"`\[?\[?{key}\]?\]?`|`{key} = |{key} = |\[{key}\]", PAGE), key
