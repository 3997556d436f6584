"""What happens during `fit`: checkpoints every few steps, a stop after each epoch and when the loss is no number."""

from __future__ import annotations

import math

import tensorflow as tf

from lcn_tf.training.checkpoints import Checkpoints
from lcn_tf.training.progress import Progress


def check_losses(model: tf.keras.Model, logs: dict | None) -> None:
    """Raises FloatingPointError if a loss of the logs is NaN or infinite.

    The AUC is no loss, and undefined until both classes have been seen.
    """
    broken = sorted(name for name, value in (logs or {}).items() if name != "auc" and not math.isfinite(value))
    if broken:
        step = int(model.optimizer.iterations)
        raise FloatingPointError(
            f"training step {step}: {', '.join(broken)} is no longer finite; no checkpoint holds such values. "
            "Likely remedies: a lower train.learning_rate, lap.csa_pool=mean, tower.input_norm=layer")


class StopOnNonFiniteLoss(tf.keras.callbacks.Callback):
    """Stops at the first step whose running loss is not finite, before it is checkpointed."""

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks at the running losses."""
        check_losses(self.model, logs)


class StopOnNonFiniteEpoch(tf.keras.callbacks.Callback):
    """`StopOnNonFiniteLoss` for `fit`s that see the losses of an epoch only when it is over."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Looks at the losses of the epoch."""
        check_losses(self.model, logs)


class StopAfterEpoch(tf.keras.callbacks.Callback):
    """Ends `fit` after one epoch: the next one has a data set of its own."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Tells `fit` to stop."""
        self.model.stop_training = True


class ContinueMeans(tf.keras.callbacks.Callback):
    """Lets `fit` go on with a model's metrics as they are when this is made; it would forget them.

    So the means of an epoch that a killed run had begun cover all of it.
    """

    def __init__(self, model: tf.keras.Model):
        super().__init__()
        self.values = [(variable, tf.convert_to_tensor(variable))
                       for metric in model.metrics for variable in metric.variables]

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Comes after `fit` has reset the metrics."""
        for variable, value in self.values:
            variable.assign(value)


class SaveProgress(tf.keras.callbacks.Callback):
    """Saves a checkpoint every `every` steps, never one with broken weights.

    With parameter servers, where `fit` only hands steps out, it waits for those that are out before it saves.

    Args:
      checkpoints: where checkpoints go.
      progress: in the checkpoint; its steps are counted here.
      every: steps between checkpoints.
    """

    def __init__(self, checkpoints: Checkpoints, progress: Progress, every: int):
        super().__init__()
        self._supports_tf_logs = True  # it looks at none; Keras then allows it with parameter servers, too
        self.checkpoints = checkpoints
        self.progress = progress
        self.every = every

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Counts the batch and saves when it is due."""
        step = int(self.progress.step.assign_add(1))
        if step % self.every == 0:
            coordinator = self.model._cluster_coordinator
            if coordinator is not None:
                coordinator.join()
            self.check_weights()
            self.save()

    def save(self) -> None:
        """Saves a checkpoint of this place of the run, which replaces the one before."""
        self.progress.seconds()
        self.checkpoints.write(self.progress.checkpoint)
        self.checkpoints.keep(self.progress.checkpoint)

    def check_weights(self) -> None:
        """Raises FloatingPointError if a weight is not finite."""
        for variable in self.model.trainable_variables:
            if not bool(tf.reduce_all(tf.math.is_finite(variable))):
                raise FloatingPointError(f"training step {int(self.progress.step)}: {variable.name} holds values that "
                                         "are not finite; no checkpoint does")
