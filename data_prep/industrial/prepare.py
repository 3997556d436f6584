"""The files of an industrial-style log -> a prepared data set."""

from __future__ import annotations

from data_prep.config import PreparationConfig
from data_prep.content_vectors.table_vectors import add_text_vectors
from data_prep.industrial import reader
from data_prep.industrial.config import AUTHOR, IndustrialConfig
from data_prep.preparation import prepare_dataset


def prepare(input_dir: str, output_dir: str, config: IndustrialConfig, preparation: PreparationConfig) -> None:
    """Prepares `events.csv`, `users.csv`, and the `impressions.csv` or `video_impressions.csv` of the row set.

    Where there is `item_texts.csv`, too, authors have content vectors of their texts' words, unless ids are hashed.

    Args:
      input_dir: directory of the files.
      output_dir: new or empty directory; it appears when everything is written.
      config: days and row set.
      preparation: settings shared by all data sets.

    Raises:
      InputError: the files do not make a data set; names file, line or field, and value.
      OutputError: `output_dir` exists with contents or cannot be written.
    """
    files = reader.find_files(input_dir, config.row_set)

    def add_vectors(folder: str) -> None:
        if files.item_texts and preparation.vocabulary == "counted":
            add_text_vectors(folder, AUTHOR, files.item_texts)

    prepare_dataset(
        output_dir, preparation, config, files.paths,
        lambda logs: reader.read(logs, files, config, preparation.deduplicate), complete=add_vectors)
