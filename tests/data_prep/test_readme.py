"""The examples in data_prep/README.md run, its links lead somewhere, and it names every builder and data set."""

import pathlib
import re
import runpy

import numpy as np
import tensorflow_datasets as tfds

import data_prep
from data_prep.registry import DATASETS
from data_prep.tfds import RequestGroups
from lcn_tf.data.record_files import RecordFiles
from tests.data_prep.taobao_logs import random_logs, write_logs

FOLDER = pathlib.Path(data_prep.__file__).parent
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run(number: int, folder: pathlib.Path, monkeypatch) -> dict:
    """Runs a block of Python of the page in a folder; returns its names."""
    (folder / "example.py").write_text(BLOCKS[number], encoding="utf-8")
    monkeypatch.chdir(folder)
    return runpy.run_path("example.py")


def test_a_builder_prepares_logs(tmp_path, monkeypatch):
    write_logs(tmp_path / "LOGS", random_logs(1))
    groups = list(run(0, tmp_path, monkeypatch)["groups"])
    files = RecordFiles.open("DATA/taobao_ad/by_user/1.0.0")
    assert sum(len(group["label"]) for group in groups) == files.impressions["train"] > 0
    assert files.schema.lengths["lifelong_source"] == 1000
    assert any(len(set(group["timestamp"].numpy())) > 1 for group in groups), "no group of several seconds"


def test_records_from_elsewhere_are_read(tmp_path, monkeypatch):
    batch = {name: value.numpy() for name, value in run(1, tmp_path, monkeypatch)["batch"].items()}
    assert batch["label"].shape == batch["video_id"].shape == (42, 3)  # 126 of the 128 impressions
    assert batch["lifelong_source_author"].shape == (42, 300)
    ages = batch["timestamp"][:, :1] - batch["lifelong_source_timestamp"]
    assert np.all(ages[batch["lifelong_source_mask"]] > 0)
    splits = tfds.builder_from_directory("my_clicks").info.splits
    assert {name: split.num_examples for name, split in splits.items()} == {"train": 60, "validation": 20, "test": 20}


def test_links_lead_somewhere():
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", PAGE):
        assert (FOLDER / link).exists(), link


def test_every_data_set_is_named():
    for name in DATASETS:
        assert f"python -m data_prep.{name} " in PAGE
    for builder in RequestGroups.__subclasses__():
        assert f"| `{builder.name}` | {builder.DATASET} |" in PAGE
