"""The multilayer perceptron between a candidate's features and its head (LCN paper, section 5.1).

`LabelTower` is what towers with such a network for each label have in common. Shape letters: B requests, C candidates,
W width of all features and interests of a candidate, U last hidden width.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, get_args

import tensorflow as tf

from lcn_tf.contracts import TowerSpec
from lcn_tf.layers import StatelessDropout

VERSION = 1

InputNorm = Literal["none", "layer", "batch"]
Activation = Literal["relu", "gelu", "swish", "tanh"]


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the tower; the defaults are the paper's for public data."""

    units: tuple[int, ...] = dataclasses.field(
        default=(256, 128), metadata={"help": "widths of the hidden layers (512,256 for industrial data)"})
    input_norm: InputNorm = dataclasses.field(
        default="none", metadata={"help": "normalisation of the tower's input; padded candidates have no part in it"})
    activation: Activation = dataclasses.field(default="relu", metadata={"help": "activation of the hidden layers"})
    dropout: float = dataclasses.field(
        default=0.0, metadata={"help": "rate of dropout after every hidden layer, in [0, 1)"})
    input_dropout: float = dataclasses.field(
        default=0.0, metadata={"help": "rate of dropout on the tower's input, after its normalisation, in [0, 1)"})
    dropout_seed: int = dataclasses.field(default=0, metadata={"help": "seed of the dropout masks"})

    def __post_init__(self):
        self.check_widths("units")
        for name in ("dropout", "input_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{self._prefix}.{name} must be in [0, 1), got {getattr(self, name)}")

    def check_widths(self, name: str) -> None:
        """Refuses an option that is not one or more widths.

        Raises:
          ValueError: naming its flag.
        """
        if not (widths := getattr(self, name)) or any(width < 1 for width in widths):
            raise ValueError(f"{self._prefix}.{name} must be one or more widths of at least 1, got {widths}")

    @property
    def _prefix(self) -> str:
        """Of its flags: the name of the module, but `tower` here."""
        module = type(self).__module__
        return "tower" if module == __name__ else module.rpartition(".")[2]


@tf.keras.utils.register_keras_serializable("lcn_tf")
class MLPTower(tf.keras.layers.Layer):
    """Hidden layers over the concatenated features and interests of each candidate.

    The paper reports the widths only; see docs/readings.md, tower's layers.

    Batch normalisation takes its statistics from the real candidates of the global batch: padded ones are left out by
    `mask`, and with several replicas (Keras 2) the statistics are those of all replicas together. Normalisation is
    computed in float32 under mixed precision.

    Args:
      units: width of each hidden layer.
      input_norm: "none", "layer" (each candidate by itself) or "batch".
      activation: "relu", "gelu", "swish" or "tanh".
      dropout: rate of dropout after every hidden layer, in training only.
      input_dropout: rate of dropout on the normalised input, in training only.
      dropout_seed: seed of the dropout masks, see `StatelessDropout`.

    Call arguments:
      inputs: `[B, C, W]` float.
      mask: `[B, C]` bool, True for real candidates; None if all are.
      training: whether batch statistics are used and collected, and dropout is active.

    Returns:
      `[B, C, units[-1]]`; rows of padded candidates hold finite values without meaning.

    Raises:
      ValueError: no hidden layer, a width below 1, an unknown normalisation or activation, a rate outside [0, 1).
    """

    def __init__(self, units: Sequence[int] = (256, 128), input_norm: str = "none", activation: str = "relu",
                 dropout: float = 0.0, input_dropout: float = 0.0, dropout_seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        if not units or any(width < 1 for width in units):
            raise ValueError(f"units must be one or more widths of at least 1, got {tuple(units)}")
        if activation not in get_args(Activation):
            raise ValueError(f"activation must be one of {get_args(Activation)}, got {activation!r}")
        self.supports_masking = True
        self.units = tuple(units)
        self.input_norm = input_norm
        self.activation = activation
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.dropout_seed = dropout_seed
        self._norm = normalization(input_norm)
        self._hidden = [tf.keras.layers.Dense(width, activation, name=f"hidden_{index}", dtype=self.dtype_policy)
                        for index, width in enumerate(self.units)]
        self._input_dropout = dropout_layer(input_dropout, dropout_seed, 0, self.dtype_policy)
        self._dropouts = [dropout_layer(dropout, dropout_seed, place, self.dtype_policy)
                          for place in range(1, len(self.units) + 1)]

    def build(self, input_shape):
        """Builds every sublayer for inputs of width `input_shape[-1]`."""
        shape = (None, None, input_shape[-1])
        for layer in [*([self._norm] if self._norm is not None else []), *self._hidden]:
            with tf.name_scope(layer.name):
                layer.build(shape)
            shape = layer.compute_output_shape(shape)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, mask: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Inputs `[B, C, W]` -> hidden `[B, C, U]`."""
        hidden = drop(self._input_dropout, normalize(self._norm, inputs, mask, training), training)  # [B, C, W]
        for layer, dropout in zip(self._hidden, self._dropouts, strict=True):
            hidden = drop(dropout, layer(hidden), training)  # [B, C, units[i]]
        return hidden

    @property
    def last_shared(self) -> list[tf.Variable]:
        """The kernel of the last hidden layer, see `lcn_tf.contracts.SharesLastLayer`."""
        return [self._hidden[-1].kernel]

    def compute_mask(self, inputs: tf.Tensor, mask: tf.Tensor | None = None) -> None:
        """Hidden vectors carry no implicit mask: every layer here takes masks as arguments."""

    def compute_output_shape(self, input_shape):
        """`[B, C, W]` -> `[B, C, units[-1]]`."""
        return (*tuple(input_shape)[:-1], self.units[-1])

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        names = ("units", "input_norm", "activation", "dropout", "input_dropout", "dropout_seed")
        config = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **config}


@dataclasses.dataclass(frozen=True)
class LabelConfig(Config):
    """Options of a `LabelTower`; `units` are of what the labels share."""

    units: tuple[int, ...] = dataclasses.field(
        default=(256,), metadata={"help": "widths of the hidden layers that the labels share"})
    label_units: tuple[int, ...] = dataclasses.field(
        default=(128,), metadata={"help": "widths of the hidden layers that each label has for itself"})

    def __post_init__(self):
        super().__post_init__()
        self.check_widths("label_units")


class LabelTower(tf.keras.layers.Layer, abc.ABC):
    """Base of towers with hidden layers for each label above something that the labels share.

    A subclass creates what is shared, and says in `shared` what the hidden layers of each label read.

    Args:
      labels: their names.
      units: widths of the hidden layers of what is shared.
      label_units: widths of the hidden layers of each label.
      input_norm: as of `MLPTower`.
      activation: as of `MLPTower`, of all hidden layers.
      dropout: as of `MLPTower`, after every hidden layer.
      input_dropout: as of `MLPTower`.
      dropout_seed: as of `MLPTower`.

    Call arguments: as of `MLPTower`.

    Returns:
      Label -> `[B, C, label_units[-1]]`; rows of padded candidates hold finite values without meaning.

    Raises:
      ValueError: what `MLPTower` refuses.
    """

    def __init__(self, labels: Sequence[str], units: Sequence[int] = (256,), label_units: Sequence[int] = (128,),
                 input_norm: str = "none", activation: str = "relu", dropout: float = 0.0, input_dropout: float = 0.0,
                 dropout_seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.labels = tuple(labels)
        self.units = tuple(units)
        self.label_units = tuple(label_units)
        self.input_norm = input_norm
        self.activation = activation
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.dropout_seed = dropout_seed
        self._norm = normalization(input_norm)
        self._input_dropout = dropout_layer(input_dropout, dropout_seed, 0, self.dtype_policy)
        self._networks = {label: self.network(label_units, place, f"{label}_network")
                          for place, label in enumerate(self.labels)}

    def network(self, units: Sequence[int], place: int, name: str) -> MLPTower:
        """Hidden layers with the tower's options, and dropout masks of their own."""
        return MLPTower(units, "none", self.activation, self.dropout, dropout_seed=self.seed_of(place), name=name,
                        dtype=self.dtype_policy)

    def seed_of(self, place: int) -> int:
        """Seed of the dropout masks of the network at a place; the labels have the first ones."""
        return self.dropout_seed + (place + 1) * 2**40

    @abc.abstractmethod
    def shared(self, inputs: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """Inputs `[B, C, W]` -> label -> what its hidden layers read, `[B, C, width]`."""

    def call(self, inputs: tf.Tensor, mask: tf.Tensor | None = None, training: bool = False) -> dict[str, tf.Tensor]:
        """Inputs `[B, C, W]` -> label -> hidden `[B, C, label_units[-1]]`."""
        inputs = tf.cast(normalize(self._norm, inputs, mask, training), self.compute_dtype)
        shared = self.shared(drop(self._input_dropout, inputs, training), training)
        return {label: network(shared[label], training=training) for label, network in self._networks.items()}

    def compute_mask(self, inputs: tf.Tensor, mask: tf.Tensor | None = None) -> None:
        """Hidden vectors carry no implicit mask: every layer here takes masks as arguments."""

    def compute_output_shape(self, input_shape):
        """`[B, C, W]` -> label -> `[B, C, label_units[-1]]`."""
        return {label: (*tuple(input_shape)[:-1], self.label_units[-1]) for label in self.labels}

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        names = ("labels", "units", "label_units", "input_norm", "activation", "dropout", "input_dropout",
                 "dropout_seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def normalization(kind: str) -> Any:
    """The layer that normalises a tower's input `[B, C, W]`, or None for "none".

    Raises:
      ValueError: an unknown kind.
    """
    if kind == "none":
        return None
    if kind == "layer":
        return tf.keras.layers.LayerNormalization(epsilon=1e-5, dtype="float32", name="input_norm")
    if kind == "batch":  # `synchronized` also keeps Keras 2 from its fused kernel, which ignores masks
        return tf.keras.layers.BatchNormalization(synchronized=True, dtype="float32", name="input_norm")
    raise ValueError(f"input_norm must be one of {get_args(InputNorm)}, got {kind!r}")


def normalize(layer: Any, inputs: tf.Tensor, mask: tf.Tensor | None, training: bool) -> tf.Tensor:
    """Applies what `normalization` returned to inputs `[B, C, W]` with candidates' mask `[B, C]`."""
    if layer is None:
        return inputs
    if isinstance(layer, tf.keras.layers.LayerNormalization):
        return layer(inputs)
    # A replica without requests gets a padded one: without any, Keras would leave its moving averages as they were, and
    # those of all replicas are averaged.
    mask = tf.ones(tf.shape(inputs)[:2], tf.bool) if mask is None else mask
    rows = tf.shape(inputs)[0]
    missing = tf.maximum(1 - rows, 0)
    padded = tf.ensure_shape(tf.pad(inputs, [[0, missing], [0, 0], [0, 0]]), [None, *inputs.shape[1:]])
    return layer(padded, mask=tf.pad(mask, [[0, missing], [0, 0]]), training=training)[:rows]


def dropout_layer(rate: float, seed: int, place: int, dtype: Any) -> StatelessDropout | None:
    """The dropout at one of a tower's places, with masks of its own; None for a rate of 0.

    Raises:
      ValueError: a rate outside [0, 1).
    """
    if not rate:
        return None
    # Other layers' seeds are small: no two layers of a model draw the same masks.
    return StatelessDropout(rate, seed + (place + 1) * 2**32, name=f"dropout_{place}", dtype=dtype)


def drop(layer: StatelessDropout | None, inputs: tf.Tensor, training: bool) -> tf.Tensor:
    """Applies what `dropout_layer` returned."""
    return inputs if layer is None else layer(inputs, training=training)


def build(config: Config, spec: TowerSpec) -> MLPTower:
    """The layer of a configuration."""
    return MLPTower(**dataclasses.asdict(config), name="tower")
