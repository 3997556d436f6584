"""Finds components by the name of their file and composes a model from their configurations."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from lcn_tf.contracts import SearchesTables, check_offers
from lcn_tf.embeddings import EmbeddingConfig, FeatureEmbedder
from lcn_tf.heads.click import ClickHead
from lcn_tf.models.ctr_model import CTRModel
from lcn_tf.schema import FeatureSchema

KINDS = ("long_term", "short_term", "objectives", "towers")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which components a model is composed of; each name is a file of the folder of its kind."""

    long_term: str = dataclasses.field(default="lap", metadata={"help": "model of the lifelong history"})
    short_term: str = dataclasses.field(default="din", metadata={"help": "encoder of the two short histories"})
    objectives: tuple[str, ...] = dataclasses.field(
        default=("crp",), metadata={"help": "auxiliary training losses, comma separated; empty for none"})
    tower: str = dataclasses.field(default="mlp", metadata={"help": "network over all interests and features"})

    def __post_init__(self):
        for kind, names in (("long_term", (self.long_term,)), ("short_term", (self.short_term,)),
                            ("objectives", self.objectives), ("towers", (self.tower,))):
            for name in names:
                if name not in components(kind):
                    flag = kind if kind in ("long_term", "short_term", "objectives") else "tower"
                    raise ValueError(f"model.{flag}={name!r} is not known; known: {', '.join(components(kind))}")
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"model.objectives names one twice: {','.join(self.objectives)}")

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """(kind, name) of every component in use."""
        return (("long_term", self.long_term), ("short_term", self.short_term), ("towers", self.tower),
                *(("objectives", name) for name in self.objectives))


def components(kind: str) -> tuple[str, ...]:
    """Names of the components of a kind: the modules of `lcn_tf/<kind>`."""
    package = importlib.import_module(f"lcn_tf.{kind}")
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__)))


def component(kind: str, name: str) -> Any:
    """The module of a component, with its `Config` and `build`."""
    return importlib.import_module(f"lcn_tf.{kind}.{name}")


def build_model(
    schema: FeatureSchema,
    lengths: Mapping[str, int],
    model: ModelConfig,
    configs: Mapping[tuple[str, str], Any] | None = None,
    embeddings: EmbeddingConfig | None = None,
    seed: int = 0,
) -> CTRModel:
    """Composes a model.

    Args:
      schema: features and tables.
      lengths: history name -> number of events a candidate sees.
      model: names of the components.
      configs: (kind, name) -> the component's `Config`; defaults where absent.
      embeddings: width and initialisation of the tables.
      seed: of the auxiliary objectives' sampling.

    Raises:
      ValueError: an unknown component, values that a component refuses, two that train the same search tables, or one
        that trains search tables which nothing reads.

    Example:
      >>> from lcn_tf import EmbeddingConfig, Feature, FeatureSchema, ModelConfig, build_model
      >>> from lcn_tf.models import component, example_batch
      >>> lengths = {"short_target": 24, "short_source": 24, "lifelong_source": 500}
      >>> schema = FeatureSchema("ads", {"brand": 100}, user=(), item=(Feature("brand", "brand"),), candidate=(),
      ...                        request=(), context=(), lengths=lengths)
      >>> lap = component("long_term", "lap").Config(msa_top_k=100)
      >>> model = build_model(schema, lengths, ModelConfig(short_term="mean"), {("long_term", "lap"): lap},
      ...                     EmbeddingConfig(embedding_dim=8))
      >>> model(example_batch(schema, lengths)).shape  # the logit of 1 request with 1 candidate
      TensorShape([1, 1])
    """
    def build(kind, name):
        module = component(kind, name)
        return module.build((configs or {}).get((kind, name)) or module.Config())

    objectives = {name: build("objectives", name) for name in model.objectives}
    objectives = {name: objective for name, objective in objectives.items() if objective.weight}
    separate = [name for name, objective in objectives.items() if objective.separate_tables]
    long_term = build("long_term", model.long_term)
    check_offers(f"model.long_term={model.long_term}", long_term)
    search_tables = long_term.search_tables if isinstance(long_term, SearchesTables) else "model"
    own_tables = search_tables in ("own", "pretrained")
    if own_tables and separate:
        raise ValueError(f"{separate[0]}.tables=separate trains the search tables, which {model.long_term} has "
                         "for itself")
    if separate and search_tables != "objective":
        raise ValueError(f"{separate[0]}.tables=separate trains search tables, which model.long_term={model.long_term} "
                         "as it is configured never reads; lap does, and sim with sim.gsu=inner")
    embedder = FeatureEmbedder(schema, lengths, embeddings or EmbeddingConfig(), own_tables or bool(separate),
                               name="embedder")
    if search_tables == "pretrained":
        embedder.freeze_search_tables(long_term.pretrained)
    return CTRModel(
        embedder=embedder,
        short_term={name: build("short_term", model.short_term) for name in ("short_target", "short_source")},
        long_term=long_term,
        tower=build("towers", model.tower),
        head=ClickHead(name="click"),
        objectives=objectives,
        seed=seed,
    )
