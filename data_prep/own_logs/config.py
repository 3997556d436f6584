"""Settings of own logs: where their mapping file is."""

from __future__ import annotations

import dataclasses

from data_prep.config import option


@dataclasses.dataclass(frozen=True)
class OwnLogsConfig:
    """The mapping file of the logs."""

    mapping: str = option("logs.toml", "file that says which files there are and what their columns mean "
                          "(docs/own_logs.md)")
