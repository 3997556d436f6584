"""The TFDS builders write what the preparation writes, and TFDS and our pipeline read it."""

import fcntl
import filecmp
import os
import pathlib
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow_datasets as tfds

import data_prep.tfds
from data_prep.config import PreparationConfig
from data_prep.errors import OutputError
from data_prep.industrial.generator_config import GeneratorConfig
from data_prep.registry import DATASETS
from data_prep.tfds import RequestGroups, RequestGroupsConfig
from lcn_tf.data.prepared_folder import preparation_facts
from lcn_tf.data.record_files import RecordFiles
from tests.data_prep.taobao_logs import random_logs, write_logs
from tests.data_prep.userbehavior.user_behavior_logs import random_log, write_log

BUILDERS = {builder.DATASET: builder for builder in RequestGroups.__subclasses__()}
SETTINGS = {"short_length": 3, "lifelong_length": 11, "shards": 2}
SMALL = RequestGroupsConfig(name="small", settings=SETTINGS)


def write_ratings(folder):
    """Ratings of ten days: every split has one of the target genre."""
    folder.mkdir()
    rng = np.random.default_rng(3)
    rows = [f"{rng.integers(1, 8)},{rng.integers(1, 4)},{rng.integers(1, 11) / 2},{1_300_000_000 + 8_640 * moment}"
            for moment in range(100)]
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(rows) + "\n")
    (folder / "movies.csv").write_text("movieId,title,genres\n1,A,Sci-Fi\n2,B,Drama|Sci-Fi\n3,C,Drama\n")


LOGS = {
    "taobao": lambda folder: write_logs(folder, random_logs(1)),
    "movielens": write_ratings,
    "userbehavior": lambda folder: write_log(folder, random_log(1)),
    "industrial": lambda folder: DATASETS["industrial"].generator.generate(
        str(folder), GeneratorConfig(preset="tiny", num_users=20)),
}


@pytest.fixture(scope="module", params=LOGS)
def built(request, tmp_path_factory):
    """A data set's name in the registry, its logs, and its builder, which has prepared them."""
    folder = tmp_path_factory.mktemp(request.param)
    LOGS[request.param](folder / "logs")
    builder = tfds.builder(BUILDERS[request.param].name, data_dir=folder / "root", config=SMALL)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=folder / "logs"))
    return request.param, folder / "logs", builder


def test_the_records_are_those_of_the_preparation(built, tmp_path):
    name, logs, builder = built
    entry = DATASETS[name]
    entry.prepare(str(logs), str(tmp_path / "out"), entry.config_class(), PreparationConfig(**SETTINGS))
    names = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_file())
    same, different, missing = filecmp.cmpfiles(tmp_path / "out", builder.data_dir, names, shallow=False)
    assert not missing and different == ["dataset_info.json"]
    assert "schema.json" in same and "features.json" in same and sum(".tfrecord-" in name for name in same) == 6
    assert not filecmp.dircmp(tmp_path / "out" / "vocabularies", builder.data_path / "vocabularies").diff_files


def test_tfds_and_our_pipeline_read_the_same_records(built):
    name, _, builder = built
    assert os.listdir(builder.data_path.parent) == ["1.0.0"]
    files = RecordFiles.open(builder.data_dir)
    for split, facts in preparation_facts(builder.data_dir)["splits"].items():
        groups = list(tfds.load(BUILDERS[name].name, data_dir=builder.data_dir_root, split=split, download=False,
                                builder_kwargs={"config": SMALL}))
        assert len(groups) == facts["groups"] == builder.info.splits[split].num_examples
        assert sum(len(group["label"]) for group in groups) == files.impressions[split]
        assert all(set(group) == set(files.schema.record_names) for group in groups)


def test_the_metadata_tell_what_the_data_are(built):
    name, _, builder = built
    read = tfds.builder_from_directory(builder.data_dir).info
    assert read.full_name == builder.info.full_name == f"{BUILDERS[name].name}/small/1.0.0"
    assert set(read.release_notes) == {"1.0.0"}
    assert read.description and read.citation and read.homepage.startswith("https://")
    assert read.redistribution_info.license == (builder.data_path / "LICENSE").read_text() != ""


@pytest.mark.parametrize("name", BUILDERS)
def test_a_builder_tells_the_features_before_it_has_records(name, tmp_path):
    builder = BUILDERS[name](data_dir=tmp_path)
    assert builder.builder_config.name == "default" and not builder.is_prepared()
    assert {"user_key", "label", "lifelong_source_timestamp"} < set(builder.info.features)
    assert builder.info.description and builder.info.citation and builder.info.redistribution_info.license
    with pytest.raises(AssertionError, match="does not exist or is empty") as refused:
        builder.download_and_prepare()
    assert textwrap.dedent(BUILDERS[name].MANUAL_DOWNLOAD_INSTRUCTIONS) in str(refused.value)


def test_every_data_set_has_a_builder():
    assert set(BUILDERS) == set(DATASETS) == set(LOGS)


def test_records_of_other_settings_are_not_taken_for_those_asked_for(built):
    name, _, builder = built
    other = RequestGroupsConfig(name="small", settings={**SETTINGS, "short_length": 5})
    with pytest.raises(ValueError, match=r"was prepared with other settings \(short_length=3\): give the config"):
        BUILDERS[name](data_dir=builder.data_dir_root, config=other)
    spelt_out = RequestGroupsConfig(name="small", settings={**SETTINGS, "max_candidates": 16})
    assert BUILDERS[name](data_dir=builder.data_dir_root, config=spelt_out).is_prepared()
    faster = RequestGroupsConfig(name="small", settings={**SETTINGS, "memory_limit": "7GB"})
    assert BUILDERS[name](data_dir=builder.data_dir_root, config=faster).is_prepared()


def test_records_may_be_older_than_a_setting(tmp_path):
    """They are as its default says; a second label is a feature of records and metadata."""
    LOGS["industrial"](tmp_path / "logs")
    plain, with_stays = (RequestGroupsConfig(name=name, settings={**SETTINGS, **more}) for name, more in (
        ("plain", {}), ("stays", {"long_stay_seconds": 30})))
    for config in (plain, with_stays):
        builder = tfds.builder("industrial", data_dir=tmp_path / "root", config=config)
        assert ("long_stay" in builder.info.features) == (config is with_stays)
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=tmp_path / "logs"))
        assert ("long_stay_seconds" in preparation_facts(builder.data_dir)["settings"]) == (config is with_stays)
        group = next(iter(builder.as_dataset(split="train")))
        assert set(group) == set(RecordFiles.open(builder.data_dir).schema.record_names)
    for config, made in ((plain, 0), (with_stays, 30)):
        other = RequestGroupsConfig(name=config.name, settings={**SETTINGS, "long_stay_seconds": 30 - made})
        with pytest.raises(ValueError, match=rf"prepared with other settings \(long_stay_seconds={made}\)"):
            tfds.builder("industrial", data_dir=tmp_path / "root", config=other)


def test_an_unknown_setting_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"taobao_ad/odd: unknown settings \['genre'\]; there are \['behaviors'"):
        tfds.builder("taobao_ad", data_dir=tmp_path, config=RequestGroupsConfig(name="odd", settings={"genre": 1}))


@pytest.mark.parametrize(("option", "value"), [("max_examples_per_split", 7), ("num_shards", 3)])
def test_options_without_effect_are_refused(tmp_path, option, value):
    config = tfds.download.DownloadConfig(manual_dir=tmp_path, **{option: value})
    with pytest.raises(ValueError, match=f"taobao_ad: {option} is not supported"):
        tfds.builder("taobao_ad", data_dir=tmp_path).download_and_prepare(download_config=config)


def test_another_format_of_files_is_refused(tmp_path):
    with pytest.raises(ValueError, match="file_format must be tfrecord, got array_record"):
        tfds.builder("taobao_ad", data_dir=tmp_path, file_format="array_record").download_and_prepare()


def test_every_attempt_works_in_the_same_folder(tmp_path):
    """So a killed one can be continued, and of two at once one is refused."""
    write_ratings(tmp_path / "logs")
    builder = tfds.builder("movielens_cross_domain", data_dir=tmp_path / "root")
    folder = tmp_path / "root" / "movielens_cross_domain" / "default" / ".prepared-1.0.0.partial"
    folder.mkdir(parents=True)
    other_process = os.open(folder, os.O_RDONLY)
    fcntl.flock(other_process, fcntl.LOCK_EX)
    config = tfds.download.DownloadConfig(manual_dir=tmp_path / "logs")
    with pytest.raises(OutputError, match="prepared-1.0.0 is being made by another process"):
        builder.download_and_prepare(download_config=config)
    os.close(other_process)
    builder.download_and_prepare(download_config=config)
    assert builder.is_prepared() and not folder.exists()


def test_the_build_command(tmp_path):
    write_ratings(tmp_path / "logs")
    config = '{"name": "day", "settings": {"snapshot": "day", "target_genre": "Drama"}}'
    done = subprocess.run(
        [sys.executable, "-m", "data_prep.tfds", "movielens_cross_domain", f"--config={config}",
         f"--manual_dir={tmp_path / 'logs'}", f"--data_dir={tmp_path / 'root'}"],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "root" / "movielens_cross_domain" / "day" / "1.0.0"
    assert preparation_facts(folder)["settings"]["target_genre"] == "Drama"
    assert RecordFiles.open(str(folder)).impressions["train"] > 10


@pytest.mark.parametrize("name", BUILDERS)
def test_tfds_build_finds_the_builder_in_its_file(name):
    """What `tfds build FILE.py` looks for: a module with one builder, imported from the folder above it."""
    folder = pathlib.Path(data_prep.tfds.__file__).parent
    with tfds.core.utils.add_sys_path(folder.parent):
        found = tfds.core.community.builder_cls_from_module(f"{folder.name}.{BUILDERS[name].name}")
    assert found.name == BUILDERS[name].name and name == found.DATASET
