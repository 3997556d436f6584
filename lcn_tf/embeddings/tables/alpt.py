"""Adaptive low-precision training (ALPT; Li et al., AAAI 2023): codes of 8 or 16 bits and a learnt step size per row.

A row's vector is `delta * codes`; there is no table of full precision behind it. A step does three things with the rows
that its batch names, with n and p the least and the greatest code, b the impressions of the batch:

1. the optimiser's step in float: `wanted = delta codes - change`;
2. Adam's step of its step size, by a second pass over the batch at `Q = delta clip(floor(wanted / delta + 0.5), n, p)`
   and as in LSQ (ICLR 2020): `dQ/d delta` is n or p where a code is cut off, else `floor(wanted / delta + 0.5) -
   wanted / delta`; the sum of its products with the gradient of the loss by Q is divided by `sqrt(b d p)`;
3. `wanted / delta` at the new step size, rounded down or up by lot so that its mean is kept, becomes the codes.

Memory of R rows of width d in bytes: `R (d + 4)` at 8 bits, where float32 has `4 R d`: 0.27 times as much at width 64.
To train, Adam's moments come to it, `8 R (d + 1)` in float32, or `12 R` with `moments=row`; neither evaluation nor an
export has them. While a table is made, its initial values are there in float32.

Shape letters: U distinct ids, d table width, R rows.
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Callable
from typing import Any, Literal

import tensorflow as tf

from lcn_tf.contracts import TableSpec, TableStep
from lcn_tf.ops.row_random import child_states, row_states

VERSION = 1

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7  # Keras' Adam
_SMALLEST = 1e-8  # step size of a row of zeros
_LOTS = 2  # numbers of 32 bits in a state
_CODES = {8: tf.int8, 16: tf.int16}
_ONE_STATE = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the codes and of what trains them."""

    bits: int = dataclasses.field(default=8, metadata={"help": "of a code: 8 or 16"})
    initial_delta: float = dataclasses.field(
        default=0.0, metadata={"help": "reading: first step size; 0: the last code is a row's largest value"})
    delta_learning_rate: float = dataclasses.field(
        default=2e-5, metadata={"help": "learning rate of the step sizes (Adam); 0: they stay as they are"})
    every: int = dataclasses.field(
        default=1, metadata={"help": "steps from one update of the step sizes to the next: each costs a second pass"})
    moments: Literal["full", "row"] = dataclasses.field(
        default="full", metadata={"help": "full: Adam's two; row: one number per row in place of them (no momentum)"})

    def __post_init__(self):
        if self.bits not in _CODES:
            raise ValueError(f"alpt.bits must be one of {', '.join(map(str, _CODES))}, got {self.bits!r}")
        for name in ("initial_delta", "delta_learning_rate"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"alpt.{name} must be a number of at least 0, got {getattr(self, name)}")
        if self.every < 1:
            raise ValueError(f"alpt.every must be at least 1, got {self.every}")
        if self.moments not in ("full", "row"):
            raise ValueError(f"alpt.moments must be one of full, row, got {self.moments!r}")


class AlptTable(tf.keras.layers.Layer):
    """Codes `[R, d]` and step sizes `[R]`; a `SecondPass` and a `RowState` of `lcn_tf.contracts`.

    Rows are updated by Adam whatever optimiser trains dense tables, at the learning rate of that: their moments decay
    in steps that name them alone, as in `lcn_tf.optimizers.RowSparseAdam`, and so do those of their step sizes, whose
    steps are counted by themselves. Rounding depends on the seed, the table's name, the step and the row's id, not on
    replicas or on the order of ids. A row whose gradient and moments are zero, as that of padding, keeps its codes to
    the bit.

    Asynchronous workers (parameter servers) may lose one of two updates of a row at the same time, and may read a row's
    codes beside the step size that the other update gave it.
    """

    def __init__(self, config: Config, spec: TableSpec, **kwargs: Any):
        super().__init__(**kwargs)
        self.every, self._config, self._width = config.every, config, spec.width
        self._seed = spec.seed + zlib.crc32(spec.name.encode())
        self._largest = 2 ** (config.bits - 1) - 1  # p
        initial = spec.initializer([spec.rows, spec.width], dtype=tf.float32)
        deltas = tf.maximum(tf.reduce_max(tf.abs(initial), 1) / self._largest, _SMALLEST)
        if config.initial_delta:
            deltas = tf.fill([spec.rows], config.initial_delta)
        codes = cut(tf.floor(initial / deltas[:, tf.newaxis] + 0.5), self._largest)
        self.codes = self.add_weight(name=f"{spec.name}_codes", shape=codes.shape, dtype=_CODES[config.bits],
                                     initializer=_beginning_with(codes), **_ONE_STATE)
        self.deltas = self.add_weight(name=f"{spec.name}_deltas", shape=deltas.shape,
                                      initializer=_beginning_with(deltas), **_ONE_STATE)
        self._moments: Any = None  # a Checkpoint, which Keras does not take for a layer: moments are no weights

    def rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Vectors `[..., d]` float32 of ids `[...]`.

        Raises:
          tf.errors.InvalidArgumentError: on the CPU, an id outside the table (a GPU returns zeros).
        """
        return self._floats(self.codes, ids) * _read(self.deltas, ids)[..., tf.newaxis]

    def build_slots(self) -> None:
        """Creates the moments of Adam, zeros, unless they are there."""
        if self._moments is not None:
            return
        rows, full = self.codes.shape[0], self._config.moments == "full"
        shapes = {"first": [rows, self._width], "second": [rows, self._width]} if full else {"second": [rows]}
        shapes.update({"delta_first": [rows], "delta_second": [rows]})
        self._moments = tf.train.Checkpoint(**{name: tf.Variable(
            functools.partial(tf.zeros, shape), shape=shape, name=f"{self.name}_{name}", **_ONE_STATE)
            for name, shape in shapes.items()})

    @property
    def stored(self) -> list[tf.Variable]:
        """Codes and step sizes."""
        return [self.codes, self.deltas]

    @property
    def slots(self) -> list[tf.Variable]:
        """Moments of Adam; [] before they are built."""
        moments = self._moments
        if moments is None:
            return []
        first = [moments.first] if self._config.moments == "full" else []
        return [*first, moments.second, moments.delta_first, moments.delta_second]

    def wanted(self, ids: tf.Tensor, gradient: tf.Tensor, step: TableStep) -> tf.Tensor:
        """Rows after the optimiser's step, divided by their step sizes, float32 `[U, d]`; its moments are updated."""
        if self._config.moments == "full":
            change = _adam(self._moments.first, self._moments.second, ids, gradient, step.number)
        else:
            second = _decayed(self._moments.second, ids, tf.reduce_mean(tf.square(gradient), 1), _BETA_2)
            root = tf.sqrt(second)[:, tf.newaxis] + _EPSILON
            change = tf.sqrt(_correction(_BETA_2, step.number)) * gradient / root
        return self._floats(self.codes, ids) - step.learning_rate * change / _read(self.deltas, ids)[:, tf.newaxis]

    def nearest(self, ids: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        """`Q(wanted)` at the step sizes of now, float32 `[U, d]`."""
        return cut(tf.floor(wanted + 0.5), self._largest) * _read(self.deltas, ids)[:, tf.newaxis]

    def store(self, ids: tf.Tensor, wanted: tf.Tensor, gradient: tf.Tensor, step: TableStep) -> None:
        """Updates the step sizes, in steps whose number is a multiple of `every`, and stores rounded codes."""
        before = after = _read(self.deltas, ids)  # [U]
        if self._config.delta_learning_rate:
            after = self._learnt(ids, before, wanted, gradient, step)
            self.deltas.scatter_update(tf.IndexedSlices(after, ids))
        seed = tf.stack([tf.constant(self._seed, tf.int64), step.number])
        codes = cut(rounded(wanted * (before / after)[:, tf.newaxis], ids, seed), self._largest)
        self.codes.scatter_update(tf.IndexedSlices(tf.cast(codes, self.codes.dtype), ids))

    def _learnt(self, ids: tf.Tensor, deltas: tf.Tensor, wanted: tf.Tensor, gradient: tf.Tensor, step: TableStep
                ) -> tf.Tensor:
        """New step sizes `[U]`; one falls to its half at most, so that it stays positive."""
        scale = tf.math.rsqrt(tf.maximum(step.impressions, 1.0) * self._width * self._largest)
        by_delta = scale * tf.reduce_sum(gradient * slope(wanted, self._largest), 1)
        due = tf.equal(step.number % self.every, 0)
        change = _adam(self._moments.delta_first, self._moments.delta_second, ids, by_delta, step.number // self.every,
                       due)
        learnt = tf.maximum(deltas - self._config.delta_learning_rate * change, deltas / 2)
        return tf.where(due, learnt, deltas)

    @staticmethod
    def _floats(codes: tf.Variable, ids: tf.Tensor) -> tf.Tensor:
        return tf.cast(_read(codes, ids), tf.float32)


def cut(codes: tf.Tensor, largest: int) -> tf.Tensor:
    """Cuts codes, float32, off where they end: at -p - 1 and at `largest`, p."""
    return tf.clip_by_value(codes, -largest - 1.0, float(largest))


def slope(wanted: tf.Tensor, largest: int) -> tf.Tensor:
    """`dQ/d delta` at what is wanted, float32 and in step sizes; `largest` as in `cut`."""
    inside = (wanted > -largest - 1) & (wanted < largest)
    return tf.where(inside, tf.floor(wanted + 0.5) - wanted, cut(wanted, largest))


def rounded(wanted: tf.Tensor, ids: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Numbers rounded down or up by lot, so that their mean is kept.

    Args:
      wanted: float32 `[U, d]`.
      ids: int64 `[U]`; the lots of a row are decided by its id and the seed.
      seed: int64 `[2]`.

    Returns:
      Float32 `[U, d]`, whole numbers.
    """
    width = wanted.shape[1]
    states = child_states(row_states(ids[:, tf.newaxis], seed), -(-width // _LOTS))
    numbers = tf.reshape(tf.bitcast(states, tf.int32), [-1, _LOTS * states.shape[1]])[:, :width]
    lots = tf.cast(numbers, tf.float32) * 2.0**-32 + 0.5  # in [0, 1]
    down = tf.floor(wanted)
    return down + tf.cast(lots < wanted - down, tf.float32)


def build(config: Config, spec: TableSpec) -> AlptTable:
    """The table of a configuration."""
    return AlptTable(config, spec, name=spec.name)


def _read(variable: tf.Variable, ids: tf.Tensor) -> tf.Tensor:
    """Rows of a variable, also of one that is divided over parameter servers."""
    return tf.nn.embedding_lookup(variable, ids)


def _decayed(moment: tf.Variable, ids: tf.Tensor, values: tf.Tensor, beta: float, due: tf.Tensor | None = None
             ) -> tf.Tensor:
    """Moves rows of a moment towards values and returns them; leaves them as they are where `due` is false."""
    before = _read(moment, ids)
    after = before + (values - before) * (1 - beta)
    moment.scatter_update(tf.IndexedSlices(after if due is None else tf.where(due, after, before), ids))
    return after


def _adam(first: tf.Variable, second: tf.Variable, ids: tf.Tensor, gradient: tf.Tensor, number: tf.Tensor,
          due: tf.Tensor | None = None) -> tf.Tensor:
    """What Adam takes off rows at a learning rate of 1, the shape of `gradient`; `number` of its steps came before."""
    m = _decayed(first, ids, gradient, _BETA_1, due)
    v = _decayed(second, ids, tf.square(gradient), _BETA_2, due)
    return tf.sqrt(_correction(_BETA_2, number)) / _correction(_BETA_1, number) * m / (tf.sqrt(v) + _EPSILON)


def _correction(beta: float, number: tf.Tensor) -> tf.Tensor:
    """`1 - beta^(number + 1)`; in float32 the first of them would be exact to five digits."""
    return tf.cast(1 - tf.pow(tf.constant(beta, tf.float64), tf.cast(number + 1, tf.float64)), tf.float32)


def _beginning_with(values: tf.Tensor) -> Callable[..., tf.Tensor]:
    """An initialiser, also of a part of a variable that is divided over parameter servers."""
    def initializer(shape: Any, dtype: Any = None, partition_shape: Any = None, partition_offset: Any = None
                    ) -> tf.Tensor:
        part = values if partition_shape is None else tf.slice(values, partition_offset, partition_shape)
        return tf.cast(part, dtype or values.dtype)

    return initializer
