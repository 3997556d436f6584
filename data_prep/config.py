"""Settings of the preparation that every data set shares."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Literal

_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(i?)B")
# Settings that change how the work is done and not what comes out.
WITHOUT_EFFECT = ("engine", "spark_master", "memory_limit", "workers", "max_reject_share")


def option(default: Any, help_text: str, later: bool = False) -> Any:
    """A dataclass field.

    Args:
      default: its value where none is given.
      help_text: what its flag shows.
      later: whether data were prepared before there was the setting. They are as its default says, and what is prepared
        with the default says nothing of it, so that it keeps its bytes.
    """
    return dataclasses.field(default=default, metadata={"help": help_text, "later": later})


def lasting_settings(*configs: Any) -> dict[str, Any]:
    """The settings of some dataclasses that decide what comes out, by name."""
    return {name: value for config in configs for name, value in dataclasses.asdict(config).items()
            if name not in WITHOUT_EFFECT}


def written_settings(*configs: Any) -> dict[str, Any]:
    """The settings of some dataclasses as `preparation.json` has them, by name; see `option` for those left out."""
    return {field.name: value for config in configs for values in [dataclasses.asdict(config)]
            for field in dataclasses.fields(config) for value in [values[field.name]]
            if not (field.metadata.get("later") and value == field.default)}


@dataclasses.dataclass(frozen=True)
class PreparationConfig:
    """How request groups are cut from a log; the defaults are the LCN paper's for public data (docs/readings.md).

    Raises:
      ValueError: a value outside its range; the message names the setting.
    """

    snapshot: Literal["request", "day", "user"] = option(
        "request", "what shares one copy of the histories: impressions of one second (request; histories end strictly "
        "before it), of one day (day; they end strictly before the day) or all of a user's impressions in a split "
        "(user; each sees the events strictly before its own second)")
    history_gap_seconds: int = option(
        0, "events count only when they are earlier than the snapshot by more than this many seconds")
    max_candidates: int = option(
        16, "impressions of a record with snapshot=user; a user's further ones go to further records")
    short_length: int = option(24, "longest short_target and short_source history")
    lifelong_length: int = option(500, "longest lifelong_source history")
    unclicked_length: int = option(
        0, "longest unclicked_target history: what the user was shown before and did not click; 0: none", later=True)
    exclude_recent: bool = option(
        False, "start lifelong_source after the events of short_source instead of overlapping with them")
    vocabulary: Literal["counted", "hashed"] = option(
        "counted", "ids by count in the training days, unseen values out of vocabulary (counted), or by a hash of the "
        "value, without a vocabulary (hashed)")
    min_count: int = option(1, "values seen less often than this in the training days become out of vocabulary")
    hash_bins: int = option(100_000, "ids of each feature with vocabulary=hashed")
    deduplicate: bool = option(False, "drop rows of the event log that repeat an earlier row in every column")
    shards: int | None = option(
        None, "record files per split, and parts of the work; each holds some of the users, and one part is in memory "
        "at a time and worker; none: one for every million rows, at least 4")
    max_reject_share: float = option(
        0.0001, "largest share of a file's lines that may be unreadable; they go to rejects.csv, and more stop the run")
    engine: Literal["duckdb", "spark"] = option(
        "duckdb", "what evaluates the preparation: duckdb (this machine) or spark (needs the extra 'spark' and Java)")
    spark_master: str = option("local[*]", "master of engine=spark, e.g. local[2] or spark://host:7077")
    memory_limit: str = option("4GB", "memory of the preparation, beyond which it spills to disk, e.g. 4GB or 900MiB")
    workers: int | None = option(None, "processes that write records; none: one for each processor, one for small data")

    def __post_init__(self):
        for name, known in (("snapshot", ("request", "day", "user")), ("vocabulary", ("counted", "hashed")),
                            ("engine", ("duckdb", "spark"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name, least in (("history_gap_seconds", 0), ("max_candidates", 1), ("short_length", 1),
                            ("lifelong_length", 1), ("unclicked_length", 0),
                            ("min_count", 1), ("hash_bins", 1), ("shards", 1), ("workers", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if not 0 <= self.max_reject_share <= 1:
            raise ValueError(f"max_reject_share must be between 0 and 1, got {self.max_reject_share}")
        if self.hash_bins > 2**31:
            raise ValueError(f"hash_bins must be at most 2^31, got {self.hash_bins}")
        if not _MEMORY.fullmatch(self.memory_limit):
            raise ValueError(
                f"memory_limit must be a number and a unit such as 4GB or 900MiB, got {self.memory_limit!r}")

    @property
    def memory_bytes(self) -> int:
        """`memory_limit` in bytes."""
        number, unit, binary = _MEMORY.fullmatch(self.memory_limit).groups()
        return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(unit or " "))
