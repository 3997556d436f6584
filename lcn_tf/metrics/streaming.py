"""Metrics that are updated batch by batch inside `fit`: float64 sums, merged over replicas by addition.

All of them take logits. Only API common to Keras 2 and 3 is used; state is summed over replicas when read, so one
replica and many give the same figures (counts are exact up to 2^53). A NaN logit makes the result NaN.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def _columns(y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Labels, logits and weights as flat float64 `[N]`; weights broadcast to the logits and default to one."""
    logits = tf.cast(tf.convert_to_tensor(y_pred), tf.float64)
    labels = tf.reshape(tf.cast(tf.convert_to_tensor(y_true), tf.float64), tf.shape(logits))
    weights = tf.ones_like(logits)
    if sample_weight is not None:
        weights = tf.cast(tf.convert_to_tensor(sample_weight), tf.float64)
        # Keras hands one weight per row over as [B] or [B, 1], whatever the shape of the logits.
        if weights.shape.rank == logits.shape.rank - 1:
            weights = weights[..., tf.newaxis]
        elif weights.shape.rank == logits.shape.rank + 1:
            weights = tf.squeeze(weights, axis=-1)
        weights = tf.broadcast_to(weights, tf.shape(logits))
    return tuple(tf.reshape(column, [-1]) for column in (labels, logits, weights))


class _Sums(tf.keras.metrics.Metric):
    """Keeps one float64 vector of sums."""

    def __init__(self, size: int, name: str, dtype: Any):
        super().__init__(name=name, dtype=dtype)
        self.sums = self.add_weight(name="sums", shape=(size,), initializer="zeros", dtype="float64")

    def _add(self, values: tf.Tensor) -> None:
        self.sums.assign_add(values)

    def reset_state(self) -> None:
        """Forgets everything."""
        self.sums.assign(tf.zeros(self.sums.shape, tf.float64))


@tf.keras.utils.register_keras_serializable("lcn_tf")
class StreamingAUC(_Sums):
    """AUC from histograms of the logit: bins are ties, replicas' histograms add up.

    Uniform bins on the logit keep their resolution where click probabilities crowd near zero; with the defaults a bin
    is 0.0032 wide, which is 0.3 % of a small probability. Logits outside the range fall into the outer bins.

    Args:
      num_bins: bins, at least 2.
      logit_range: bins divide -logit_range .. logit_range.
      name: metric name.
      dtype: only for Keras' bookkeeping; state and result are float64.

    Call arguments:
      y_true: labels 0/1, as many as logits.
      y_pred: logits of any shape, `[B]`, `[B, 1]` or `[B, C]`.
      sample_weight: optional weights or bool mask (`candidate_mask`), broadcast to the logits.

    Returns:
      `result()`: float64 scalar; NaN while labels of a single class have been seen.

    Raises:
      ValueError: `num_bins` below 2 or `logit_range` not positive.

    Example:
      >>> from lcn_tf.metrics import StreamingAUC
      >>> auc = StreamingAUC()
      >>> auc.update_state(y_true=tf.constant([[0, 1]]), y_pred=tf.constant([[-2.0, 1.0]]))
      >>> mask = tf.constant([[True, False]])
      >>> auc.update_state(y_true=tf.constant([[1, 0]]), y_pred=tf.constant([[-3.0, 9.0]]), sample_weight=mask)
      >>> auc.result().numpy().item()  # of two pairs one is in the right order
      0.5
    """

    def __init__(self, num_bins: int = 10_000, logit_range: float = 16.0, name: str = "auc", dtype: Any = None):
        if num_bins < 2:
            raise ValueError(f"num_bins must be at least 2, got {num_bins}")
        if not logit_range > 0:
            raise ValueError(f"logit_range must be positive, got {logit_range}")
        super().__init__(2 * num_bins, name, dtype)
        self.num_bins = num_bins
        self.logit_range = float(logit_range)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch to the histograms."""
        labels, logits, weights = _columns(y_true, y_pred, sample_weight)
        used = weights != 0
        missing = tf.math.is_nan(logits)
        weights = tf.where(used & missing, tf.constant(float("nan"), tf.float64), weights)
        place = (tf.where(missing, tf.zeros_like(logits), logits) / self.logit_range + 1) / 2 * self.num_bins
        bins = tf.cast(tf.clip_by_value(tf.floor(place), 0, self.num_bins - 1), tf.int32)
        # Labels may be soft: positives fill the first half of the state, negatives the second.
        positives = tf.math.unsorted_segment_sum(weights * labels, bins, self.num_bins)
        negatives = tf.math.unsorted_segment_sum(weights * (1 - labels), bins, self.num_bins)
        self._add(tf.concat([positives, negatives], axis=0))

    def result(self) -> tf.Tensor:
        """AUC of everything seen since the last reset."""
        positive, negative = tf.split(tf.convert_to_tensor(self.sums), 2)
        below = tf.cumsum(negative, exclusive=True)
        pairs = tf.reduce_sum(positive) * tf.reduce_sum(negative)
        return tf.reduce_sum(positive * (below + negative / 2)) / pairs  # 0 / 0 is NaN

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "num_bins": self.num_bins, "logit_range": self.logit_range}


@tf.keras.utils.register_keras_serializable("lcn_tf")
class StreamingLogLoss(_Sums):
    """Weighted mean cross-entropy of logits in nats.

    Call arguments as `StreamingAUC`; `result()` is a float64 scalar, NaN before the first impression.
    """

    def __init__(self, name: str = "logloss", dtype: Any = None):
        super().__init__(2, name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch."""
        labels, logits, weights = _columns(y_true, y_pred, sample_weight)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
        weighted = tf.where(weights != 0, weights * losses, tf.zeros_like(losses))
        self._add(tf.stack([tf.reduce_sum(weighted), tf.reduce_sum(weights)]))

    def result(self) -> tf.Tensor:
        """Mean since the last reset."""
        total, weight = tf.unstack(tf.convert_to_tensor(self.sums))
        return total / weight

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return super().get_config()


@tf.keras.utils.register_keras_serializable("lcn_tf")
class StreamingCalibration(_Sums):
    """Mean predicted probability divided by the click rate; 1 is calibrated.

    Call arguments as `StreamingAUC`; `result()` is a float64 scalar, NaN or infinite before the first click.
    """

    def __init__(self, name: str = "calibration_ratio", dtype: Any = None):
        super().__init__(2, name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch."""
        labels, logits, weights = _columns(y_true, y_pred, sample_weight)
        probabilities = tf.where(weights != 0, weights * tf.sigmoid(logits), tf.zeros_like(logits))
        self._add(tf.stack([tf.reduce_sum(probabilities), tf.reduce_sum(weights * labels)]))

    def result(self) -> tf.Tensor:
        """Ratio since the last reset."""
        predicted, clicked = tf.unstack(tf.convert_to_tensor(self.sums))
        return predicted / clicked

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return super().get_config()
