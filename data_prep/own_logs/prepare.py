"""Logs of a mapping file -> a prepared data set."""

from __future__ import annotations

import os

from data_prep.config import PreparationConfig
from data_prep.errors import InputError
from data_prep.own_logs import features, reader
from data_prep.own_logs.config import OwnLogsConfig
from data_prep.own_logs.mapping import Mapping, read_mapping
from data_prep.own_logs.tables import Tables
from data_prep.preparation import prepare_dataset
from lcn_tf.schema import FIRST_ID


def prepare(input_dir: str, output_dir: str, config: OwnLogsConfig, preparation: PreparationConfig) -> None:
    """Prepares the files that a mapping names.

    Args:
      input_dir: folder from which the mapping names files; "": that of the mapping file.
      output_dir: new or empty directory; it appears when everything is written.
      config: where the mapping file is.
      preparation: settings shared by all data sets.

    Raises:
      InputError: the mapping or the files do not make a data set; names key, file, column and value.
      OutputError: `output_dir` exists with contents or cannot be written.
    """
    mapping = read_mapping(config.mapping)
    _check_names(config.mapping, mapping)
    tables = Tables(mapping, input_dir or os.path.dirname(os.path.abspath(config.mapping)))
    prepare_dataset(output_dir, preparation, mapping, tables.paths,
                    lambda logs: reader.read(logs, mapping, tables, preparation.deduplicate))


def _check_names(path: str, mapping: Mapping) -> None:
    """Refuses names that no schema can have before a file is read."""
    try:
        description = features.describe(mapping, {}, 0, mapping.time_gap)
        description.schema(dict.fromkeys(description.vocabulary_names, FIRST_ID + 1), PreparationConfig())
    except ValueError as error:
        raise InputError(f"{path}, features: {error}") from error
