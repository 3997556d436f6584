"""`UserBehavior.csv` -> a prepared data set."""

from __future__ import annotations

from data_prep.config import PreparationConfig
from data_prep.preparation import prepare_dataset
from data_prep.userbehavior import reader
from data_prep.userbehavior.config import UserBehaviorConfig


def prepare(input_dir: str, output_dir: str, config: UserBehaviorConfig, preparation: PreparationConfig) -> None:
    """Prepares `UserBehavior.csv`.

    Args:
      input_dir: directory of the file.
      output_dir: new or empty directory; it appears when everything is written.
      config: days, domains and negatives.
      preparation: settings shared by all data sets.

    Raises:
      InputError: the file does not make a data set; names file, line or field, and value.
      OutputError: `output_dir` exists with contents or cannot be written.
    """
    path = reader.LOG.find(input_dir)
    prepare_dataset(output_dir, preparation, config, [path],
                    lambda logs: reader.read(logs, path, config, preparation.deduplicate))
