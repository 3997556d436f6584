"""The data sets that can be prepared, by the name that `--dataset` takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from data_prep.config import PreparationConfig
from data_prep.movielens.config import MovieLensConfig
from data_prep.taobao.config import TaobaoConfig


@dataclasses.dataclass(frozen=True)
class DatasetEntry:
    """A data set.

    Attributes:
      config_class: its settings, a frozen dataclass with defaults and help texts.
      prepare: `prepare(input_dir, output_dir, config, preparation)`.
    """

    config_class: type
    prepare: Callable[[str, str, Any, PreparationConfig], None]


def _prepare_taobao(input_dir: str, output_dir: str, config: TaobaoConfig, preparation: PreparationConfig) -> None:
    from data_prep.taobao.prepare import prepare

    prepare(input_dir, output_dir, config, preparation)


def _prepare_movielens(
        input_dir: str, output_dir: str, config: MovieLensConfig, preparation: PreparationConfig) -> None:
    from data_prep.movielens.prepare import prepare

    prepare(input_dir, output_dir, config, preparation)


# The engine is imported only when something is prepared: training from prepared records does without it.
DATASETS: dict[str, DatasetEntry] = {
    "taobao": DatasetEntry(TaobaoConfig, _prepare_taobao),
    "movielens": DatasetEntry(MovieLensConfig, _prepare_movielens),
}
