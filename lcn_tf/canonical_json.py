"""One text for values that are the same, whatever the order of their keys, and digits that stand for it.

Finished runs are known by these digits: another way of writing the text would make strangers of them all.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def text(values: Any) -> str:
    """Values as JSON of ASCII characters, with sorted keys and without spaces."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def digest(values: Any) -> str:
    """Sixteen hexadecimal digits that differ where values differ."""
    return hashlib.sha256(text(values).encode()).hexdigest()[:16]
