"""Finds components by the name of their file and composes a model from their configurations."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from lcn_tf.contracts import Catalogue, ReadsCatalogue, ReadsExtra, ReadsOthers, SearchesTables, TableSpec, TowerSpec
from lcn_tf.embeddings import EmbeddingConfig, FeatureEmbedder
from lcn_tf.models.ctr_model import CTRModel
from lcn_tf.models.offers import check_offers
from lcn_tf.models.task_balance import BalanceConfig
from lcn_tf.schema import FeatureSchema

_ROOMS = {"tables": "embeddings.tables"}  # of the kinds whose folder is not called like them
EVERY_OTHER = "*"  # in place of a table's name
KINDS = ("long_term", "short_term", "objectives", "towers", "heads", "tables")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which components a model is composed of; each name is a file of the folder of its kind."""

    long_term: str = dataclasses.field(default="lap", metadata={"help": "model of the lifelong history"})
    short_term: str = dataclasses.field(default="din", metadata={"help": "encoder of the two short histories"})
    objectives: tuple[str, ...] = dataclasses.field(
        default=("crp",), metadata={"help": "auxiliary training losses, comma separated; empty for none"})
    tower: str = dataclasses.field(default="mlp", metadata={"help": "network over all interests and features"})
    head: str = dataclasses.field(default="click", metadata={"help": "from hidden vectors to logits: which labels"})
    tables: tuple[str, ...] = dataclasses.field(
        default=(), metadata={"help": "kinds of tables, like item:pretrained, or *:alpt for all not named; else dense"})

    def __post_init__(self):
        for entry in self.tables:
            if not all(entry.partition(":")):
                raise ValueError("model.tables must give tables their kinds, like item:pretrained, got "
                                 f"{','.join(self.tables)!r}")
        for kind, flag, names in (
                ("long_term", "long_term", (self.long_term,)), ("short_term", "short_term", (self.short_term,)),
                ("objectives", "objectives", self.objectives), ("towers", "tower", (self.tower,)),
                ("heads", "head", (self.head,)), ("tables", "tables", tuple(self.table_kinds.values()))):
            for name in names:
                if name not in components(kind):
                    raise ValueError(f"model.{flag}={name!r} is not known; known: {', '.join(components(kind))}")
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"model.objectives names one twice: {','.join(self.objectives)}")
        if len({entry.partition(":")[0] for entry in self.tables}) < len(self.tables):
            raise ValueError(f"model.tables names a table twice: {','.join(self.tables)}")

    @property
    def table_kinds(self) -> dict[str, str]:
        """Table name, or `EVERY_OTHER`, -> kind, as `tables` has them."""
        return {table: kind for table, _, kind in (entry.partition(":") for entry in self.tables)}

    def kinds_of(self, tables: Collection[str]) -> dict[str, str]:
        """Table name -> its kind, of those that are not dense.

        Args:
          tables: names of all.

        Raises:
          ValueError: a kind is given to a table that is not among them.
        """
        kinds = self.table_kinds
        if unknown := sorted(set(kinds) - {EVERY_OTHER, *tables}):
            raise ValueError(f"model.tables names {', '.join(unknown)}; known: {', '.join(sorted(tables))}, and "
                             f"{EVERY_OTHER} for all that are not named")
        found = {table: kinds.get(table, kinds.get(EVERY_OTHER, "dense")) for table in tables}
        return {table: kind for table, kind in found.items() if kind != "dense"}

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """(kind, name) of every component in use."""
        kinds = [kind for kind in dict.fromkeys(self.table_kinds.values()) if kind != "dense"]  # that is of the core
        return (("long_term", self.long_term), ("short_term", self.short_term), ("towers", self.tower),
                ("heads", self.head), *(("objectives", name) for name in self.objectives),
                *(("tables", name) for name in kinds))


def components(kind: str) -> tuple[str, ...]:
    """Names of the components of a kind: the modules of its folder, `lcn_tf/<kind>` or `lcn_tf/embeddings/tables`."""
    package = importlib.import_module(f"lcn_tf.{_ROOMS.get(kind, kind)}")
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__)))


def component(kind: str, name: str) -> Any:
    """The module of a component, with its `Config` and `build`."""
    return importlib.import_module(f"lcn_tf.{_ROOMS.get(kind, kind)}.{name}")


def _scenarios(schema: FeatureSchema) -> int | None:
    return schema.tables[schema.table_of_feature[schema.scenario]] if schema.scenario else None


def reads_catalogue(model: ModelConfig, configs: Mapping[tuple[str, str], Any]) -> bool:
    """Whether an objective of the model draws from all items of the training days."""
    chosen = ((name, configs["objectives", name]) for name in model.objectives)
    return any(config.weight and isinstance(component("objectives", name).build(config), ReadsCatalogue)
               for name, config in chosen)


def extra_histories(schema: FeatureSchema, model: ModelConfig, configs: Mapping[tuple[str, str], Any]
                    ) -> tuple[str, ...]:
    """Names of the extra histories that parts of a model read, for `FeatureSchema.reading`.

    Args:
      schema: of the records.
      model: names of the components.
      configs: (kind, name) -> the component's `Config`; defaults where absent.

    Raises:
      ValueError: the schema lacks one.
    """
    chosen = (configs.get(part) or component(*part).Config() for part in model.parts)
    read = {name for config in chosen if isinstance(config, ReadsExtra) for name in config.extra_histories(schema)}
    return tuple(name for name in schema.histories if name in read)


def build_model(
    schema: FeatureSchema,
    lengths: Mapping[str, int],
    model: ModelConfig,
    configs: Mapping[tuple[str, str], Any] | None = None,
    embeddings: EmbeddingConfig | None = None,
    seed: int = 0,
    vectors: Mapping[str, np.ndarray] | None = None,
    catalogue: Callable[[], Catalogue] | None = None,
    balance: BalanceConfig | None = None,
) -> CTRModel:
    """Composes a model.

    Args:
      schema: features and tables.
      lengths: history name -> number of events a candidate sees.
      model: names of the components.
      configs: (kind, name) -> the component's `Config`; defaults where absent.
      embeddings: width and initialisation of the tables.
      seed: of the draws of auxiliary objectives and tables.
      vectors: table name -> frozen content vectors `[rows, any width]` of its ids, for the kinds that read them
        (`RecordFiles.vectors`).
      catalogue: returns the items of the training days (`RecordFiles.catalogue`); called where an objective draws
        from them.
      balance: how the losses of several labels are balanced; None for the head's fixed weights.

    Raises:
      ValueError: an unknown component, values that a component refuses, what a component needs of the schema and does
        not find, two that train the same search tables, one that trains search tables which nothing reads, or one that
        draws from a catalogue without there being any.

    Example:
      >>> from lcn_tf import EmbeddingConfig, Feature, FeatureSchema, ModelConfig, build_model
      >>> from lcn_tf.models import component, example_batch
      >>> from lcn_tf.schema import usual_histories
      >>> schema = FeatureSchema("ads", {"brand": 100}, user=(), item=(Feature("brand", "brand"),), candidate=(),
      ...                        request=(), context=(), histories=usual_histories(short=24, lifelong=500))
      >>> lap = component("long_term", "lap").Config(msa_top_k=100)
      >>> model = build_model(schema, schema.lengths, ModelConfig(short_term="mean"), {("long_term", "lap"): lap},
      ...                     EmbeddingConfig(embedding_dim=8))
      >>> model(example_batch(schema, schema.lengths)).shape  # the logit of 1 request with 1 candidate
      TensorShape([1, 1])
    """
    def build(kind: str, name: str, *facts: Any) -> Any:
        module = component(kind, name)
        return module.build((configs or {}).get((kind, name)) or module.Config(), *facts)

    objectives = {name: build("objectives", name) for name in model.objectives}
    objectives = {name: objective for name, objective in objectives.items() if objective.weight}
    for name, objective in objectives.items():
        objective.reads(schema)  # refuses a schema without what it needs
        if isinstance(objective, ReadsCatalogue):
            if catalogue is None:
                raise ValueError(f"{name} draws from all items of the training days: build_model needs a catalogue")
            objective.use_catalogue(catalogue())
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

    def table_builder(table: str, kind: str) -> Callable[[TableSpec], Any]:
        return lambda spec: build("tables", kind, spec._replace(vectors=(vectors or {}).get(table), seed=seed))

    builders = {table: table_builder(table, kind) for table, kind in model.kinds_of(schema.tables).items()}
    embedder = FeatureEmbedder(schema, lengths, embeddings or EmbeddingConfig(), own_tables or bool(separate),
                               builders, name="embedder")
    if search_tables == "pretrained":
        embedder.freeze_search_tables(long_term.pretrained)
    short_term = {name: build("short_term", model.short_term) for name in schema.short}
    for name, encoder in short_term.items():
        if isinstance(encoder, ReadsOthers):
            encoder.other_histories(schema, name)  # as `reads` of an objective
    return CTRModel(
        embedder=embedder,
        short_term=short_term,
        long_term=long_term,
        tower=build("towers", model.tower, TowerSpec(schema.labels, _scenarios(schema))),
        head=build("heads", model.head, schema.labels),
        objectives=objectives,
        seed=seed,
        balance=balance or BalanceConfig(),
    )
