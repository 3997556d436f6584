"""What a model is measured against: the base rate, item popularity and, for generated logs, the oracle.

A generator that plants a mechanism also gives the probabilities of the same law without it: what models reach at best
that do not know of it.
"""

from __future__ import annotations

import csv

import numpy as np
import tensorflow as tf

from lcn_tf.data import tfrecords
from lcn_tf.data.pipeline import RecordFiles
from lcn_tf.metrics import report
from lcn_tf.training import Predictions

ORACLE, WITHOUT = "oracle", "without mechanism"
# Row -> its column in the generator's file; the first is in every file.
_COLUMNS = {ORACLE: "probability", WITHOUT: "probability_without"}
_PRIOR_IMPRESSIONS = 10  # weight of the base rate in an item's smoothed click rate


def measure(files: RecordFiles, split: str, rows: Predictions, true_probability: str | None,
            gauc_weights: str = "impressions") -> dict[str, dict[str, float]]:
    """Metrics (`lcn_tf.metrics.report`) of a model and of what it is measured against, on one split.

    Args:
      files: the data set.
      split: the split of `rows`.
      rows: the model's predictions.
      true_probability: the generator's file, or None for real data.
      gauc_weights: see `report.evaluate`.

    Returns:
      "model", "item popularity" (the smoothed training click rate of the most specific item: the first candidate-only
      feature where there is one, else the first item feature), "base rate" (the training split's click rate) and, where
      known, "oracle" (the true probabilities, of other labels, too) and "without mechanism".

    Raises:
      ValueError: `true_probability` lacks an impression, or an `impression_id` repeats, so that it cannot tell which.
    """
    feature = (files.schema.candidate or files.schema.item)[0]
    label = files.schema.labels[0].key
    train, shown = _columns(files, "train", label, feature.name), _columns(files, split, label, feature.name)
    click_rate = float(train[label].mean())
    rates = _smoothed_rates(train[feature.name], train[label], files.schema.tables[feature.table], click_rate)
    probabilities = {"item popularity": rates[shown[feature.name]],
                     "base rate": np.full(len(rows.label), click_rate)}
    truth: dict[str, np.ndarray] = {}
    if true_probability:
        _check_unique(true_probability, np.concatenate([train["impression_id"], rows.impression_id]))
        truth = _true_probabilities(true_probability, rows.impression_id)
        probabilities |= {name: truth[column] for name, column in _COLUMNS.items() if column in truth}
    table = {"model": rows.metrics(gauc_weights)}
    for name, probability in probabilities.items():
        table[name] = report.evaluate(rows.label, _logit(probability), rows.user_key, gauc_weights)
    for name, other in rows.others.items():
        if name in truth and other.counted.any():
            metrics = report.evaluate(other.label[other.counted], _logit(truth[name][other.counted]),
                                      rows.user_key[other.counted], gauc_weights)
            table[ORACLE].update({f"{name}_{metric}": value for metric, value in metrics.items()})
    return table


def _logit(probability: np.ndarray) -> np.ndarray:
    return np.log(probability / (1 - probability))


def _smoothed_rates(items: np.ndarray, labels: np.ndarray, size: int, click_rate: float) -> np.ndarray:
    """Click rate of each of `size` items, drawn towards the mean where there are few impressions."""
    shown = np.bincount(items, minlength=size)
    clicked = np.bincount(items, weights=labels, minlength=size)
    return (clicked + _PRIOR_IMPRESSIONS * click_rate) / (shown + _PRIOR_IMPRESSIONS)


def _check_unique(path: str, impression_ids: np.ndarray) -> None:
    found, counts = np.unique(impression_ids, return_counts=True)
    if counts.max() > 1:
        raise ValueError(f"{path}: its probabilities are of impressions by impression_id, but the records have "
                         f"{counts.max()} impressions of impression_id {found[counts.argmax()]}")


def _true_probabilities(path: str, impression_ids: np.ndarray) -> dict[str, np.ndarray]:
    """Column -> `[N]` probabilities: of the click, the same without the mechanism, and of other labels by name."""
    with open(path, encoding="utf-8", newline="") as file:
        _, *names = next(reader := csv.reader(file))
        truth = {int(impression): tuple(map(float, cells)) for impression, *cells in reader}
    missing = [int(impression) for impression in impression_ids if int(impression) not in truth]
    if missing:
        raise ValueError(f"{path}: no true probability for impression_id {missing[0]} ({len(missing)} missing)")
    found = np.array([truth[int(impression)] for impression in impression_ids])
    return dict(zip(names, found.T, strict=True))


def _columns(files: RecordFiles, split: str, *wanted: str) -> dict[str, np.ndarray]:
    """`impression_id` and some `[B, C]` tensors of a split, each `[N]` int64, in the order of `Predictions`."""
    names = ("impression_id", *wanted)
    spec = {name: tf.io.RaggedFeature(tf.int64) for name in names}
    batches = tfrecords.in_turn(files.paths_of(split)).batch(1024)
    parts = [tf.io.parse_example(serialized, spec) for serialized in batches]
    columns = {name: np.concatenate([part[name].flat_values.numpy() for part in parts]) for name in names}
    order = np.argsort(columns["impression_id"], kind="stable")
    return {name: values[order] for name, values in columns.items()}
