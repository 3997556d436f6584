"""Hidden layers with adapters whose weights a hyper-network makes for each impression (HAMUR, Li et al., CIKM 2023).

Not part of LCN; a tower that knows the scenario, for any long-term model. Equations are those of the authors' code.
Shape letters: B requests, C candidates, W input width, n width of a hidden layer, k rank, b bottleneck.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, get_args

import tensorflow as tf

from lcn_tf.contracts import TowerInputs, TowerSpec
from lcn_tf.layers.domain_batch_norm import DomainBatchNorm
from lcn_tf.towers import mlp

VERSION = 1

Backbones = Literal["per_scenario", "shared"]
Initializer = Literal["glorot_uniform", "ones"]


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of hidden layers, adapters and hyper-network."""

    units: tuple[int, ...] = dataclasses.field(default=(256, 128), metadata={"help": "widths of the hidden layers"})
    activation: mlp.Activation = dataclasses.field(
        default="relu", metadata={"help": "activation of the hidden layers"})
    backbones: Backbones = dataclasses.field(
        default="per_scenario", metadata={"help": "hidden layers: per_scenario, or shared by all scenarios"})
    adapters: int = dataclasses.field(
        default=1, metadata={"help": "how many of the last hidden layers have an adapter behind them"})
    rank: int = dataclasses.field(
        default=35, metadata={"help": "k of the k x k matrix that the hyper-network makes for an impression"})
    bottleneck: int = dataclasses.field(default=32, metadata={"help": "hidden width of an adapter"})
    hyper_units: tuple[int, ...] = dataclasses.field(
        default=(64,), metadata={"help": "widths of the hyper-network's hidden layers"})
    initializer: Initializer = dataclasses.field(
        default="glorot_uniform", metadata={"help": "of the matrices on both sides of the hyper-network's"})

    def __post_init__(self):
        if not self.units or any(width < 1 for width in self.units):
            raise ValueError(f"hamur.units must be one or more widths of at least 1, got {self.units}")
        if any(width < 1 for width in self.hyper_units):
            raise ValueError(f"hamur.hyper_units must be widths of at least 1, got {self.hyper_units}")
        if not 1 <= self.adapters <= len(self.units):
            raise ValueError(f"hamur.adapters must be 1 to {len(self.units)}, the number of hidden layers, got "
                             f"{self.adapters}")
        for name in ("rank", "bottleneck"):
            if getattr(self, name) < 1:
                raise ValueError(f"hamur.{name} must be at least 1, got {getattr(self, name)}")
        for name, known in (("activation", mlp.Activation), ("backbones", Backbones), ("initializer", Initializer)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"hamur.{name} must be one of {get_args(known)}, got {getattr(self, name)!r}")


class Adapter(tf.keras.layers.Layer):
    """`h + DomainNorm(sigmoid(h W_down + b1) W_up)`, `W_down = U1 S V1`, `W_up = U2 S V2` with an impression's S.

    `h W_down` is `((h U1) S) V1`: no matrix `[n, b]` of an impression is built. There is no `b2`, which the
    normalisation would take away again, like all biases before one here.

    Args:
      bottleneck: b.
      rank: k.
      domains: of the normalisation.
      initializer: of U1, V1, U2, V2.

    Call arguments:
      hidden: `[B, C, n]`.
      matrices: S, `[B, C, k, k]`.
      domain: int32 `[B, C]`.
      mask: bool `[B, C]`.
      training: as of `DomainBatchNorm`.

    Returns:
      `[B, C, n]`.
    """

    def __init__(self, bottleneck: int, rank: int, domains: int, initializer: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.bottleneck = bottleneck
        self.rank = rank
        self.initializer = initializer
        self.norm = DomainBatchNorm(domains, name="domain_norm")

    def build(self, input_shape: Any) -> None:
        """The matrices and the bias that all impressions share, and the normalisation."""
        n, b, k = input_shape[-1], self.bottleneck, self.rank
        self.u1, self.v1, self.u2, self.v2 = (
            self.add_weight(name=name, shape=shape, initializer=self.initializer)
            for name, shape in (("u1", (n, k)), ("v1", (k, b)), ("u2", (b, k)), ("v2", (k, n))))
        self.b1 = self.add_weight(name="b1", shape=(b,), initializer="zeros")
        with tf.name_scope(self.norm.name):
            self.norm.build(input_shape)
        super().build(input_shape)

    def call(self, hidden: tf.Tensor, matrices: tf.Tensor, domain: tf.Tensor, mask: tf.Tensor | None,
             training: bool = False) -> tf.Tensor:
        """Hidden `[B, C, n]` -> `[B, C, n]`."""
        down = tf.sigmoid(_product(hidden, self.u1, matrices, self.v1) + self.b1)  # [B, C, b]
        up = _product(down, self.u2, matrices, self.v2)  # [B, C, n]
        return hidden + tf.cast(self.norm(up, domain, mask, training=training), hidden.dtype)


def _product(rows: tf.Tensor, left: tf.Tensor, matrices: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """`((x U) S) V`: rows `[B, C, i]`, left `[i, k]`, matrices `[B, C, k, k]`, right `[k, j]` -> `[B, C, j]`."""
    narrow = tf.matmul(rows, left)[:, :, tf.newaxis]  # [B, C, 1, k]
    return tf.matmul(tf.matmul(narrow, matrices)[:, :, 0], right)


class DomainDense(tf.keras.layers.Layer):
    """A dense layer for each domain; every row is multiplied once, by that of its domain.

    Args:
      width: n.
      activation: of the layers.
      domains: how many; 1 reads no domains.

    Call arguments:
      inputs: `[B, C, m]`.
      domain: int32 `[B, C]`.

    Returns:
      `[B, C, n]`.
    """

    def __init__(self, width: int, activation: str, domains: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.width = width
        self.layers = [tf.keras.layers.Dense(width, activation, name=f"domain_{number}", dtype=self.dtype_policy)
                       for number in range(domains)]

    def build(self, input_shape: Any) -> None:
        """Builds the layer of every domain."""
        for layer in self.layers:
            with tf.name_scope(layer.name):
                layer.build((None, input_shape[-1]))
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, domain: tf.Tensor) -> tf.Tensor:
        """Inputs `[B, C, m]` -> hidden `[B, C, n]`."""
        if len(self.layers) == 1:
            return self.layers[0](inputs)
        rows, domain = tf.reshape(inputs, [-1, inputs.shape[-1]]), tf.reshape(domain, [-1])  # [B C, m]
        parts = tf.dynamic_partition(rows, domain, len(self.layers))
        places = tf.dynamic_partition(tf.range(tf.shape(rows)[0]), domain, len(self.layers))
        hidden = tf.dynamic_stitch(places, [layer(part) for layer, part in zip(self.layers, parts, strict=True)])
        return tf.reshape(hidden, tf.concat([tf.shape(inputs)[:-1], [self.width]], 0))


@tf.keras.utils.register_keras_serializable("lcn_tf")
class HamurTower(tf.keras.layers.Layer):
    """Hidden layers, of each scenario or of all, with adapters behind the last ones; the hyper-network is shared.

    `S = reshape(HyperNet(x), [k, k])` with all of an impression's features and interests x; each layer of HyperNet, the
    last one too, is Linear, batch normalisation, ReLU. All adapters read the same S. Ids 0 (padding) and 1 (out of
    vocabulary) are one domain, each other id of the scenario is one of its own.

    Normalisation behind an adapter has the statistics of the scenario: of the batch in training, moving averages
    otherwise (the authors' code: of the batch, of all scenarios together, always). In inference a scenario without a
    row in training is taken for the one with the most rows, whose layers and averages it reads: its own are as they
    were initialised.

    Args:
      scenarios: ids of the scenario, padding and out of vocabulary among them.
      units: widths of the hidden layers.
      activation: of the hidden layers.
      backbones: "per_scenario" or "shared" hidden layers.
      adapters: how many of the last hidden layers have one behind them.
      rank: k.
      bottleneck: b.
      hyper_units: widths of the hyper-network's hidden layers.
      initializer: of the adapters' U and V: "glorot_uniform", or "ones" (as in the authors' code, where all of their
        columns begin alike).

    Call arguments:
      inputs: `TowerInputs` with a scenario.
      mask: `[B, C]` bool, True for real candidates; None if all are.
      training: whether batch statistics are used and collected.

    Returns:
      `[B, C, units[-1]]`; rows of padded candidates hold finite values without meaning.

    Raises:
      ValueError: fewer than two ids, or what `Config` refuses.
    """

    reads_fields = True

    def __init__(self, scenarios: int, units: Sequence[int] = (256, 128), activation: str = "relu",
                 backbones: str = "per_scenario", adapters: int = 1, rank: int = 35, bottleneck: int = 32,
                 hyper_units: Sequence[int] = (64,), initializer: str = "glorot_uniform", **kwargs: Any):
        super().__init__(**kwargs)
        if scenarios < 2:
            raise ValueError(f"scenarios must be at least 2, padding and out of vocabulary, got {scenarios}")
        self.scenarios = scenarios
        self._options = dataclasses.asdict(Config(
            tuple(units), activation, backbones, adapters, rank, bottleneck, tuple(hyper_units),  # type: ignore[arg-type]
            initializer))  # type: ignore[arg-type]
        policy, domains = self.dtype_policy, scenarios - 1
        self.rank = rank
        self._hidden = [DomainDense(width, activation, domains if backbones == "per_scenario" else 1,
                                    name=f"hidden_{place}", dtype=policy) for place, width in enumerate(units)]
        self._first = len(self._hidden) - adapters  # hidden layer with an adapter
        self._adapters = [Adapter(bottleneck, rank, domains, initializer, name=f"adapter_{place}", dtype=policy)
                          for place in range(adapters)]
        widths = (*hyper_units, rank * rank)
        self._hyper = [tf.keras.layers.Dense(width, use_bias=False, name=f"hyper_{place}", dtype=policy)
                       for place, width in enumerate(widths)]
        self._hyper_norms = [DomainBatchNorm(name=f"hyper_norm_{place}") for place in range(len(widths))]

    def build(self, input_shape: TowerInputs) -> None:
        """Builds every sublayer for the widths of the shapes in `input_shape`."""
        features = sum(shape[-1] for shape in input_shape.fields)
        width = features
        for layer, norm in zip(self._hyper, self._hyper_norms, strict=True):
            _build(layer, width)
            width = layer.units
            _build(norm, width)
        width = features
        for place, layer in enumerate(self._hidden):
            _build(layer, width)
            width = layer.width
            if place >= self._first:
                _build(self._adapters[place - self._first], width)
        super().build(input_shape)

    def call(self, inputs: TowerInputs, mask: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Features and interests of candidates -> hidden `[B, C, units[-1]]`."""
        features = inputs.concatenated  # [B, C, W]
        matrices = self._matrices(features, mask, training)
        domain = tf.cast(tf.maximum(inputs.scenario, 1) - 1, tf.int32)  # [B, C]
        if not training:
            domain = self._adapters[0].norm.trained(domain)
        hidden = features
        for place, layer in enumerate(self._hidden):
            hidden = layer(hidden, domain)  # [B, C, units[place]]
            if place >= self._first:
                hidden = self._adapters[place - self._first](hidden, matrices, domain, mask, training=training)
        return hidden

    def _matrices(self, features: tf.Tensor, mask: tf.Tensor | None, training: bool) -> tf.Tensor:
        """What the hyper-network makes of each candidate, `[B, C, k, k]`."""
        made = features
        for layer, norm in zip(self._hyper, self._hyper_norms, strict=True):
            made = tf.nn.relu(tf.cast(norm(layer(made), mask=mask, training=training), self.compute_dtype))
        return tf.reshape(made, tf.concat([tf.shape(made)[:2], [self.rank, self.rank]], 0))

    def compute_output_shape(self, input_shape: TowerInputs) -> tuple[int | None, ...]:
        """`[B, C, units[-1]]`."""
        return (*tuple(input_shape.candidate)[:-1], self._hidden[-1].width)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "scenarios": self.scenarios, **self._options}


def _build(layer: tf.keras.layers.Layer, width: int) -> None:
    with tf.name_scope(layer.name):
        layer.build((None, None, width))


def build(config: Config, spec: TowerSpec) -> HamurTower:
    """The layer of a configuration.

    Raises:
      ValueError: the schema has no scenario.
    """
    return HamurTower(spec.scenarios_for("hamur"), **dataclasses.asdict(config), name="tower")
