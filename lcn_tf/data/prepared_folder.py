"""What is known of a prepared data set's folder without its records: its splits, and what its preparation noted."""

from __future__ import annotations

import os
from typing import Any

from lcn_tf import json_files
from lcn_tf.json_files import Optional

SPLITS = ("train", "validation", "test")
MEASURED_SPLITS = SPLITS[1:]  # those on which a trained model is measured
PREPARATION = "preparation.json"
VOCABULARIES = "vocabularies"  # a text file for each, whose line i is the value of id `FIRST_ID + i`

_SHAPE = {
    "splits": Optional({str: {
        **dict.fromkeys(("groups", "impressions", "largest_group", "clicks", "users"), Optional(int)),
        "labels": Optional({str: {"positives": int}})}}),
    "rows": Optional({str: {"read": int, "used": int, "dropped": {str: int}}}), "warnings": Optional([str]),
    "settings": Optional(dict), "utc_offset": Optional(int), "boundaries": Optional({str: [float]})}


def preparation_facts(data_dir: str) -> dict[str, Any]:
    """What `preparation.json` says; {} where there is none, as with records that were prepared elsewhere.

    Raises:
      ValueError: it is not JSON, or says something else than a preparation does; the message names file and field.
    """
    path = os.path.join(data_dir, PREPARATION)
    return json_files.read(path, _SHAPE) if os.path.exists(path) else {}
