"""The metric that chooses the epoch may be one of another label."""

import pytest

from lcn_tf.schema import CLICK, Label
from lcn_tf.training import TrainConfig, monitored_metric, trainer

LABELS = (CLICK, Label("long_stay", given="click"), Label("auc"))
HISTORY = [{"epoch": epoch, "validation_auc": auc, "validation_long_stay_auc": stay,
            "validation_long_stay_logloss": loss}
           for epoch, auc, stay, loss in ((1, 0.7, 0.60, 0.2), (2, 0.6, 0.65, 0.3), (3, 0.6, float("nan"), 0.1))]


def test_metrics_are_those_of_each_label():
    assert monitored_metric.known(LABELS[:1]) == ["auc", "gauc", "logloss"]
    assert monitored_metric.known(LABELS)[3:] == [
        "long_stay_auc", "long_stay_gauc", "long_stay_logloss",
        "long_stay_joint_auc", "long_stay_joint_gauc", "long_stay_joint_logloss", "auc_auc", "auc_gauc", "auc_logloss"]
    for name in monitored_metric.known(LABELS):
        monitored_metric.check_name(name)
        monitored_metric.check(name, LABELS)
    with pytest.raises(ValueError, match="for this model, got 'purchase_auc'"):
        monitored_metric.check("purchase_auc", LABELS)


@pytest.mark.parametrize("name, prefix, sign", [
    ("auc", "", 1), ("gauc", "", 1), ("logloss", "", -1), ("long_stay_gauc", "long_stay_", 1), ("auc_auc", "auc_", 1),
    ("long_stay_joint_logloss", "long_stay_joint_", -1)])
def test_a_name_says_label_and_direction(name, prefix, sign):
    assert (monitored_metric.prefix(name), monitored_metric.sign(name)) == (prefix, sign)


@pytest.mark.parametrize("name, epoch", [("auc", 1), ("long_stay_auc", 2), ("long_stay_logloss", 3)])
def test_the_epoch_is_that_of_the_labels_metric(name, epoch):
    assert trainer._best_epoch(HISTORY, TrainConfig(monitor=name)) == epoch
