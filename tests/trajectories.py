"""Golden trajectories: 20 training steps of every composition among cfgs and rows of tables, on small fixed data.

A trajectory is the logits of some impressions with the initial weights, the losses of 20 steps, and the logits
afterwards. It changes with anything that a model's numbers depend on: parsing of records, look-up, layers, losses,
step, optimiser, initial weights. Models are small versions of the cfgs': narrow, and keeping a tenth of the events.
Parts that no cfg has are there with a composition of their own. `golden/trajectories.json` holds the numbers and what
they are of: versions of the parts, and settings. Where a default changes, a cfg becomes another composition; the old
one stays pinned as long as a row has it. `make golden` computes what is new, and refuses what changed in silence.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from experiments import flags
from experiments.settings import Configuration, deciding
from experiments.tables.rows import CHOICES, FIGURE_5, TABLES
from lcn_tf.data import records
from lcn_tf.data.pipeline import flat_rows, grouped_rows
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import CTRModel, ModelConfig, build_model, registry
from lcn_tf.models.versions import part_versions
from lcn_tf.schema import TARGET, UNCLICKED, FeatureSchema, HistorySpec, Label
from lcn_tf.training import TrainConfig, compile_model
from tests import synthetic

PATH = pathlib.Path(__file__).resolve().parent / "golden" / "trajectories.json"
ORIGIN = ("Computed by tests/trajectories.py; each entry has the versions of the parts that it was computed with. "
          "Change them with `make golden` alone, and give the reason in CHANGELOG.md.")
TOLERANCE = {"rtol": 1e-4, "atol": 1e-6}
_NEAR_ZERO = 1e-5  # of the largest logit: one near zero is a difference of numbers that are not

_STEPS, _BATCHES, _LOGITS = 20, 5, 7
_LENGTHS = {"short_target": 5, "short_source": 7, "lifelong_source": 61}
_EXTRA = {UNCLICKED: HistorySpec(TARGET, 11, "extra", context=())}  # of models that ask for it
_BOTH_LAYOUTS = ("lcn_200_50.cfg", "sim.cfg", "twin.cfg")
_NARROW = {"attention_dim": 8, "units": (13, 7), "aux_units": (11, 5), "hidden_units": (11, 5), "label_units": (5,),
           "num_negatives": 31, "num_items": 31}
# Processors that round otherwise grow apart from step to step, where a choice follows from small differences or Adam
# makes whole steps of gradients that are nothing but rounding: small steps keep them together.
_LEARNING_RATE = 1e-4
_TABLE_SCALE = 15.0  # of the initial tables: large enough for every path to matter, as after an epoch

Trajectory = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Composition:
    """The parts of a cfg in a small size.

    Attributes:
      name: of the first cfg with these parts, and the layout of its batches.
      layout: grouped or flat.
      model: names of the parts.
      configs: (kind, name) -> configuration.
      configuration: versions of its parts, and their settings in the size of the cfg.
    """

    name: str
    layout: str
    model: ModelConfig
    configs: Mapping[tuple[str, str], Any]
    configuration: Configuration

    @property
    def of(self) -> dict[str, Any]:
        """What its trajectory is of, as the golden file has it."""
        return {"layout": self.layout, "parts": dict(self.configuration.parts),
                "settings": dict(self.configuration.settings)}


@functools.cache
def compositions() -> tuple[Composition, ...]:
    """Every distinct composition of the cfgs and of rows with flags, then those of the parts that no cfg has."""
    if "dataset" not in flags.FLAGS:
        flags.define()
    paths = sorted(pathlib.Path(str(flags.CONFIGS)).glob("*.cfg"))
    found: dict[Any, Composition] = {}
    for path in paths:
        for layout in ("grouped", "flat") if path.name in _BOTH_LAYOUTS else ("grouped",):
            _add(found, path.name, layout, [f"--flagfile={path}"])
    for table in (*TABLES.values(), FIGURE_5, CHOICES["level_norm"]):
        for row in table.rows:
            if row.flags:
                path = flags.find_config(row.cfg)
                _add(found, " ".join([row.cfg, *row.flags]), "grouped", [f"--flagfile={path}", *row.flags])
    used = {part for composition in found.values() for part in composition.model.parts}
    for kind in registry.KINDS:
        for name in sorted(set(registry.components(kind)) - {name for known, name in used if known == kind}):
            flag = {"towers": "tower", "heads": "head"}.get(kind, kind)
            value = f"item:{name}" if kind == "tables" else name
            alone = [] if kind == "long_term" else ["--model.long_term=none", "--model.objectives="]
            if (kind, name) != ("tables", "dense"):  # of the core
                _add(found, f"{kind}/{name}", "grouped", [*alone, f"--model.{flag}={value}"])
    return tuple(found.values())


def _add(found: dict[Any, Composition], name: str, layout: str, arguments: Iterable[str]) -> None:
    flags.parse(["trajectories", *arguments])
    experiment = flags.read()
    model, configs = _with_known_tables(experiment.groups["model"]), experiment.components
    small = {part: dataclasses.replace(config, **_sizes(config)) for part, config in configs.items()}
    prefixes = ("model", "embeddings", *(flags.prefix_of(kind, name) for kind, name in model.parts))
    settings = {name: text for name, text in deciding(experiment.settings()).items() if name.split(".")[0] in prefixes}
    composition = Composition(f"{name} {layout}", layout, model, small, Configuration(part_versions(model), settings))
    found.setdefault(repr(composition.of), composition)


def _with_known_tables(model: ModelConfig) -> ModelConfig:
    """Kinds of tables that the small data lacks are those of its items."""
    known = synthetic.make_schema().tables
    named = ((entry, *entry.split(":")) for entry in model.tables)
    return dataclasses.replace(model, tables=tuple(dict.fromkeys(
        entry if table in (*known, "*") else f"item:{kind}" for entry, table, kind in named)))


def _sizes(config: Any) -> dict[str, Any]:
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    kept = {name: max(1, value // 10) for name, value in values.items()
            if name.endswith("top_k") and isinstance(value, int)}
    fixed = {**_NARROW, "key": None}  # None: the category, whatever a data set calls it
    return {**kept, **{name: fixed[name] for name in values if name in fixed}}


def compute(composition: Composition) -> Trajectory:
    """Runs a composition; the same on every machine up to rounding."""
    with tempfile.TemporaryDirectory() as folder:
        model = _model(composition, folder)
        batches = _batches(composition.layout, composition.model.head, _extra(composition))
        first = _logits(model, batches[0])
        for table in model.embedder.trainable_variables:
            table.assign(table * _TABLE_SCALE)
        train_step = tf.function(model.train_step, input_signature=[_common_shapes(batches)])  # traced once
        losses: dict[str, list[float]] = {}
        for step in range(_STEPS):
            model.reset_metrics()
            for name, value in train_step(batches[step % _BATCHES]).items():
                if name != "auc":
                    losses.setdefault(name, []).append(_rounded(value))
        return {**composition.of, "initial_logits": first, "losses": losses, "logits": _logits(model, batches[0])}


def _schema(head: str, extra: Iterable[str]) -> FeatureSchema:
    """Of one label, or of two for a head that needs them; with the extra histories that a model reads, and with a
    scenario for towers that know one."""
    schema = dataclasses.replace(synthetic.make_schema(lengths=_LENGTHS), scenario="slot")
    schema = dataclasses.replace(schema, histories={**schema.histories, **{name: _EXTRA[name] for name in extra}})
    return schema if head == "click" else dataclasses.replace(
        schema, labels=(*schema.labels, Label("long_stay", given="click")))


def _extra(composition: Composition) -> tuple[str, ...]:
    return registry.extra_histories(_schema("click", _EXTRA), composition.model, composition.configs)


def _model(composition: Composition, folder: str) -> CTRModel:
    schema = _schema(composition.model.head, _extra(composition))
    vectors = {"item": np.random.default_rng(1).normal(size=(schema.tables["item"], 9))}

    def build(model: ModelConfig, configs: Mapping[tuple[str, str], Any]) -> CTRModel:
        tf.keras.utils.set_random_seed(1)
        built = build_model(schema, schema.lengths, model, configs, EmbeddingConfig(embedding_dim=8), 1, vectors,
                            lambda: synthetic.catalogue(schema))
        compile_model(built, TrainConfig(learning_rate=_LEARNING_RATE))
        return built

    configs = dict(composition.configs)
    sim = ("long_term", "sim")
    if sim in configs and configs[sim].pretrained:
        earlier = build(composition.model, {**configs, sim: dataclasses.replace(configs[sim], gsu="inner",
                                                                                pretrained=None)})
        path = tf.train.Checkpoint(model=earlier).save(os.path.join(folder, "checkpoint"))
        configs[sim] = dataclasses.replace(configs[sim], pretrained=path)
    return build(composition.model, configs)


@functools.cache
def _batches(layout: str, head: str, extra: tuple[str, ...]) -> list[dict[str, tf.Tensor]]:
    schema = _schema(head, extra)
    parse = {"grouped": grouped_rows, "flat": flat_rows}[layout]
    groups = [synthetic.make_groups(schema, 7, seed=seed, offsets=True) for seed in range(_BATCHES)]
    return [parse(schema, tf.constant([records.encode(schema, group) for group in batch]), schema.lengths)
            for batch in groups]


def _common_shapes(batches: list[dict[str, tf.Tensor]]) -> dict[str, tf.TensorSpec]:
    """Of batches, with the sizes that are the same in all."""
    return {name: tf.TensorSpec([size if all(batch[name].shape[axis] == size for batch in batches) else None
                                 for axis, size in enumerate(first.shape)], first.dtype)
            for name, first in batches[0].items()}


def _logits(model: CTRModel, batch: Mapping[str, tf.Tensor]) -> list[float]:
    return [_rounded(value) for value in model.predict_step(batch)["logit"][:_LOGITS].numpy()]


def _rounded(value: Any) -> float:
    return float(f"{float(value):.7g}")


def stored() -> dict[str, Trajectory]:
    """Name of a composition -> its golden trajectory."""
    return json.loads(PATH.read_text(encoding="utf-8"))["trajectories"] if PATH.exists() else {}


def golden_of(composition: Composition, golden: Mapping[str, Trajectory]) -> Trajectory | None:
    """The golden trajectory of a composition, under whatever name; None where there is none."""
    return next((known for known in golden.values() if composition.of.items() <= known.items()), None)


def differences(golden: Trajectory, found: Trajectory) -> list[str]:
    """What two trajectories do not have in common, in words."""
    lines = [f"{name} were {golden[name]}, are {found[name]}" for name in ("initial_logits", "logits")
             if not np.allclose(golden[name], found[name], rtol=TOLERANCE["rtol"],
                                atol=_NEAR_ZERO * np.abs(golden[name]).max())]
    if golden["losses"].keys() != found["losses"].keys():
        lines.append(f"the losses were {sorted(golden['losses'])}, are {sorted(found['losses'])}")
    for name in golden["losses"].keys() & found["losses"].keys():
        same = np.isclose(golden["losses"][name], found["losses"][name], **TOLERANCE)
        if not same.all():
            step = int(np.argmin(same))
            lines.append(f"{name} of step {step + 1} was {golden['losses'][name][step]}, is "
                         f"{found['losses'][name][step]}")
    return lines


def suspects(changed: Iterable[str], unchanged: Iterable[str]) -> list[str]:
    """Parts that all changed compositions have and, if there are such, no unchanged one has."""
    parts = {composition.name: set(composition.configuration.parts) for composition in compositions()}
    common = set.intersection(*(parts[name] for name in changed))
    return sorted(common - set().union(*(parts[name] for name in unchanged))) or sorted(common)


def make_golden() -> str:
    """Computes every trajectory, adds new ones, refuses one that changed; returns what it did.

    Raises:
      ValueError: trajectories changed although neither versions of their parts nor settings did; the message names the
        parts.
    """
    golden, found = stored(), {composition.name: compute(composition) for composition in compositions()}
    kept = {composition.name: known for composition in compositions() if (known := golden_of(composition, golden))}
    changed = [name for name in kept if differences(kept[name], found[name])]
    if changed:
        parts = suspects(changed, kept.keys() - set(changed))
        raise ValueError(f"the trajectories of {', '.join(changed)} changed, but the VERSION of none of their parts: "
                         f"raise that of {' or '.join(parts)}, and say why in CHANGELOG.md")
    merged = {**found, **kept}
    entries = ",\n".join(f"  {json.dumps(name)}: {json.dumps(merged[name])}" for name in found)
    PATH.write_text(f'{{"origin": {json.dumps(ORIGIN)},\n "trajectories": {{\n{entries}\n}}}}\n', encoding="utf-8")
    return f"{len(found)} computed, {len(found) - len(kept)} new"
