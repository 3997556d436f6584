"""The flags of an experiment: one group per configuration dataclass, presets per data set, and bare cfg names.

`--lap.msa_top_k`, `--crp.weight`, `--train.epochs` ... come from the dataclasses; nothing is listed twice. A data set's
preset (`configs/data/*.cfg`) is read before everything else, so that flag files and the command line win over it. A cfg
that builds on another includes it by its bare name and says what differs.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
from typing import Any

from absl import flags

from command_line import dataclass_flags, flag_files
from data_prep.config import PreparationConfig
from data_prep.registry import DATASETS
from experiments import own_logs
from lcn_tf.data.pipeline import DataConfig
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import BalanceConfig, registry
from lcn_tf.training import EvalConfig, StrategyConfig, TrainConfig

FLAGS = flags.FLAGS
CONFIGS = importlib.resources.files("experiments") / "configs"

# Groups whose settings decide the numbers of a run on given records.
DECIDING_GROUPS: dict[str, type] = {
    "balance": BalanceConfig,
    "data": DataConfig,
    "embeddings": EmbeddingConfig,
    "eval": EvalConfig,
    "model": registry.ModelConfig,
    "strategy": StrategyConfig,
    "train": TrainConfig,
}
_GROUPS: dict[str, type] = {
    **DECIDING_GROUPS,
    "prep": PreparationConfig,
    **{name: entry.config_class for name, entry in DATASETS.items()},
    **{f"{name}_generator": entry.generator.config_class for name, entry in DATASETS.items() if entry.generator},
}
# Fields that have no flag of their own: the lengths to prepare are those of the batches.
_DERIVED = {"prep": ("short_length", "lifelong_length")}
# Nor have the draws of a component (hashes, choices, masks): another --train.seed draws others, too.
DRAWS = ("hash_seed", "choice_seed", "dropout_seed")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """What to run on, and where to."""

    dataset: str = dataclasses.field(default="taobao", metadata={
        "help": f"one of: {', '.join(DATASETS)}, {own_logs.NAME} (in data_dir, made by data_prep.own_logs)"})
    input_dir: str | None = dataclasses.field(
        default=None, metadata={"help": "raw files of the data set; without it, logs are generated (only for "
                                        + ", ".join(name for name, entry in DATASETS.items() if entry.generator) + ")"})
    data_dir: str | None = dataclasses.field(
        default=None, metadata={"help": "prepared data, made from input_dir if missing; default: a folder in data/"})
    workdir: str | None = dataclasses.field(
        default=None, metadata={"help": "outputs; the same command continues a killed run; default: a folder in runs/"})
    export: bool = dataclasses.field(
        default=True, metadata={"help": "export the trained model for serving and verify the export"})

    def __post_init__(self):
        if self.dataset == own_logs.NAME:
            if self.input_dir or not self.data_dir:
                raise ValueError(f"dataset={self.dataset} needs --data_dir, no --input_dir: prepare the logs first, "
                                 "python -m data_prep.own_logs --mapping=logs.toml --output_dir=DATA")
            return
        if self.dataset not in DATASETS:
            raise ValueError(f"dataset={self.dataset!r} is not known; known: {', '.join((*DATASETS, own_logs.NAME))}")
        if self.generated and not DATASETS[self.dataset].generator:
            raise ValueError(f"dataset={self.dataset} needs --input_dir (raw files) or --data_dir (prepared)")

    @property
    def generated(self) -> bool:
        """Whether the logs are to be generated."""
        return not (self.input_dir or self.data_dir)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Every configuration of a run.

    Attributes:
      run: paths and data set: `RunConfig`, or what another command has in its place.
      groups: prefix -> configuration.
      components: (kind, name) -> configuration of every model component in use.
    """

    run: Any
    groups: dict[str, Any]
    components: dict[tuple[str, str], Any]

    def assignments(self) -> list[str]:
        """Lines of a flag file that runs this experiment again."""
        lines = dataclass_flags.assignments("", self.run)
        for prefix, config in self.groups.items():
            lines += dataclass_flags.assignments(prefix, config, _DERIVED.get(prefix, ()))
        for (kind, name), config in self.components.items():
            lines += dataclass_flags.assignments(prefix_of(kind, name), config, DRAWS)
        return lines

    def settings(self) -> dict[str, Any]:
        """Flag -> text of everything that decides the result: no paths, no seed, and nothing of other data sets."""
        without = {"input_dir", "data_dir", "workdir", "export", "train.seed", "eval.consistency_rows"}
        others = tuple(f"{prefix}." for name in DATASETS.keys() - {self.run.dataset}
                       for prefix in (name, f"{name}_generator"))
        pairs = (line[2:].split("=", 1) for line in self.assignments())
        return {name: value for name, value in pairs if name not in without and not name.startswith(others)}


def define(run_class: type = RunConfig, flag_values: flags.FlagValues = FLAGS) -> None:
    """Defines every flag; those without a prefix are the fields of `run_class`."""
    dataclass_flags.define("", run_class, flag_values)
    for prefix, config_class in _GROUPS.items():
        dataclass_flags.define(prefix, config_class, flag_values, _DERIVED.get(prefix, ()))
    for kind in registry.KINDS:
        for name in registry.components(kind):
            config_class = registry.component(kind, name).Config
            if dataclasses.fields(config_class):
                dataclass_flags.define(prefix_of(kind, name), config_class, flag_values, DRAWS)


def prefix_of(kind: str, name: str) -> str:
    """Flag prefix of a component: its name, but `tower` for the paper's tower, and `lifelong_<name>` for a lifelong
    model that shares its name with an encoder of the short histories."""
    if (kind, name) == ("towers", "mlp"):
        return "tower"
    shared = kind == "long_term" and name in registry.components("short_term")
    return f"lifelong_{name}" if shared else name


def read(run_class: type = RunConfig, flag_values: flags.FlagValues = FLAGS) -> Experiment:
    """The experiment of the parsed flags, defined with the same class.

    Raises:
      ValueError: values that a configuration refuses; the message names the flag.
    """
    groups = {prefix: dataclass_flags.read(prefix, config_class, flag_values)
              for prefix, config_class in _GROUPS.items()}
    components = {part: _component(*part, groups["train"].seed, flag_values) for part in groups["model"].parts}
    return Experiment(dataclass_flags.read("", run_class, flag_values), groups, components)


def _component(kind: str, name: str, seed: int, flag_values: flags.FlagValues) -> Any:
    """The configuration of a component, its draws seeded as the training is."""
    config = dataclass_flags.read(prefix_of(kind, name), registry.component(kind, name).Config, flag_values)
    return dataclasses.replace(config, **{field.name: seed for field in dataclasses.fields(config)
                                          if field.name in DRAWS})


def parse(argv: list[str]) -> list[str]:
    """Parses a command line with bare cfg names and the preset of its data set; returns the other arguments.

    Raises:
      flags.Error: an unknown flag or value, or a flag file that cannot be read; the message names its file and line.
      FileNotFoundError: a flag file that is neither a path nor a name in `experiments/configs`.
    """
    arguments = flag_files.expand(argv[1:], find_config)
    _parse_afresh(argv[0], arguments)
    run = dataclass_flags.read("", RunConfig)
    if run.dataset == own_logs.NAME:
        preset = own_logs.preset(run.data_dir)
    else:
        preset = [f"--flagfile={CONFIGS / 'data' / run.dataset}{'_generated' if run.generated else ''}.cfg"]
    return parse_behind(argv, preset)


def parse_behind(argv: list[str], preset: list[str]) -> list[str]:
    """Parses a command line with bare cfg names behind flags that it may overrule; as `parse`."""
    return _parse_afresh(argv[0], [*flag_files.expand(preset, find_config),
                                   *flag_files.expand(argv[1:], find_config)])


def _parse_afresh(program: str, arguments: list[flag_files.Argument]) -> list[str]:
    """Parses as if nothing had been parsed before."""
    for name in FLAGS:
        FLAGS[name].unparse()
    return flag_files.parse(program, arguments)


def find_config(name: str) -> str:
    """Path of a flag file: as given if it exists, else from `experiments/configs`.

    Raises:
      FileNotFoundError: neither exists; the message lists the known names.
    """
    known = CONFIGS / name
    try:
        return flag_files.find_file(name)
    except FileNotFoundError as error:
        if known.is_file():
            return str(known)
        raise FileNotFoundError(f"{error}, and not one of experiments/configs: {', '.join(config_names())}") from error


def config_names() -> list[str]:
    """Names of the cfgs in `experiments/configs`: of models, then presets of data sets."""
    return [f"{folder}{name}" for folder in ("", "data/")
            for name in sorted(entry.name for entry in (CONFIGS / folder).iterdir()) if name.endswith(".cfg")]
