"""What is known of a prepared data set's folder without its records: its splits, and what its preparation noted."""

from __future__ import annotations

import json
import os
from typing import Any

SPLITS = ("train", "validation", "test")
MEASURED_SPLITS = SPLITS[1:]  # those on which a trained model is measured
PREPARATION = "preparation.json"
VOCABULARIES = "vocabularies"  # a text file for each, whose line i is the value of id `FIRST_ID + i`


def preparation_facts(data_dir: str) -> dict[str, Any]:
    """What `preparation.json` says; {} where there is none, as with records that were prepared elsewhere.

    Raises:
      ValueError: it is not a JSON object; the message names the file.
    """
    path = os.path.join(data_dir, PREPARATION)
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        facts = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(facts, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(facts).__name__}")
    return facts
