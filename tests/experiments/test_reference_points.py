"""What a model is measured against has the model's rows, also where impression ids repeat."""

import dataclasses

import numpy as np
import pytest

from experiments import reference_points
from lcn_tf.data.pipeline import DataConfig, RecordFiles, read
from lcn_tf.metrics import report
from lcn_tf.schema import Label
from lcn_tf.training import Predictions
from lcn_tf.training.evaluation import OtherLabel
from tests import synthetic

NAMES = ("impression_id", "row_number", "user_key")


def rows_of(files, split, layout):
    """The rows of a split as `predict` arranges them, with logits of no meaning."""
    keys = {name: name for name in NAMES} | {"label": files.schema.labels[0].key}
    columns = {name: [] for name in keys}
    for batch in read(files, split, DataConfig(layout, 3, 11), 29):
        mask = batch["candidate_mask"].numpy()
        for name, key in keys.items():
            values = batch[key].numpy()
            columns[name].append(np.broadcast_to(values.reshape(len(mask), -1), mask.shape)[mask])
    found = {name: np.concatenate(values) for name, values in columns.items()}
    order = np.lexsort((found.pop("row_number"), found["impression_id"]))
    empty = np.zeros(len(order), np.int64)
    return Predictions(**{name: values[order] for name, values in found.items()},
                       logit=np.zeros(len(order), np.float32), target_length=empty, source_length=empty)


def popularity(groups, rates):
    """AUC of item popularity, request by request."""
    labels = [label for group in groups for label in group["clicked"]]
    logits = [np.log(rates[price] / (1 - rates[price])) for group in groups for price in group["price"]]
    users = [group["user_key"][0] for group in groups for _ in group["clicked"]]
    return report.evaluate(np.array(labels, np.float32), np.array(logits), np.array(users))["auc"]


@pytest.mark.parametrize("layout", ["flat", "grouped"])
@pytest.mark.parametrize("impression_id", ["0", "place in the record", "unique"])
def test_item_popularity_is_that_of_each_row(tmp_path, layout, impression_id):
    schema = dataclasses.replace(synthetic.make_schema(), labels=(Label("click", "clicked"),))
    groups = {split: synthetic.make_groups(schema, count, seed) for seed, (split, count) in enumerate(
        {"train": 80, "validation": 3, "test": 60}.items())}
    for split in groups.values():
        for group in split:
            size = len(group["clicked"])
            group["impression_id"] = {"0": [0] * size, "place in the record": list(range(size))}.get(
                impression_id, group["impression_id"])
    synthetic.write_records(tmp_path, schema, groups, shards=3)
    files = RecordFiles.open(str(tmp_path))
    shown = [(price, label) for group in groups["train"]
             for price, label in zip(group["price"], group["clicked"], strict=True)]
    mean = np.mean([label for _, label in shown])
    rates = {price: (sum(label for other, label in shown if other == price) + 10 * mean)
             / (sum(other == price for other, _ in shown) + 10) for price in range(7)}
    table = reference_points.measure(files, "test", rows_of(files, "test", layout), None)
    assert table["item popularity"]["auc"] == pytest.approx(popularity(groups["test"], rates), abs=1e-12)


def test_a_mechanism_and_another_label_have_reference_points_of_their_own(tmp_path):
    synthetic.write_records(tmp_path)
    files = RecordFiles.open(str(tmp_path))
    rows = rows_of(files, "test", "flat")
    clicked = dict(zip(rows.impression_id.tolist(), rows.label.tolist(), strict=True))
    stays = (rows.impression_id % 3 == 0).astype(np.float32) * rows.label
    rows = dataclasses.replace(rows, others={"long_stay": OtherLabel(stays, rows.logit, rows.label > 0)})
    truth = tmp_path / "truth.csv"
    truth.write_text("impression_id,probability,probability_without,long_stay\n" + "".join(
        f"{number},{0.2 + 0.6 * clicked.get(number, 0)},0.3,{0.1 if number % 3 else 0.9}\n" for number in range(1000)))
    table = reference_points.measure(files, "test", rows, str(truth))
    assert (table["oracle"]["auc"], table["without mechanism"]["auc"]) == (1.0, 0.5)
    assert table["oracle"]["long_stay_auc"] == 1.0 and table["model"]["long_stay_auc"] == 0.5
    assert table["oracle"]["long_stay_impressions"] == rows.label.sum()


def test_true_probabilities_need_ids_that_do_not_repeat(tmp_path):
    synthetic.write_records(tmp_path)
    truth = tmp_path / "truth.csv"
    truth.write_text("impression_id,probability\n" + "".join(f"{number},0.5\n" for number in range(1000)))
    files = RecordFiles.open(str(tmp_path))
    rows = rows_of(files, "test", "flat")
    assert reference_points.measure(files, "test", rows, str(truth))["oracle"]["auc"] == 0.5
    assert set(reference_points.measure(files, "test", rows, str(truth))) == {
        "model", "item popularity", "base rate", "oracle"}
    rows.impression_id[3] = rows.impression_id[4]
    with pytest.raises(ValueError, match=r"truth.csv: its probabilities .* the records have 2 impressions of imp"):
        reference_points.measure(files, "test", rows, str(truth))
