"""What a model is measured against: the base rate, item popularity and, for generated logs, the oracle."""

from __future__ import annotations

import csv

import numpy as np
import tensorflow as tf

from lcn_tf.data.pipeline import RecordFiles
from lcn_tf.metrics import report
from lcn_tf.training import Predictions

_PRIOR_IMPRESSIONS = 10  # weight of the base rate in an item's smoothed click rate


def base_rate(click_rate: float, rows: Predictions) -> dict[str, float]:
    """Metrics of predicting the training split's click rate for everything."""
    logit = np.full(len(rows.label), np.log(click_rate / (1 - click_rate)))
    return report.evaluate(rows.label, logit, rows.user_key)


def item_popularity(files: RecordFiles, split: str, rows: Predictions) -> tuple[float, dict[str, float]]:
    """The training click rate, and the metrics of predicting each candidate's smoothed click rate in training.

    The item is the most specific one: the first candidate-only feature where there is one, else the first item feature.
    """
    feature = (files.schema.candidate or files.schema.item)[0]
    train = _columns(files, "train", feature.name)
    size = files.schema.tables[feature.table]
    click_rate = float(train["label"].mean())
    shown = np.bincount(train[feature.name], minlength=size)
    clicked = np.bincount(train[feature.name], weights=train["label"], minlength=size)
    rate = (clicked + _PRIOR_IMPRESSIONS * click_rate) / (shown + _PRIOR_IMPRESSIONS)
    items = _columns(files, split, feature.name)
    items = {name: values[np.argsort(items["impression_id"], kind="stable")] for name, values in items.items()}
    probability = rate[items[feature.name]]
    return click_rate, report.evaluate(rows.label, np.log(probability / (1 - probability)), rows.user_key)


def oracle(path: str, rows: Predictions) -> dict[str, float]:
    """Metrics of the true click probabilities, read from the generator's file by `impression_id`.

    Raises:
      ValueError: the file lacks an impression.
    """
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        truth = {int(impression): float(probability) for impression, probability in reader}
    missing = [int(impression) for impression in rows.impression_id if int(impression) not in truth]
    if missing:
        raise ValueError(f"{path}: no true probability for impression_id {missing[0]} ({len(missing)} missing)")
    probability = np.array([truth[int(impression)] for impression in rows.impression_id])
    return report.evaluate(rows.label, np.log(probability / (1 - probability)), rows.user_key)


def _columns(files: RecordFiles, split: str, feature: str) -> dict[str, np.ndarray]:
    """`impression_id`, `label` and one `[B, C]` feature of every impression of a split, each `[N]` int64."""
    names = ("impression_id", "label", feature)
    spec = {name: tf.io.RaggedFeature(tf.int64) for name in names}
    dataset = tf.data.TFRecordDataset(list(files.splits[split])).batch(1024)
    parts = [tf.io.parse_example(serialized, spec) for serialized in dataset]
    return {name: np.concatenate([part[name].flat_values.numpy() for part in parts]) for name in names}
