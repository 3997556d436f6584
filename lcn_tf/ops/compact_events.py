"""Vectors of events that all candidates of a request share, as few numbers as tell them apart.

Shapes: B requests, C candidates, K or L events, N columns, E width of an event's vector, U width of a projection.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import tensorflow as tf


class Compact(NamedTuple):
    """Vectors of few numbers each: `columns` times a block-diagonal matrix, which layers fold into their kernels.

    Of a request whose candidates see the same events: an item's columns are its vector, and a part that is one of a few
    rows is as many columns as there are rows, one of them 1. What is gathered for every candidate is then narrow. See
    `lcn_tf.ops.event_forms.compact`.

    Attributes:
      columns: float32 `[B, L, N]` or `[B, C, K, N]`.
      rows: blocks of the matrix, float32 `[N_i, E_i]`; identities for parts that are their columns.
    """

    columns: tf.Tensor
    rows: tuple[tf.Tensor, ...]

    def fold(self, kernel: tf.Tensor) -> tf.Tensor:
        """A kernel `[E, U]` of the events as that of their columns, `[N, U]`."""
        parts = tf.split(kernel, [rows.shape[1] for rows in self.rows])
        return tf.concat([tf.matmul(tf.cast(rows, kernel.dtype), part)
                          for rows, part in zip(self.rows, parts, strict=True)], 0)

    def times_rows(self, columns: tf.Tensor) -> tf.Tensor:
        """`[..., N] -> [..., E]`: columns, or sums of them, times the block-diagonal matrix."""
        parts = tf.split(columns, [rows.shape[0] for rows in self.rows], -1)
        return tf.concat([tf.tensordot(part, rows, 1) for part, rows in zip(parts, self.rows, strict=True)], -1)

    def cut(self, width: int) -> tuple[Compact, ...]:
        """The first `width` of the vectors' numbers and the others, where a block ends there; else all in one."""
        ends = list(itertools.accumulate(rows.shape[1] for rows in self.rows))
        if width not in ends[:-1]:
            return (self,)
        blocks = ends.index(width) + 1
        place = sum(rows.shape[0] for rows in self.rows[:blocks])
        return (Compact(self.columns[..., :place], self.rows[:blocks]),
                Compact(self.columns[..., place:], self.rows[blocks:]))
