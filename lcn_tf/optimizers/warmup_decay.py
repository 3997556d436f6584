"""A learning rate that rises at the start of training and falls until its planned end."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import tensorflow as tf

Decay = Literal["none", "linear", "cosine"]


@tf.keras.utils.register_keras_serializable(package="lcn_tf")
class WarmupDecay(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to a peak, then a linear or cosine decay (SGDR, ICLR 2017, eq. 5, without restarts).

    Of step t = 0, 1, ..., with W warm-up steps, T steps in all and a final fraction f of the peak:

        t < W:   peak (t + 1) / W
        after:   peak (f + (1 - f) g(p)),  p = min((t - W) / (T - W), 1)
        g(p):    1 (none), 1 - p (linear), (1 + cos(pi p)) / 2 (cosine)

    Of Keras' schedules only `CosineDecay` warms up; none decays linearly after that.

    The rate is a function of the optimiser's step alone, which a checkpoint holds: a resumed run continues exactly.

    Args:
      peak: the rate after warm-up.
      warmup_steps: W; 0 starts at the peak.
      decay: "none", "linear" or "cosine".
      total_steps: T, warm-up included; steps beyond it have the final rate. Not read without decay.
      final_fraction: f.

    Raises:
      ValueError: an unknown decay, or one whose warm-up is not shorter than all steps.
    """

    def __init__(self, peak: float, warmup_steps: int = 0, decay: Decay = "none", total_steps: int = 0,
                 final_fraction: float = 0.0):
        if decay not in get_args(Decay):
            raise ValueError(f"decay must be one of {', '.join(get_args(Decay))}, got {decay!r}")
        if decay != "none" and warmup_steps >= total_steps:
            raise ValueError(f"warmup_steps must be fewer than the {total_steps} planned steps, got {warmup_steps}")
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.decay = decay
        self.total_steps = total_steps
        self.final_fraction = final_fraction

    def __call__(self, step: tf.Tensor | tf.Variable) -> tf.Tensor:
        """The learning rate of a step, float32."""
        step = tf.cast(step, tf.float32)
        rate = tf.constant(self.peak, tf.float32)
        if self.decay != "none":
            passed = tf.clip_by_value((step - self.warmup_steps) / (self.total_steps - self.warmup_steps), 0.0, 1.0)
            left = 1 - passed if self.decay == "linear" else (1 + tf.cos(math.pi * passed)) / 2
            rate *= self.final_fraction + (1 - self.final_fraction) * left
        if self.warmup_steps:
            rate *= tf.minimum((step + 1) / self.warmup_steps, 1.0)
        return rate

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in ("peak", "warmup_steps", "decay", "total_steps",
                                                       "final_fraction")}
