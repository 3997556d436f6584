"""Training steps of what `experiments.run` would train, over the first batches of its training split."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from experiments import flags, prepared_data
from experiments.new_model import new_model
from lcn_tf.data import pipeline
from lcn_tf.training import compile_model
from lcn_tf.training.memory import table_bytes

_BATCHES = 4
_DECAY_STEPS = 1_000


class RunSteps:
    """Calls are steps as `fit` traces them, batch after batch.

    Args:
      arguments: flags of `experiments.run`, which are to be defined; data are prepared if missing.

    Raises:
      ValueError, absl.flags.Error: flags that are not known or cannot be used.

    Attributes:
      model: that is trained.
    """

    def __init__(self, arguments: Sequence[str]):
        unexpected = flags.parse(["run_steps", *arguments])[1:]
        if unexpected:
            raise ValueError(f"expected flags of experiments.run, like --dataset=industrial, got {unexpected[0]}")
        experiment = flags.read()
        groups = experiment.groups
        tf.keras.mixed_precision.set_global_policy(groups["train"].precision)
        files = prepared_data.files_of(experiment, prepared_data.find_or_prepare(experiment).data_dir)
        batches = pipeline.read(files, "train", groups["data"], groups["train"].batch_size, seed=(1, 0))
        self.model = new_model(experiment, files)
        compile_model(self.model, groups["train"], _DECAY_STEPS)
        self._kept, self._number = list(batches.take(_BATCHES)), 0
        self._step = tf.function(self.model.train_step, input_signature=[batches.element_spec])

    def __call__(self) -> float:
        """One step; returns the running loss when the step is done."""
        batch = self._kept[self._number % len(self._kept)]
        self._number += 1
        return float(self._step(batch)["loss"])

    @property
    def trained(self) -> int:
        """Numbers that training changes."""
        return sum(weight.shape.num_elements() for weight in self.model.trainable_weights)

    @property
    def table_bytes(self) -> int:
        """Of the weights of all tables, trained or not, without what only training keeps of them."""
        return table_bytes(self.model).stored
