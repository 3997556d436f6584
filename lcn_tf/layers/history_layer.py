"""Base of the layers that pool a history under an explicit mask."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class HistoryLayer(tf.keras.layers.Layer):
    """A Keras layer whose `mask` argument ends with it: its output has no history axis.

    Without this, Keras 3 warns that the mask is lost, and a layer that merely "supports masking" would hand a mask over
    events on to the tower.

    Sublayers are built by their first call. These layers have no `compute_output_shape`: Keras 3 would ask it instead
    of tracing the call when it composes a functional model or reads one from a file.
    """

    def build(self, input_shape: Any) -> None:
        """Sublayers are built by their first call: Keras 2 knows only the first argument's shape here."""
        self.built = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """No mask for the output."""
        return
