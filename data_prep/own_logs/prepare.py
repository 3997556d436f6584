"""Logs of a mapping file -> a prepared data set."""

from __future__ import annotations

import dataclasses
import os

from data_prep import vocabulary
from data_prep.config import PreparationConfig
from data_prep.content_vectors.table_vectors import add_vectors
from data_prep.errors import InputError
from data_prep.own_logs import features, reader, splitting
from data_prep.own_logs.config import OwnLogsConfig
from data_prep.own_logs.mapping import Mapping, read_mapping
from data_prep.own_logs.splitting import OneDay
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
    prepare_mapping(config, input_dir, output_dir, preparation)


def prepare_mapping(config: OwnLogsConfig, input_dir: str, output_dir: str, preparation: PreparationConfig,
                    one_day: OneDay | None = None, assign: vocabulary.Assign = vocabulary.assign) -> None:
    """As `prepare`, of a single day where one is given, with ids that `assign` gives; raises what `prepare` does."""
    mapping = read_mapping(config.mapping)
    _check_names(config.mapping, mapping, preparation)
    folder = input_dir or os.path.dirname(os.path.abspath(config.mapping))
    tables = Tables(mapping, folder)
    vectors = {table: os.path.join(folder, name) for table, name in mapping.vectors.items()}
    if missing := [path for path in vectors.values() if not os.path.isfile(path)]:
        raise InputError(f"{config.mapping}, vectors: {missing[0]}: no such file")

    def add_all_vectors(records: str, _: str) -> list[str]:
        added = {table: add_vectors(records, table, path) for table, path in vectors.items()}
        return [text for table, found in added.items() for text in found.warnings(table, of_all=one_day is None)]

    settings = dataclasses.replace(mapping, splits=one_day) if one_day else mapping
    prepare_dataset(output_dir, preparation, settings, [*tables.paths, *vectors.values()],
                    lambda logs: reader.read(logs, mapping, tables, preparation.deduplicate, one_day), assign,
                    add_all_vectors)


def _check_names(path: str, mapping: Mapping, preparation: PreparationConfig) -> None:
    """Refuses names that no schema can have before a file is read."""
    try:
        description = features.describe(mapping, {}, 0, mapping.time_gap or splitting.time_gaps(0))
        description.schema(dict.fromkeys(description.vocabulary_names, FIRST_ID + 1), preparation)
    except ValueError as error:
        raise InputError(f"{path}, features: {error}") from error
