"""Offline metrics in float64 numpy, and streaming ones for `fit`."""

from lcn_tf.metrics.auc import auc_from_histograms, binned_auc, exact_auc
from lcn_tf.metrics.calibration import (
    binary_entropy,
    calibration_ratio,
    logloss,
    logloss_from_logits,
    normalized_entropy,
)
from lcn_tf.metrics.consistency import (
    Consistency,
    consistency_of_indices,
    consistency_of_overlaps,
    consistency_of_scores,
    index_overlap,
    row_overlaps,
    top_k_indices,
)
from lcn_tf.metrics.gauc import GAUC_WEIGHTS, GroupAUC, group_auc, per_user_auc
from lcn_tf.metrics.report import evaluate
from lcn_tf.metrics.significance import (
    DeLong,
    Interval,
    TTest,
    delong,
    detectable_difference,
    hanley_mcneil,
    holm,
    interval,
    metrics_of_resamples,
    paired_t_test,
    resampled_seeds,
    user_bootstrap,
)
from lcn_tf.metrics.slices import slices_by_length
from lcn_tf.metrics.streaming import StreamingAUC, StreamingCalibration, StreamingLogLoss
from lcn_tf.metrics.xauc import xauc

__all__ = [
    "GAUC_WEIGHTS",
    "Consistency",
    "DeLong",
    "GroupAUC",
    "Interval",
    "StreamingAUC",
    "StreamingCalibration",
    "StreamingLogLoss",
    "TTest",
    "exact_auc",
    "auc_from_histograms",
    "binary_entropy",
    "binned_auc",
    "metrics_of_resamples",
    "calibration_ratio",
    "consistency_of_indices",
    "consistency_of_overlaps",
    "consistency_of_scores",
    "delong",
    "detectable_difference",
    "evaluate",
    "group_auc",
    "hanley_mcneil",
    "holm",
    "index_overlap",
    "interval",
    "logloss",
    "logloss_from_logits",
    "normalized_entropy",
    "paired_t_test",
    "per_user_auc",
    "resampled_seeds",
    "row_overlaps",
    "slices_by_length",
    "top_k_indices",
    "user_bootstrap",
    "xauc",
]
