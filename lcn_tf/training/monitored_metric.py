"""The validation metric that chooses the epoch, by its name: of the first label, or of another one."""

from __future__ import annotations

from collections.abc import Sequence

from lcn_tf.schema import Label

_METRICS = ("auc", "gauc", "logloss")
_LOWER_IS_BETTER = "logloss"


def known(labels: Sequence[Label]) -> list[str]:
    """Names of the metrics that can choose the epoch of a model of these labels, as in `Predictions.metrics`."""
    prefixes = [""]
    for label in labels[1:]:
        prefixes += [f"{label.name}_", f"{label.name}_joint_"] if label.given else [f"{label.name}_"]
    return [f"{prefix}{metric}" for prefix in prefixes for metric in _METRICS]


def check_name(monitor: str) -> None:
    """Refuses what no model has.

    Raises:
      ValueError: not one of the metrics, with or without a label.
    """
    if not _metric(monitor):
        raise ValueError(f"train.monitor must be one of {', '.join(_METRICS)}, or one of another label, like "
                         f"long_stay_auc, got {monitor!r}")


def check(monitor: str, labels: Sequence[Label]) -> None:
    """Refuses a metric that a model of these labels does not have.

    Raises:
      ValueError: with the names of those that it has.
    """
    if monitor not in known(labels):
        raise ValueError(f"train.monitor must be one of {', '.join(known(labels))} for this model, got {monitor!r}")


def sign(monitor: str) -> int:
    """1 where more is better, else -1."""
    return -1 if _metric(monitor) == _LOWER_IS_BETTER else 1


def prefix(monitor: str) -> str:
    """What names of metrics of the monitored label begin with: "" for the first, "long_stay_" for another."""
    return monitor.removesuffix(_metric(monitor))


def _metric(monitor: str) -> str:
    """Its name without the label's."""
    return next((metric for metric in _METRICS if f"_{monitor}".endswith(f"_{metric}")), "")
