"""Predictions of a split, row by row, and their metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal, NamedTuple

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


class OtherLabel(NamedTuple):
    """Arrays `[N]` of a label beside the first.

    Attributes:
      label: 0 or 1, float32.
      logit: float32; of a label that is given another, given that.
      counted: bool, where it says something.
      joint_logit: float32, that it and all labels that it is given are 1; None where it is given none.
    """

    label: np.ndarray
    logit: np.ndarray
    counted: np.ndarray
    joint_logit: np.ndarray | None = None


class Scored(NamedTuple):
    """Arrays `[N]` of the impressions of which a label says something: 0 or 1, logits, and raw users."""

    label: np.ndarray
    logit: np.ndarray
    user_key: np.ndarray


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
      target_length: events of the short target history that the candidate sees, int64.
      source_length: events of the lifelong history that the candidate sees, int64.
      others: the labels beside the first, by name.
    """

    impression_id: np.ndarray
    user_key: np.ndarray
    label: np.ndarray
    logit: np.ndarray
    target_length: np.ndarray
    source_length: np.ndarray
    others: Mapping[str, OtherLabel] = dataclasses.field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array by name; of another label "<its name>_label", "<its name>_logit" and the like."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "others"}
        return own | {f"{name}_{field}": values for name, other in self.others.items()
                      for field, values in other._asdict().items() if values is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Predictions:
        """From what `arrays` returned."""
        names = [key.removesuffix("_label") for key in arrays if key.endswith("_label")]
        others = {name: OtherLabel(**{field: arrays[key] for field in OtherLabel._fields
                                      if (key := f"{name}_{field}") in arrays}) for name in names}
        own = {field.name: arrays[field.name] for field in dataclasses.fields(cls) if field.name != "others"}
        return cls(**own, others=others)

    @property
    def probability(self) -> np.ndarray:
        """Click probabilities, float64."""
        return expit(self.logit.astype(np.float64))

    def metrics(self, gauc_weights: str = "impressions") -> dict[str, float]:
        """AUC, GAUC, log loss and calibration (see `lcn_tf.metrics.report`).

        Of another label they are called "<its name>_auc" ..., over the impressions of which it says something, and
        "<its name>_joint_auc" ... over all impressions, of it and what it is given, where it is given a label: clicked
        and stayed.
        """
        found = {}
        for prefix, rows in self.by_prefix().items():
            metrics = report.evaluate(*rows, gauc_weights=gauc_weights) if len(rows.label) else {}
            found.update({f"{prefix}{name}": value for name, value in metrics.items()})
        return found

    def by_prefix(self) -> dict[str, Scored]:
        """What metrics' names begin with -> the impressions that they are of: "" for the first label, see `metrics`."""
        found = {"": Scored(self.label, self.logit, self.user_key)}
        for name, other in self.others.items():
            counted = other.counted
            found[f"{name}_"] = Scored(other.label[counted], other.logit[counted], self.user_key[counted])
            if other.joint_logit is not None:
                found[f"{name}_joint_"] = Scored(other.label * counted, other.joint_logit, self.user_key)
        return found

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
    rows = {name: values[order] for name, values in rows.items()}
    others = {name.removeprefix("label of ") for name in rows if name.startswith("label of ")}
    found = {name: OtherLabel(**{field: rows.pop(key) for field in OtherLabel._fields
                                 if (key := f"{field} of {name}") in rows}) for name in sorted(others)}
    return Predictions(**rows, others=found)
