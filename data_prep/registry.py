"""The data sets that can be prepared, by the name that `--dataset` takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from data_prep.config import PreparationConfig
from data_prep.industrial.config import IndustrialConfig
from data_prep.industrial.generator_config import TRUE_PROBABILITY_FILES
from data_prep.industrial.generator_config import GeneratorConfig as IndustrialGeneratorConfig
from data_prep.movielens.config import MovieLensConfig
from data_prep.taobao.config import TaobaoConfig
from data_prep.taobao.generator_config import GeneratorConfig as TaobaoGeneratorConfig
from data_prep.userbehavior.config import UserBehaviorConfig


@dataclasses.dataclass(frozen=True)
class Generator:
    """Makes logs of a data set's format, for where there are no real ones.

    Attributes:
      config_class: its settings, a frozen dataclass with defaults and help texts.
      generate: `generate(output_dir, config)`.
      true_probability: settings of the data set -> name of the file, written after the logs, with the click
        probability of each impression that they select.
    """

    config_class: type
    generate: Callable[[str, Any], None]
    true_probability: Callable[[Any], str] = lambda config: "true_probability.csv"


@dataclasses.dataclass(frozen=True)
class DatasetEntry:
    """A data set.

    Attributes:
      config_class: its settings, a frozen dataclass with defaults and help texts.
      records: name of its records, as their schema has it.
      prepare: `prepare(input_dir, output_dir, config, preparation)`.
      generator: of its logs, where there is one.
    """

    config_class: type
    records: str
    prepare: Callable[[str, str, Any, PreparationConfig], None]
    generator: Generator | None = None


def _prepare_taobao(input_dir: str, output_dir: str, config: TaobaoConfig, preparation: PreparationConfig) -> None:
    from data_prep.taobao.prepare import prepare

    prepare(input_dir, output_dir, config, preparation)


def _prepare_movielens(
        input_dir: str, output_dir: str, config: MovieLensConfig, preparation: PreparationConfig) -> None:
    from data_prep.movielens.prepare import prepare

    prepare(input_dir, output_dir, config, preparation)


def _prepare_userbehavior(
        input_dir: str, output_dir: str, config: UserBehaviorConfig, preparation: PreparationConfig) -> None:
    from data_prep.userbehavior.prepare import prepare

    prepare(input_dir, output_dir, config, preparation)


def _prepare_industrial(
        input_dir: str, output_dir: str, config: IndustrialConfig, preparation: PreparationConfig) -> None:
    from data_prep.industrial.prepare import prepare

    prepare(input_dir, output_dir, config, preparation)


def _generate_taobao(output_dir: str, config: TaobaoGeneratorConfig) -> None:
    from data_prep.taobao.generator import generate

    generate(output_dir, config)


def _generate_industrial(output_dir: str, config: IndustrialGeneratorConfig) -> None:
    from data_prep.industrial.generator import generate

    generate(output_dir, config)


# The engine is imported only when something is prepared: training from prepared records does without it.
DATASETS: dict[str, DatasetEntry] = {
    "taobao": DatasetEntry(TaobaoConfig, "taobao_ad", _prepare_taobao,
                           Generator(TaobaoGeneratorConfig, _generate_taobao)),
    "movielens": DatasetEntry(MovieLensConfig, "movielens_cross_domain", _prepare_movielens),
    "userbehavior": DatasetEntry(UserBehaviorConfig, "taobao_user_behavior", _prepare_userbehavior),
    "industrial": DatasetEntry(IndustrialConfig, "industrial", _prepare_industrial, Generator(
        IndustrialGeneratorConfig, _generate_industrial, lambda config: TRUE_PROBABILITY_FILES[config.row_set])),
}
