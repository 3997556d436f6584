"""Predictions of a split, row by row, and their metrics."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import tensorflow as tf

from lcn_tf.metrics import report, sigmoid
from lcn_tf.models import CTRModel
from lcn_tf.training.distributed_input import Batches


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """How a model is measured."""

    gauc_weights: Literal["impressions", "clicks", "unweighted"] = dataclasses.field(
        default="impressions", metadata={"help": "weight of each user's AUC in GAUC (A-54)"})


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Arrays `[N]`, one entry per impression of a split, in ascending order of `impression_id`."""

    impression_id: np.ndarray
    user_key: np.ndarray
    label: np.ndarray
    logit: np.ndarray

    @property
    def probability(self) -> np.ndarray:
        """Click probabilities, float64."""
        return sigmoid(self.logit)

    def metrics(self, gauc_weights: str = "impressions") -> dict[str, float]:
        """The metrics of SPEC E.1 to E.3 (see `lcn_tf.metrics.report`)."""
        return report.evaluate(self.label, self.logit, self.user_key, gauc_weights=gauc_weights)


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
    order = np.argsort(rows["impression_id"], kind="stable")
    return Predictions(**{name: rows[name][order] for name in ("impression_id", "user_key", "label", "logit")})
