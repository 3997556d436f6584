"""What happens during `fit`: checkpoints every few steps, a stop after each epoch and when the loss is no number."""

from __future__ import annotations

import math

import tensorflow as tf


class StopOnNonFiniteLoss(tf.keras.callbacks.Callback):
    """Raises FloatingPointError at the first step whose running loss is NaN or infinite, before it is checkpointed."""

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks at every loss of the logs; the AUC is not one, and undefined until both classes have been seen."""
        broken = sorted(name for name, value in (logs or {}).items() if name != "auc" and not math.isfinite(value))
        if broken:
            step = int(self.model.optimizer.iterations)
            raise FloatingPointError(
                f"training step {step}: {', '.join(broken)} is no longer finite; no checkpoint holds such values. "
                "Likely remedies: a lower train.learning_rate, lap.csa_pool=mean, tower.input_norm=layer")


class StopAfterEpoch(tf.keras.callbacks.Callback):
    """Ends `fit` after one epoch: the next one has a data set of its own."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Tells `fit` to stop."""
        self.model.stop_training = True


class SaveProgress(tf.keras.callbacks.Callback):
    """Saves a checkpoint every `every` steps, never one with broken weights.

    `step` counts the batches of the epoch that are done.

    Args:
      manager: where checkpoints go.
      step: int64 variable in the checkpoint.
      every: steps between checkpoints.
    """

    def __init__(self, manager: tf.train.CheckpointManager, step: tf.Variable, every: int):
        super().__init__()
        self.manager = manager
        self.step = step
        self.every = every

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Counts the batch and saves when it is due."""
        step = int(self.step.assign_add(1))
        if step % self.every == 0:
            for variable in self.model.trainable_variables:
                if not bool(tf.reduce_all(tf.math.is_finite(variable))):
                    raise FloatingPointError(f"training step {step}: {variable.name} holds values that are not finite; "
                                             "no checkpoint does")
            self.manager.save()
