"""Names that features, labels, tables and data sets of a mapping can have."""

from __future__ import annotations

import re

# Columns of the canonical tables and of what is made of them, in any case: engines do not tell these apart.
RESERVED = ("user", "timestamp", "label", "row", "rows", "count", "domain", "impression_id", "split", "moment",
            "cutoff", "in_training", "is_target", "bucket", "self", "encoded_value", "encoded_id", "tallied_rows",
            "tallied_moment")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def is_reserved(name: str) -> bool:
    """Whether a feature or label cannot have a name."""
    return name.lower() in RESERVED


def check_name(where: str, name: str) -> None:
    """Raises ValueError for a name that is none; `where` is the key that it belongs to."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{where + '.' if where else ''}{name}: names have letters, digits and _, and begin with a "
                         "letter")
