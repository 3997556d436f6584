"""The vocabularies that travel in an export: its ids mean what they say, and those of no other export."""

from __future__ import annotations

import hashlib
import os
import shutil

from lcn_tf.data.prepared_folder import VOCABULARIES
from lcn_tf.whole_files import write_text

FINGERPRINT = "fingerprint"  # beside the files


def export_vocabularies(folder: str, extra: str) -> str | None:
    """Copies a folder of vocabularies to `vocabularies/` and writes the fingerprint of all files beside them.

    Args:
      folder: of text files, one for each vocabulary; it may be missing, as with hashed ids.
      extra: folder of what an export has beside its graph.

    Returns:
      The fingerprint, None without vocabularies.
    """
    names = sorted(name for name in os.listdir(folder) if name.endswith(".txt")) if os.path.isdir(folder) else []
    if not names:
        return None
    target = os.path.join(extra, VOCABULARIES)
    os.makedirs(target)
    for name in names:
        shutil.copyfile(os.path.join(folder, name), os.path.join(target, name))
    fingerprint = vocabulary_fingerprint(target)
    write_text(os.path.join(target, FINGERPRINT), f"{fingerprint}\n")
    return fingerprint


def vocabulary_fingerprint(folder: str) -> str:
    """Sixteen hexadecimal digits that differ where a vocabulary of a folder does."""
    digest = hashlib.sha256()
    for name in sorted(name for name in os.listdir(folder) if name.endswith(".txt")):
        digest.update(f"{name}\n".encode())
        with open(os.path.join(folder, name), "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
