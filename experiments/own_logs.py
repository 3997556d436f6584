"""Presets of own logs (`--dataset=own_logs`): what fits the size of the records that a mapping file made.

60,000 impressions want small batches, several epochs and dropout; billions want the paper's settings. Flags win over
what is chosen here.
"""

from __future__ import annotations

import os
from typing import Any

from lcn_tf import json_files
from lcn_tf.data.prepared_folder import PREPARATION, preparation_facts
from lcn_tf.schema import FeatureSchema

NAME = "own_logs"

_STEPS = 100  # of an epoch at least, until batches are as small or as large as is of use
_BATCHES = (128, 256, 512, 1_024, 2_048)
# Training impressions below which -> epochs, dropout on the tower's input; beyond: the paper's.
_SIZES = ((100_000, 10, 0.3), (1_000_000, 5, 0.1), (10_000_000, 2, 0.0))
_PATIENCE = 2
_GROUPED_FROM = 2.0  # candidates of a record; with fewer there is nothing to share


def preset(data_dir: str | None) -> list[str]:
    """Flags for the records of a folder: `--name=value`; none where there are no records yet.

    Args:
      data_dir: a prepared data set.
    """
    if not data_dir or not preparation_facts(data_dir):
        return []
    impressions = _of_training(data_dir)["impressions"]
    epochs, dropout = next(((epochs, dropout) for below, epochs, dropout in _SIZES if impressions < below), (1, 0.0))
    flags = {**of_records(data_dir), "train.epochs": epochs, "train.patience": _PATIENCE,
             "tower.input_dropout": dropout}
    return [f"--{name}={value}" for name, value in flags.items()]


def of_records(data_dir: str, days: int = 1) -> dict[str, Any]:
    """The flags that fit the records of a folder, however long is trained on them: lengths, layout, batch size.

    Args:
      data_dir: a prepared data set.
      days: how many parts of the training split are trained on one after the other; batches fit a part.
    """
    train = _of_training(data_dir)
    impressions, lengths = train["impressions"], FeatureSchema.load(data_dir).lengths
    batch_size = next((size for size in reversed(_BATCHES) if impressions >= days * size * _STEPS), _BATCHES[0])
    return {
        "data.short_length": max(length for name, length in lengths.items() if name.startswith("short")),
        "data.lifelong_length": max(length for name, length in lengths.items() if name.startswith("lifelong")),
        "data.layout": "grouped" if impressions >= _GROUPED_FROM * train["groups"] else "flat",
        "train.batch_size": batch_size}


def described(data_dir: str) -> str:
    """The preset of a folder in words."""
    impressions = _of_training(data_dir)["impressions"]
    return (f"Preset for {impressions:,} training impressions, where flags do not say otherwise: "
            f"{' '.join(preset(data_dir))}")


def _of_training(data_dir: str) -> dict[str, Any]:
    """What `preparation.json` says of the training split.

    Raises:
      ValueError: it does not tell its size; the message names the file and the field.
    """
    facts = preparation_facts(data_dir)
    json_files.check(os.path.join(data_dir, PREPARATION), facts,
                     {"splits": {"train": {"impressions": int, "groups": int}}})
    return facts["splits"]["train"]
