"""Settings of the preparation that every data set shares."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Literal

MEMORY_LIMIT = re.compile(r"[0-9]+(\.[0-9]+)?\s*([KMGT]i?B)")


def option(default: Any, help_text: str) -> Any:
    """A dataclass field with a default and the help text that its flag shows."""
    return dataclasses.field(default=default, metadata={"help": help_text})


@dataclasses.dataclass(frozen=True)
class PreparationConfig:
    """How request groups are cut from a log; the defaults are those of the paper's public data set (SPEC A.5).

    Raises:
      ValueError: a value outside its range; the message names the setting.
    """

    snapshot: Literal["request", "day"] = option(
        "request", "what shares one copy of the histories: impressions of one second (request) or of one day (day); "
        "histories end strictly before that second or day")
    history_gap_seconds: int = option(
        0, "events count only when they are earlier than the snapshot by more than this many seconds (SPEC A-34, gap)")
    short_length: int = option(24, "longest short_target and short_source history (SPEC A-19)")
    lifelong_length: int = option(500, "longest lifelong_source history")
    exclude_recent: bool = option(
        False, "start lifelong_source after the events of short_source instead of overlapping with them (SPEC A-20)")
    min_count: int = option(1, "values seen less often than this in the training days become out of vocabulary")
    deduplicate: bool = option(False, "drop rows of the event log that repeat an earlier row in every column")
    shards: int = option(
        4, "record files per split; users are spread over them, and one shard's users are in memory at a time")
    memory_limit: str = option("4GB", "memory of the query engine, beyond which it spills to disk, e.g. 4GB or 900MiB")

    def __post_init__(self):
        if self.snapshot not in ("request", "day"):
            raise ValueError(f"snapshot must be request or day, got {self.snapshot!r}")
        for name, least in (("history_gap_seconds", 0), ("short_length", 1), ("lifelong_length", 1), ("min_count", 1),
                            ("shards", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not MEMORY_LIMIT.fullmatch(self.memory_limit):
            raise ValueError(
                f"memory_limit must be a number and a unit such as 4GB or 900MiB, got {self.memory_limit!r}")
