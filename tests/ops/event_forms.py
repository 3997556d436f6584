"""Random events whose columns come in parts of different forms, and the same events as one wide tensor."""

import numpy as np
import tensorflow as tf

from lcn_tf.ops import event_forms

KINDS = [(form, axis) for form in ("tensor", "gathered", "bucketed") for axis in ("shared", "one", "own")
         if (form, axis) != ("bucketed", "shared")]
REQUESTS = 2


class Events:
    """Parts of random events.

    Args:
      seed: of every draw.
      kinds: of each part, the form and its axes: shared `[B, L]`, one `[B, 1, L]`, own `[B, C, L]`.
      candidates, length: C and L.
      widths: of the parts.
      num_rows: of the parts that are gathered or bucketed; places repeat where it is below L.

    Attributes:
      sources: what carries gradients: rows `[num_rows, width]`, or the tensor itself; multiples of 1/8, so that the
        products of two have no rounding error and equal scores tie in every form.
    """

    def __init__(self, seed, kinds, candidates, length, widths=(5, 3, 2), num_rows=4):
        rng = np.random.default_rng(seed)
        self.kinds, self.widths = tuple(kinds), widths[:len(kinds)]
        self.shape = (REQUESTS, candidates, length)
        self.sources, self.places = [], []
        for (form, axis), width in zip(self.kinds, self.widths, strict=True):
            leading = {"shared": (REQUESTS, length), "one": (REQUESTS, 1, length), "own": self.shape}[axis]
            rows = leading if form == "tensor" else (num_rows,)
            self.sources.append(np.round(8 * rng.normal(size=(*rows, width))).astype(np.float32) / 8)
            self.places.append(tf.constant(rng.integers(0, num_rows, leading), tf.int32))

    @property
    def width(self):
        return sum(self.widths)

    def mixed(self, *sources):
        """The events in the forms of their parts."""
        parts = []
        for (form, _), source, places in zip(self.kinds, sources, self.places, strict=True):
            if form == "gathered":
                parts.append(event_forms.Gathered(tf.stop_gradient(tf.gather(source, places)), source, places))
            else:
                parts.append(event_forms.Bucketed(source, places) if form == "bucketed" else source)
        return event_forms.beside(*parts)

    def wide(self, *sources):
        """The events as one tensor `[B, C, L, E]`."""
        parts = [source if form == "tensor" else tf.gather(source, places)
                 for (form, _), source, places in zip(self.kinds, sources, self.places, strict=True)]
        return tf.concat([self.for_candidates(part) for part in parts], -1)

    def for_candidates(self, values):
        """`[B, L, x]` or `[B, 1 or C, L, x]` as `[B, C, L, x]`."""
        values = values if values.shape.rank == 4 else values[:, tf.newaxis]
        return tf.broadcast_to(values, [*self.shape, values.shape[-1]])
