"""Hidden layers whose weights follow from the scenario and from the fields that matter in it (HierRec, CIKM 2024).

Gao et al.; not part of LCN, a tower that knows the scenario, for any long-term model. Equations are those of the
authors' code. Shape letters: B requests, C candidates, F fields, E field width, H heads, P = E / H, h hidden width, r
rank, G numbers of a generated pair of layers, `2 h r + r + h`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from lcn_tf.contracts import TowerInputs, TowerSpec
from lcn_tf.layers.domain_batch_norm import DomainBatchNorm
from lcn_tf.towers import mlp

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the generated and the plain layers."""

    field_dim: int = dataclasses.field(
        default=16, metadata={"help": "width of the scenario's vector and to which every field is projected"})
    num_heads: int = dataclasses.field(
        default=4, metadata={"help": "heads of implicit weights, each with a choice of fields; divides field_dim"})
    hidden_dim: int = dataclasses.field(
        default=64, metadata={"help": "width of the hidden vector that generated layers transform"})
    rank: int = dataclasses.field(default=16, metadata={"help": "width between the two layers of a generated pair"})
    units: tuple[int, ...] = dataclasses.field(
        default=(64, 64), metadata={"help": "widths of the hidden layers over all heads"})
    batch_norm: bool = dataclasses.field(
        default=True, metadata={"help": "whether batch normalisation follows every layer that is not generated"})
    dropout: float = dataclasses.field(
        default=0.0, metadata={"help": "rate of dropout in every layer that is not generated, in [0, 1)"})
    dropout_seed: int = dataclasses.field(default=0, metadata={"help": "seed of the dropout masks"})

    def __post_init__(self):
        for name in ("field_dim", "num_heads", "hidden_dim", "rank"):
            if getattr(self, name) < 1:
                raise ValueError(f"hierrec.{name} must be at least 1, got {getattr(self, name)}")
        if self.field_dim % self.num_heads:
            raise ValueError(f"hierrec.field_dim must be a multiple of hierrec.num_heads={self.num_heads}, got "
                             f"{self.field_dim}")
        if not self.units or any(width < 1 for width in self.units):
            raise ValueError(f"hierrec.units must be one or more widths of at least 1, got {self.units}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"hierrec.dropout must be in [0, 1), got {self.dropout}")


class Hidden(tf.keras.layers.Layer):
    """Linear, batch normalisation of real candidates, dropout, ReLU: `[B, C, m]` and mask -> `[B, C, width]`.

    The linear map has a bias where no normalisation would take it away again.
    """

    def __init__(self, width: int, batch_norm: bool, dropout: float, dropout_seed: int, place: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.width = width
        self.linear = tf.keras.layers.Dense(width, use_bias=not batch_norm, name="linear", dtype=self.dtype_policy)
        self.norm = DomainBatchNorm(name="norm") if batch_norm else None
        self.dropout = mlp.dropout_layer(dropout, dropout_seed, place, self.dtype_policy)

    def build(self, input_shape: Any) -> None:
        """Builds the linear layer and the normalisation."""
        _build(self.linear, input_shape[-1])
        if self.norm is not None:
            _build(self.norm, self.width)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, mask: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Inputs `[B, C, m]` -> hidden `[B, C, width]`."""
        hidden = self.linear(inputs)
        if self.norm is not None:
            hidden = tf.cast(self.norm(hidden, mask=mask, training=training), self.compute_dtype)
        return tf.nn.relu(mlp.drop(self.dropout, hidden, training))


class GeneratedLayers(tf.keras.layers.Layer):
    """`(x W1 + b1) W2 + b2`, all four linear in a condition: a map of rank r, with no activation between the two.

    The map to W1, b1 and W2 has a bias, what all conditions share, and begins as PyTorch's linear layers do: evenly
    within 1 / sqrt(width of the condition). So weights have a size of use, whatever that of the condition is. That to
    b2 has none, which a normalisation would take away again.

    Args:
      hidden_dim: h.
      rank: r.

    Call arguments:
      condition: `[B, C, H, any width]`.
      hidden: x, `[B, C, h]`.

    Returns:
      `[B, C, H, h]`.
    """

    def __init__(self, hidden_dim: int, rank: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.rank = rank
        self.sizes = (hidden_dim * rank, rank, rank * hidden_dim, hidden_dim)  # of W1, b1, W2, b2

    def build(self, input_shape: Any) -> None:
        """The map from a condition to the numbers of both layers."""
        width, numbers = input_shape[-1], sum(self.sizes)
        limit = width**-0.5
        self.kernel, self.bias = (
            self.add_weight(name=name, shape=shape, initializer=tf.keras.initializers.RandomUniform(-limit, limit))
            for name, shape in (("kernel", (width, numbers)), ("bias", (numbers - self.hidden_dim,))))
        super().build(input_shape)

    def call(self, condition: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
        """Condition `[B, C, H, E]` and hidden `[B, C, h]` -> `[B, C, H, h]`."""
        numbers = tf.matmul(condition, self.kernel) + tf.pad(self.bias, [[0, self.hidden_dim]])  # [B, C, H, G]
        w1, b1, w2, b2 = tf.split(numbers, self.sizes, axis=-1)
        w1, w2 = (tf.reshape(flat, tf.concat([tf.shape(numbers)[:3], shape], 0))
                  for flat, shape in ((w1, [self.hidden_dim, self.rank]), (w2, [self.rank, self.hidden_dim])))
        narrow = tf.matmul(hidden[:, :, tf.newaxis, tf.newaxis], w1) + b1[..., tf.newaxis, :]  # [B, C, H, 1, r]
        return (tf.matmul(narrow, w2) + b2[..., tf.newaxis, :])[..., 0, :]


class FieldChoice(tf.keras.layers.Layer):
    """Fields as each head weighs them, after attention to each other: the condition of a head's implicit weights.

    Head j has `softmax_fields(L_j g_j) * fields` with its part `g_j` of the scenario's vector; attention, shared by the
    heads, is `softmax(q k / sqrt(E)) v` over fields, without biases. Both softmaxes are computed in float32.

    Args:
      num_heads: H.

    Call arguments:
      fields: `[B, C, F, E]`.
      scenario: g, `[B, C, E]`.

    Returns:
      `[B, C, H, F E]`.
    """

    def __init__(self, num_heads: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_heads = num_heads

    def build(self, input_shape: Any) -> None:
        """Maps of the scenario's parts to logits, and of fields to queries, keys, values."""
        fields, width = input_shape[-2:]
        part = width // self.num_heads
        limit = part**-0.5
        self.kernels = self.add_weight(name="kernels", shape=(self.num_heads, part, fields),
                                       initializer=tf.keras.initializers.RandomUniform(-limit, limit))
        self.biases = self.add_weight(name="biases", shape=(self.num_heads, fields), initializer="zeros")
        self.query, self.key, self.value = (
            self.add_weight(name=name, shape=(width, width), initializer="glorot_uniform")
            for name in ("query", "key", "value"))
        super().build(input_shape)

    def call(self, fields: tf.Tensor, scenario: tf.Tensor) -> tf.Tensor:
        """Fields `[B, C, F, E]` and scenario `[B, C, E]` -> `[B, C, H, F E]`."""
        chosen = self.weights_of(scenario)[..., tf.newaxis] * fields[:, :, tf.newaxis]  # [B, C, H, F, E]
        queries, keys, values = (tf.matmul(chosen, kernel) for kernel in (self.query, self.key, self.value))
        logits = tf.matmul(queries, keys, transpose_b=True) * fields.shape[-1]**-0.5  # [B, C, H, F, F]
        attended = tf.matmul(_softmax(logits), values)
        flat = fields.shape[-2] * fields.shape[-1]
        return tf.reshape(attended, tf.concat([tf.shape(attended)[:3], [flat]], 0))

    def weights_of(self, scenario: tf.Tensor) -> tf.Tensor:
        """Weights of the fields for each head, `[B, C, H, F]`; sums are 1."""
        parts = tf.reshape(scenario, tf.concat([tf.shape(scenario)[:2], [self.num_heads, -1]], 0))  # [B, C, H, P]
        return _softmax(tf.einsum("bchp,hpf->bchf", parts, self.kernels) + self.biases)


def _softmax(logits: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.nn.softmax(tf.cast(logits, tf.float32)), logits.dtype)


@tf.keras.utils.register_keras_serializable("lcn_tf")
class HierRecTower(tf.keras.layers.Layer):
    """Explicit, then implicit weights between hidden layers, out of the scenario and of the fields.

    Fields are all features, the candidate and its interests, each projected to E. In this order: a `Hidden` layer over
    all fields; explicit weights, a pair of `GeneratedLayers` conditioned on g, the scenario's vector; implicit weights,
    H such pairs side by side, each conditioned on the fields as `FieldChoice` weighs them by g; `Hidden` layers over
    what the H pairs return.

    g is the sum of a vector that all scenarios share and of one that belongs to the scenario and begins at 0: what
    training never had is scored by the shared vector alone. Ids 0 (padding) and 1 (out of vocabulary) are one scenario.

    Args:
      scenarios: ids of the scenario, padding and out of vocabulary among them.
      field_dim: E.
      num_heads: H.
      hidden_dim: h.
      rank: r.
      units: widths of the hidden layers over all heads.
      batch_norm: whether batch normalisation, of all scenarios together, follows every layer that is not generated.
      dropout: its rate in these layers, in training only.
      dropout_seed: seed of the dropout masks, see `StatelessDropout`.

    Call arguments:
      inputs: `TowerInputs` with a scenario.
      mask: `[B, C]` bool, True for real candidates; None if all are.
      training: whether batch statistics are used and collected, and dropout is active.

    Returns:
      `[B, C, units[-1]]`; rows of padded candidates hold finite values without meaning.

    Raises:
      ValueError: fewer than two ids, or what `Config` refuses.
    """

    reads_fields = True

    def __init__(self, scenarios: int, field_dim: int = 16, num_heads: int = 4, hidden_dim: int = 64, rank: int = 16,
                 units: Sequence[int] = (64, 64), batch_norm: bool = True, dropout: float = 0.0, dropout_seed: int = 0,
                 **kwargs: Any):
        super().__init__(**kwargs)
        if scenarios < 2:
            raise ValueError(f"scenarios must be at least 2, padding and out of vocabulary, got {scenarios}")
        self.scenarios = scenarios
        self.options = Config(field_dim, num_heads, hidden_dim, rank, tuple(units), batch_norm, dropout, dropout_seed)
        self._hidden = [Hidden(width, batch_norm, dropout, dropout_seed, place, name=f"hidden_{place}",
                               dtype=self.dtype_policy) for place, width in enumerate((hidden_dim, *units))]
        self._explicit = GeneratedLayers(hidden_dim, rank, name="explicit", dtype=self.dtype_policy)
        self._implicit = GeneratedLayers(hidden_dim, rank, name="implicit", dtype=self.dtype_policy)
        self._choice = FieldChoice(num_heads, name="field_choice", dtype=self.dtype_policy)

    def build(self, input_shape: TowerInputs) -> None:
        """Builds every sublayer for the widths of the shapes in `input_shape`."""
        options, widths = self.options, [shape[-1] for shape in input_shape.fields]
        self._projections = [tf.keras.layers.Dense(options.field_dim, name=f"field_{place}", dtype=self.dtype_policy)
                             for place in range(sum(width > 0 for width in widths))]
        for layer, width in zip(self._projections, filter(None, widths), strict=True):
            _build(layer, width)
        self.common = self.add_weight(name="scenario", shape=(options.field_dim,),
                                      initializer=tf.keras.initializers.RandomNormal(stddev=options.field_dim**-0.5))
        self.own = self.add_weight(name="of_scenario", shape=(self.scenarios - 1, options.field_dim),
                                   initializer="zeros")
        count = len(self._projections)
        flat, heads = count * options.field_dim, options.num_heads * options.hidden_dim
        for layer, width in zip(self._hidden, (flat, heads, *options.units[:-1]), strict=True):
            _build(layer, width)
        _build(self._explicit, options.field_dim)
        _build(self._implicit, flat)
        _build(self._choice, count, options.field_dim)
        super().build(input_shape)

    def call(self, inputs: TowerInputs, mask: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Features and interests of candidates -> hidden `[B, C, units[-1]]`."""
        read = [field for field in inputs.fields if field.shape[-1]]
        projected = [layer(field) for layer, field in zip(self._projections, read, strict=True)]
        domain = tf.maximum(inputs.scenario, 1) - 1  # [B, C]
        scenario = tf.gather(self.common + self.own, domain)  # [B, C, E]
        first, *others = self._hidden
        hidden = first(tf.concat(projected, -1), mask=mask, training=training)  # [B, C, h]
        hidden = self._explicit(scenario[:, :, tf.newaxis], hidden)[:, :, 0]
        heads = self._implicit(self._choice(tf.stack(projected, 2), scenario), hidden)  # [B, C, H, h]
        hidden = tf.reshape(heads, tf.concat([tf.shape(heads)[:2], [heads.shape[2] * heads.shape[3]]], 0))
        for layer in others:
            hidden = layer(hidden, mask=mask, training=training)
        return hidden

    def compute_output_shape(self, input_shape: TowerInputs) -> tuple[int | None, ...]:
        """`[B, C, units[-1]]`."""
        return (*tuple(input_shape.candidate)[:-1], self.options.units[-1])

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "scenarios": self.scenarios, **dataclasses.asdict(self.options)}


def _build(layer: tf.keras.layers.Layer, *shape: int) -> None:
    with tf.name_scope(layer.name):
        layer.build((None, None, *shape))


def build(config: Config, spec: TowerSpec) -> HierRecTower:
    """The layer of a configuration.

    Raises:
      ValueError: the schema has no scenario.
    """
    return HierRecTower(spec.scenarios_for("hierrec"), **dataclasses.asdict(config), name="tower")
