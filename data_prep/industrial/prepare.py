"""The files of an industrial-style log -> a prepared data set."""

from __future__ import annotations

import os

import pyarrow.parquet as pq

from data_prep.config import PreparationConfig
from data_prep.content_vectors.table_vectors import add_text_vectors
from data_prep.industrial import reader
from data_prep.industrial.config import AUTHOR, IndustrialConfig
from data_prep.preparation import prepare_dataset


def prepare(input_dir: str, output_dir: str, config: IndustrialConfig, preparation: PreparationConfig) -> None:
    """Prepares `events.csv`, `users.csv`, and the `impressions.csv` or `video_impressions.csv` of the row set.

    Where there is `item_texts.csv`, too, and it has rows, authors have content vectors of their texts' words, unless
    ids are hashed.

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

    def add_vectors(folder: str, scratch_dir: str) -> list[str]:
        if not files.item_texts or preparation.vocabulary != "counted":
            return []
        texts = pq.read_table(os.path.join(scratch_dir, reader.READ_TEXTS))
        if not len(texts):
            return []
        ids = [str(author) for author in texts["id"].to_pylist()]
        return add_text_vectors(folder, AUTHOR, files.item_texts, ids, texts["text"].to_pylist()).warnings(AUTHOR)

    prepare_dataset(
        output_dir, preparation, config, files.paths,
        lambda logs: reader.read(logs, files, config, preparation.deduplicate), complete=add_vectors)
