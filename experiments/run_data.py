"""Which records a run belongs to: noted in its work folder when it starts, compared when it is continued or shown."""

from __future__ import annotations

import os

from lcn_tf.data import pipeline
from lcn_tf.training import results

NOTE = "data.json"


def note(workdir: str, files: pipeline.RecordFiles) -> None:
    """Writes down which records the run of a work folder belongs to."""
    results.write_json(os.path.join(workdir, NOTE), {"data_dir": os.path.abspath(files.data_dir),
                                                     "fingerprint": files.fingerprint})


def noted(workdir: str) -> dict[str, str] | None:
    """What `note` wrote; None where nothing is noted, as by runs of earlier versions.

    Raises:
      ValueError: the note is none; the message names its file.
    """
    return results.read_json(os.path.join(workdir, NOTE), {"data_dir": str, "fingerprint": str})


def is_prepared(data_dir: str) -> bool:
    """Whether a folder holds records."""
    return os.path.exists(os.path.join(data_dir, "schema.json"))


def check(workdir: str, files: pipeline.RecordFiles) -> None:
    """Compares records with those that are noted for a run that has begun.

    Raises:
      ValueError: they are others; the message names both.
    """
    before, now = noted(workdir), files.fingerprint
    if before is not None and before["fingerprint"] != now:
        raise ValueError(
            f"{workdir} holds a run on other records: those of {before['data_dir']} with the fingerprint "
            f"{before['fingerprint']}, now {os.path.abspath(files.data_dir)} has {now}; choose another --workdir, or "
            "remove this one, to train on these")
