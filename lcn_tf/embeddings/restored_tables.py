"""Fills embedding tables from the checkpoint of an earlier training run."""

from __future__ import annotations

import os

import tensorflow as tf

from lcn_tf.checkpoint_folder import latest_checkpoint, restore
from lcn_tf.embeddings.table_set import EmbeddingTables


def restore_tables(tables: EmbeddingTables, checkpoint: str) -> None:
    """Gives tables the values that they had in the model of an earlier run on the same data, whose ids mean the same.

    Args:
      tables: with their weights.
      checkpoint: the prefix of a checkpoint, or a folder of checkpoints, such as `<workdir>/checkpoints/best`.

    Raises:
      ValueError: no checkpoint there, or one that lacks a table or has it in another shape.
    """
    prefix = latest_checkpoint(checkpoint) if os.path.isdir(checkpoint) else checkpoint
    if not prefix or not os.path.exists(f"{prefix}.index"):
        raise ValueError(f"expected a checkpoint or a folder of checkpoints, got {checkpoint!r}")
    embedder, model = tf.Module(), tf.Module()  # as in `CTRModel`
    embedder.tables, model.embedder = tables, embedder
    try:
        restore(tf.train.Checkpoint(model=model), prefix).assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError) as error:
        shapes = {name: tuple(table.shape) for name, table in tables.vectors.items()}
        raise ValueError(f"{checkpoint}: expected the tables {shapes}, got others (in size, or not dense): {error}"
                         ) from error
