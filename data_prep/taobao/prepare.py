"""Taobao's four files -> a prepared data set."""

from __future__ import annotations

import dataclasses

from data_prep.config import PreparationConfig
from data_prep.preparation import prepare_dataset
from data_prep.taobao import reader
from data_prep.taobao.config import TaobaoConfig


def prepare(input_dir: str, output_dir: str, config: TaobaoConfig, preparation: PreparationConfig) -> None:
    """Prepares `raw_sample.csv`, `ad_feature.csv`, `user_profile.csv` and `behavior_log.csv`.

    Args:
      input_dir: directory of the four files.
      output_dir: new or empty directory; it appears when everything is written.
      config: protocol of the data set.
      preparation: settings shared by all data sets.

    Raises:
      InputError: the files do not make a data set; names file, line or field, and value.
      OutputError: `output_dir` exists with contents or cannot be written.
    """
    files = reader.find_files(input_dir)
    prepare_dataset(
        output_dir, preparation, config, list(dataclasses.asdict(files).values()),
        lambda logs: reader.read(logs, files, config, preparation.deduplicate))
