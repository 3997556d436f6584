"""Trains a model epoch by epoch with `fit`, chooses the epoch on the validation split, and resumes where it was killed.

The data order is a function of (seed, epoch) and the objectives' sampling of (seed, step), so a run that was killed and
started again continues at the saved step with the batches and draws it would have had.
"""

from __future__ import annotations

import dataclasses
import math
import os
from typing import Literal, get_args

import tensorflow as tf

from lcn_tf.checkpoint_folder import PATTERN_SIGNS, latest_checkpoint, restore
from lcn_tf.data import pipeline
from lcn_tf.models import CTRModel
from lcn_tf.optimizers import WarmupDecay, create_optimizer
from lcn_tf.optimizers.warmup_decay import Decay
from lcn_tf.training import consistency, monitored_metric, results
from lcn_tf.training.callbacks import (
    ContinueMeans,
    SaveProgress,
    StopAfterEpoch,
    StopOnNonFiniteEpoch,
    StopOnNonFiniteLoss,
)
from lcn_tf.training.checkpoints import Checkpoints
from lcn_tf.training.distributed_input import evaluation_batches, training_batches
from lcn_tf.training.evaluation import predict
from lcn_tf.training.progress import Progress
from lcn_tf.training.strategy import is_chief, wait_for_all
from lcn_tf.training.validation_scalars import ValidationScalars


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How a model is trained; the defaults are the paper's (section 5.1.4) where it states them."""

    batch_size: int = dataclasses.field(default=2048, metadata={"help": "impressions in a batch, over all replicas"})
    epochs: int = dataclasses.field(default=1, metadata={"help": "passes over the training split, at most"})
    patience: int = dataclasses.field(
        default=1, metadata={"help": "stop after this many epochs without a better validation metric"})
    monitor: str = dataclasses.field(
        default="auc", metadata={"help": "validation metric that chooses the epoch: auc, gauc or logloss; of another "
                                         "label with its name, like long_stay_auc"})
    optimizer: Literal["adam", "row_sparse_adam", "adagrad"] = dataclasses.field(
        default="adam", metadata={"help": "optimiser; row_sparse_adam: Adam that updates only the table rows of the "
                                          "batch, so that a step's cost does not depend on the tables' size"})
    learning_rate: float = dataclasses.field(default=1e-3, metadata={"help": "learning rate"})
    table_optimizer: Literal["same", "adam", "row_sparse_adam", "adagrad"] = dataclasses.field(
        default="same", metadata={"help": "optimiser of the embedding tables; same: the others'"})
    table_learning_rate: float = dataclasses.field(
        default=0.0, metadata={"help": "learning rate of the embedding tables; 0: the others'"})
    warmup_steps: int = dataclasses.field(
        default=0, metadata={"help": "steps in which the learning rates rise linearly to their values"})
    decay: Decay = dataclasses.field(
        default="none", metadata={"help": "how the learning rates fall from then until the last step of all epochs"})
    decay_final_fraction: float = dataclasses.field(
        default=0.0, metadata={"help": "what is left of the learning rates at the end of their decay, 0 to 1"})
    weight_decay: float = dataclasses.field(
        default=0.0, metadata={"help": "decoupled weight decay (AdamW): a step takes this, times the learning rate, "
                                       "off every kernel; not off biases, normalisations and tables (embeddings.l2)"})
    precision: Literal["float32", "mixed_bfloat16"] = dataclasses.field(
        default="float32", metadata={"help": "mixed_bfloat16: layers compute in bfloat16; weights, scores, softmax and "
                                             "losses stay float32"})
    seed: int = dataclasses.field(default=1, metadata={"help": "of initialisation, data order and sampling"})
    deterministic: bool = dataclasses.field(
        default=False, metadata={"help": "the same seed gives the same metrics to the last digit; costs some speed"})
    microbatches: int = dataclasses.field(
        default=1, metadata={"changes_result": False,
                             "help": "parts of a batch whose activations are in memory one after the other; changes "
                                     "memory and time, not the result"})
    checkpoint_every: int = dataclasses.field(
        default=200, metadata={"changes_result": False, "help": "steps between checkpoints"})

    def __post_init__(self):
        for name in ("batch_size", "epochs", "patience", "microbatches", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"train.{name} must be at least 1, got {getattr(self, name)}")
        monitored_metric.check_name(self.monitor)
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"train.learning_rate must be a positive number, got {self.learning_rate}")
        if not 0 <= self.table_learning_rate < math.inf:
            raise ValueError("train.table_learning_rate must be a number that is not negative, "
                             f"got {self.table_learning_rate}")
        if self.warmup_steps < 0:
            raise ValueError(f"train.warmup_steps must not be negative, got {self.warmup_steps}")
        if self.decay not in get_args(Decay):
            raise ValueError(f"train.decay must be one of {', '.join(get_args(Decay))}, got {self.decay!r}")
        if not 0 <= self.decay_final_fraction <= 1:
            raise ValueError(f"train.decay_final_fraction must be from 0 to 1, got {self.decay_final_fraction}")
        if self.decay_final_fraction and self.decay == "none":
            raise ValueError(f"train.decay_final_fraction={self.decay_final_fraction} needs train.decay=linear or "
                             "cosine, got none")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"train.weight_decay must be a number of at least 0, got {self.weight_decay}")


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """What training leaves behind, beside the model with the best epoch's weights.

    Attributes:
      history: one row per epoch: training means and validation metrics.
      best_epoch: epoch (from 1) whose weights the model has.
      best_checkpoint: path of the checkpoint they come from.
    """

    history: list[dict[str, float]]
    best_epoch: int
    best_checkpoint: str


def planned_steps(files: pipeline.RecordFiles, data: pipeline.DataConfig, config: TrainConfig) -> int | None:
    """Steps of all epochs, over which the learning rate decays; None where it does not.

    Records prepared elsewhere do not say how many they hold: they are read once to count them. Where requests are
    larger than a batch, epochs differ by a few steps with the order of the records; the plan is that of the files'
    order.

    Raises:
      RecordError: a damaged record file, by name.
    """
    if config.decay == "none":
        return None
    with files.naming_bad_records():
        return config.epochs * pipeline.count(pipeline.cut(files, "train", data, config.batch_size))


def compile_model(model: CTRModel, config: TrainConfig, total_steps: int | None = None) -> None:
    """Creates the weights, the optimiser and its slots; call it inside the strategy's scope.

    Args:
      model: composed, without weights.
      config: see there.
      total_steps: of `planned_steps`.

    Raises:
      ValueError: a decay without `total_steps`, or whose warm-up leaves none of them.
    """
    model.build_weights()
    rate, table_rate = (_learning_rate(config, peak, total_steps)
                        for peak in (config.learning_rate, config.table_learning_rate))
    optimizer = create_optimizer(
        model.trainable_variables, model.embedder.table_weights, config.optimizer, rate, config.table_optimizer,
        table_rate, unique_ids=True, weight_decay=config.weight_decay)
    model.compile(optimizer=optimizer, microbatches=config.microbatches)


def _learning_rate(config: TrainConfig, peak: float, total_steps: int | None) -> float | WarmupDecay:
    """The number itself where it stays the same."""
    if not peak or (config.decay == "none" and not config.warmup_steps):
        return peak
    if config.decay != "none" and (total_steps is None or config.warmup_steps >= total_steps):
        raise ValueError(f"train.decay={config.decay} needs more planned steps than train.warmup_steps="
                         f"{config.warmup_steps}, got {total_steps}")
    return WarmupDecay(peak, config.warmup_steps, config.decay, total_steps or 0, config.decay_final_fraction)


def train(
    model: CTRModel,
    files: pipeline.RecordFiles,
    data: pipeline.DataConfig,
    config: TrainConfig,
    workdir: str,
    gauc_weights: str = "impressions",
    verbose: int = 1,
    consistency_rows: int = 0,
) -> TrainingResult:
    """Trains until `epochs` or until validation stops improving, then loads the best epoch's weights.

    Args:
      model: compiled by `compile_model`.
      files: an opened data set.
      data: layout and lengths of the batches.
      config: budget, optimiser, seeds.
      workdir: gets `checkpoints/`, `history.csv` and `tensorboard/`; what an earlier run of the same configuration left
        there is continued.
      gauc_weights: of the validation GAUC, see `EvalConfig`.
      verbose: 0 silent, 1 progress bar, 2 one line an epoch.
      consistency_rows: see `EvalConfig`.

    Raises:
      FloatingPointError: the loss is no longer finite.
      RecordError: a damaged record file, or a record that is not of the schema, by name.
      ValueError: the monitored metric is none of the model's, or undefined on the validation split; or `workdir` cannot
        be continued.
    """
    labels = model.embedder.schema.labels
    monitored_metric.check(config.monitor, [label for label in labels if label.name in model.head.labels])
    strategy = model.distribute_strategy
    chief = is_chief(strategy)
    if isinstance(strategy, tf.distribute.ParameterServerStrategy) and set(workdir) & set(PATTERN_SIGNS):
        raise ValueError(f"workdir={workdir}: parameter servers cannot read checkpoints from a folder whose name holds "
                         "one of the signs [ and \\")
    history_path, folder = os.path.join(workdir, "history.csv"), os.path.join(workdir, "checkpoints")
    progress = Progress()
    newest = Checkpoints(tf.train.Checkpoint(model=model, progress=progress), folder, chief)
    best = Checkpoints(tf.train.Checkpoint(model=model), os.path.join(folder, "best"), chief)
    if (path := latest_checkpoint(folder)) is not None:
        restore(newest.checkpoint, path).assert_existing_objects_matched()
        model.after_restore()
    _check_same_position(strategy, int(progress.epoch), int(progress.step), folder)
    history = _history_until(int(progress.epoch), history_path)
    save = SaveProgress(newest, progress, config.checkpoint_every)
    callbacks = _callbacks(strategy, save, workdir)
    scalars = ValidationScalars(os.path.join(workdir, "tensorboard", "validation"), history) if chief else None
    while int(progress.epoch) < config.epochs and not _stalled(history, config):
        number = int(progress.epoch) + 1
        progress.start()
        row: dict[str, float] = {"epoch": number}
        with files.naming_bad_records():
            log = _fit_epoch(model, files, data, config, number, int(progress.step), callbacks, verbose)
            row.update({f"train_{name}": value for name, value in log.items()})
            validation = predict(model, evaluation_batches(strategy, files, "validation", data, config.batch_size))
        row.update({f"validation_{name}": value for name, value in validation.metrics(gauc_weights).items()})
        row["seconds"] = progress.seconds()
        row.update(_consistency(model, files, data, consistency_rows))
        history.append(row)
        best_epoch = _best_epoch(history, config)
        if best_epoch == number:
            best.write(_name(number))
        if scalars:
            scalars.write(row)
            results.write_history(history_path, history)
        progress.end_epoch()
        save.save()  # from here on the epoch is done; a run that is killed before trains it again
        best.keep(_name(best_epoch))
    best_epoch = _best_epoch(history, config)
    wait_for_all(strategy)  # until the chief has written the checkpoint that is read next
    path = os.path.join(best.folder, _name(best_epoch))
    if not os.path.exists(f"{path}.index"):
        raise FileNotFoundError(f"{path}: no checkpoint of the best epoch; all processes must see the same work folder")
    restore(tf.train.Checkpoint(model=model), path).expect_partial()
    return TrainingResult(history, best_epoch, path)


def train_further(
    model: CTRModel,
    files: pipeline.RecordFiles,
    data: pipeline.DataConfig,
    config: TrainConfig,
    workdir: str,
    order: tuple[int, ...],
    verbose: int = 1,
) -> None:
    """Trains a model that has its weights already for `epochs` more, without validation.

    Args:
      model: compiled by `compile_model`; its weights are where it begins, unless `workdir` has a later checkpoint.
      files: an opened data set, of which the training split is read.
      data: layout and lengths of the batches.
      config: budget, optimiser, seeds.
      workdir: gets `history.csv`, a row of training means for each epoch, and `checkpoints/`, from which a killed call
        with the same arguments goes on.
      order: numbers that tell these records from others that the model is trained on: the order of records depends on
        them, the seed and the epoch.
      verbose: 0 silent, 1 progress bar, 2 one line an epoch.

    Raises:
      FloatingPointError: the loss is no longer finite.
      RecordError: a damaged record file, or a record that is not of the schema, by name.
      ValueError: parameter servers, or a decay of the learning rate, which needs an end.
    """
    strategy = model.distribute_strategy
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        raise ValueError("strategy.name=parameter_server: training goes further on one machine, or with multi_worker")
    if config.decay != "none":
        raise ValueError(f"train.decay={config.decay}: training that goes on has no end to decay to; choose none")
    history_path, folder = os.path.join(workdir, "history.csv"), os.path.join(workdir, "checkpoints")
    progress = Progress()
    newest = Checkpoints(tf.train.Checkpoint(model=model, progress=progress), folder, is_chief(strategy))
    if (path := latest_checkpoint(folder)) is not None:
        restore(newest.checkpoint, path).assert_existing_objects_matched()
        model.after_restore()
    history = _history_until(int(progress.epoch), history_path)
    save = SaveProgress(newest, progress, config.checkpoint_every)
    callbacks = [StopOnNonFiniteLoss(), save, StopAfterEpoch()]
    while int(progress.epoch) < config.epochs:
        number = int(progress.epoch) + 1
        progress.start()
        with files.naming_bad_records():
            log = _fit_epoch(model, files, data, config, number, int(progress.step), callbacks, verbose, order)
        history.append({"epoch": number, **{f"train_{name}": value for name, value in log.items()}})
        if newest.chief:
            results.write_history(history_path, history)
        progress.end_epoch()
        save.check_weights()
        save.save()


def _name(epoch: int) -> str:
    """Name of an epoch's checkpoint among the best ones; the weights of no other epoch can have it."""
    return f"epoch-{epoch}"


def _history_until(epoch: int, path: str) -> list[dict[str, float]]:
    """The rows of the epochs that a checkpoint holds; a killed run may have written one more."""
    history = [row for row in results.read_history(path) if row["epoch"] <= epoch]
    if [row["epoch"] for row in history] != list(range(1, epoch + 1)):
        raise ValueError(f"{path}: expected a row for each of the {epoch} epochs of the checkpoint beside it, got "
                         f"{len(history)}; remove the work folder to train again")
    return history


def _callbacks(strategy: tf.distribute.Strategy, save: SaveProgress, workdir: str) -> list[tf.keras.callbacks.Callback]:
    asynchronous = isinstance(strategy, tf.distribute.ParameterServerStrategy)
    callbacks = [StopOnNonFiniteEpoch() if asynchronous else StopOnNonFiniteLoss(), save, StopAfterEpoch()]
    if is_chief(strategy):
        callbacks.append(tf.keras.callbacks.TensorBoard(os.path.join(workdir, "tensorboard"), write_graph=False))
    return callbacks


def _fit_epoch(model: CTRModel, files: pipeline.RecordFiles, data: pipeline.DataConfig, config: TrainConfig,
               number: int, done: int, callbacks: list[tf.keras.callbacks.Callback], verbose: int,
               order: tuple[int, ...] = ()) -> dict[str, float]:
    """Trains what is left of an epoch, nothing if it was killed between the last step and validation; its means.

    `order` with the seed and the number decides the order of the records.
    """
    strategy, seed = model.distribute_strategy, (config.seed, *order, number)
    if done:
        with strategy.scope():
            callbacks = [ContinueMeans(model), *callbacks]
            if not any(True for _ in pipeline.cut(files, "train", data, config.batch_size, seed, done).take(1)):
                return {metric.name: float(metric.result()) for metric in model.metrics}
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        verbose = min(2 * verbose, 2)  # Keras offers no progress bar there
    batches = training_batches(strategy, files, data, config.batch_size, seed, done)
    log = model.fit(batches.dataset, steps_per_epoch=batches.steps, initial_epoch=number - 1, epochs=config.epochs,
                    callbacks=callbacks, verbose=verbose)
    return {name: values[-1] for name, values in log.history.items()}


def _consistency(model: CTRModel, files: pipeline.RecordFiles, data: pipeline.DataConfig, rows: int
                 ) -> dict[str, float]:
    """Columns of an epoch; {} where it is not asked for or the model retrieves nothing."""
    found = consistency.measure_split(model, files, "validation", data, rows) if rows else None
    if found is None:
        return {}
    return {"validation_consistency": found.value, "validation_consistency_corrected": found.chance_corrected}


def _check_same_position(strategy: tf.distribute.Strategy, epoch: int, step: int, folder: str) -> None:
    positions = set(wait_for_all(strategy, (epoch << 40) + step))
    if len(positions) > 1:
        raise ValueError(f"the processes found different checkpoints in {folder}: "
                         "all must see the same work folder, e.g. on a network file system")


def _best_epoch(history: list[dict[str, float]], config: TrainConfig) -> int:
    name = f"validation_{config.monitor}"
    known = [row for row in history if math.isfinite(row.get(name, math.nan))]
    if not known:
        raise ValueError(f"validation {config.monitor} is undefined: all labels of the validation split are equal; "
                         "choose other validation days, or train.monitor=logloss")
    return int(max(known, key=lambda row: monitored_metric.sign(config.monitor) * row[name])["epoch"])


def _stalled(history: list[dict[str, float]], config: TrainConfig) -> bool:
    return bool(history) and history[-1]["epoch"] - _best_epoch(history, config) >= config.patience
