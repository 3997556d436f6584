"""Predictions of a split, row by row, and their metrics."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import tensorflow as tf
from scipy.special import expit

from lcn_tf.metrics import report, slices_by_length
from lcn_tf.models import CTRModel
from lcn_tf.training.distributed_input import Batches


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """How a model is measured."""

    gauc_weights: Literal["impressions", "clicks", "unweighted"] = dataclasses.field(
        default="impressions", metadata={"help": "weight of each user's AUC in GAUC"})
    consistency_rows: int = dataclasses.field(
        default=0, metadata={"changes_result": False,
                             "help": "impressions to measure the consistency of retrieval on, the first ones of "
                                     "validation after every epoch and of the test split at the end; 0: none"})

    def __post_init__(self):
        if self.consistency_rows < 0:
            raise ValueError(f"eval.consistency_rows must not be negative, got {self.consistency_rows}")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Arrays `[N]`, one entry per impression of a split.

    They are in ascending order of `impression_id`, those of one id in the order in which the files are read: the same
    for the same files, whatever the layout, the batches and the replicas.

    Attributes:
      impression_id: int64.
      user_key: raw user, int64.
      label: 0 or 1, float32.
      logit: float32.
      target_length: events of `short_target` that the candidate sees, int64.
      source_length: events of `lifelong_source` that the candidate sees, int64.
    """

    impression_id: np.ndarray
    user_key: np.ndarray
    label: np.ndarray
    logit: np.ndarray
    target_length: np.ndarray
    source_length: np.ndarray

    @property
    def probability(self) -> np.ndarray:
        """Click probabilities, float64."""
        return expit(self.logit.astype(np.float64))

    def metrics(self, gauc_weights: str = "impressions") -> dict[str, float]:
        """AUC, GAUC, log loss and calibration (see `lcn_tf.metrics.report`)."""
        return report.evaluate(self.label, self.logit, self.user_key, gauc_weights=gauc_weights)

    def slices(self, gauc_weights: str = "impressions") -> dict[str, list[dict[str, str | float]]]:
        """"target_length" and "source_length" -> metrics by that length (see `lcn_tf.metrics.slices`)."""
        lengths = {"target_length": self.target_length, "source_length": self.source_length}
        return {name: slices_by_length(self.label, self.logit, self.user_key, values, gauc_weights)
                for name, values in lengths.items()}


def predict(model: CTRModel, dataset: tf.data.Dataset | Batches) -> Predictions:
    """Scores every impression of a dataset, once over all replicas; its order and batches do not matter.

    With several machines the dataset is of `evaluation_batches`; all of them get all rows.

    Raises:
      ValueError: the dataset holds no impression.
    """
    batches = dataset if isinstance(dataset, Batches) else Batches(dataset, None)
    rows = model.predict(batches.dataset, steps=batches.steps, verbose=0)
    if not len(rows["label"]):
        raise ValueError("no impression to score: the split is empty")
    order = np.lexsort((rows.pop("row_number"), rows["impression_id"]))
    return Predictions(**{name: values[order] for name, values in rows.items()})
