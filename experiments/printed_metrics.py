"""The tables a run ends with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lcn_tf.data.prepared_folder import MEASURED_SPLITS

_ROWS = ("model", "item popularity", "base rate", "without mechanism", "oracle")
_COLUMNS = (("AUC", "auc"), ("GAUC", "gauc"), ("logloss", "logloss"), ("calibration", "calibration_ratio"))
_LENGTHS = ("target_length", "source_length")
_SLICE_COLUMNS = (("AUC", "auc", ".4f"), ("GAUC", "gauc", ".4f"), ("click rate", "click_rate", ".4f"),
                  ("impressions", "impressions", ",.0f"), ("users", "users", ",.0f"))


def format_table(name: str, table: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Split -> row -> metrics as text; `model` is shown under its name, with its share of the oracle's AUC if known.

    Below it are its metrics of each further label, where what that is given is 1, and, as "<label>, joint", of all
    impressions and both labels at once.
    A log loss worse than the base rate's is pointed out: AUC, which chooses the epoch by default, does not show it.
    Splits and rows come in a fixed order, whatever theirs in the table.
    """
    header = f"{'split':<12}{'':<20}" + "".join(f"{title:>13}" for title, _ in _COLUMNS)
    lines = [header, "-" * len(header)]
    for split in filter(table.__contains__, MEASURED_SPLITS):
        rows = table[split]
        for row in filter(rows.__contains__, _ROWS):
            metrics = rows[row]
            values = "".join(_cell(metrics[key]) for _, key in _COLUMNS)
            lines.append(f"{split:<12}{name if row == 'model' else row:<20}{values}")
            for label in other_labels(metrics):
                values = "".join(_cell(metrics[f"{label}_{key}"]) for _, key in _COLUMNS)
                lines.append(f"{split:<12}{_title(label):<20}{values}")
        facts = rows["model"]
        lines.append(f"{'':<12}{facts['impressions']:,.0f} impressions, click rate {facts['click_rate']:.4f}, "
                     f"GAUC over {facts['gauc_impression_coverage']:.0%} of them")
        if worse_than_base_rate(rows):
            lines.append(f"{'':<12}log loss worse than the base rate's: a constant probability would be better")
        if "oracle" in rows:
            share = attainable_share(facts["auc"], rows["oracle"]["auc"])
            lines.append(f"{'':<12}share of the attainable AUC (AUC - 0.5) / (oracle AUC - 0.5): {share:.3f}")
    return "\n".join(lines)


def format_slices(slices: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> str:
    """Split -> "target_length" and "source_length" -> slices (`lcn_tf.metrics.slices`) as text."""
    header = f"{'split':<12}{'events of history':<20}" + "".join(f"{title:>13}" for title, _, _ in _SLICE_COLUMNS)
    lines = [header, "-" * len(header)]
    for split in filter(slices.__contains__, MEASURED_SPLITS):
        for name in filter(slices[split].__contains__, _LENGTHS):
            for row in slices[split][name]:
                title = f"{name.removesuffix('_length')} {row['slice']}"
                values = "".join(_cell(row[key], form) for _, key, form in _SLICE_COLUMNS)
                lines.append(f"{split:<12}{title:<20}{values}")
    return "\n".join(lines)


def format_consistency(consistency: Mapping[str, Mapping[str, Any]] | None) -> str:
    """One line for `lcn_tf.training.RetrievalConsistency` by split, None for a model that retrieves nothing."""
    if consistency is None:
        return "Consistency of retrieval: does not apply, no stage of this model retrieves events for another"
    parts = []
    for split in filter(consistency.__contains__, MEASURED_SPLITS):
        facts = consistency[split]
        if not facts["rows"]:
            parts.append(f"{split} undefined, no visible history is longer than that")
            continue
        heads = "" if facts["per_head"] is None else f", {facts['per_head']:.4f} per head"
        parts.append(f"{split} {facts['value']:.4f}, {facts['chance_corrected']:.4f} corrected for chance{heads} "
                     f"({facts['rows']:,} of {facts['rows'] + facts['excluded_rows']:,} impressions)")
    return f"Consistency of the best {consistency[MEASURED_SPLITS[1]]['top_k']}: {'; '.join(parts)}"


def other_labels(metrics: Mapping[str, float]) -> list[str]:
    """What of the metrics of a model is of a label beside the first: "<label>", and "<label>_joint" behind it."""
    ending = f"_{_COLUMNS[0][1]}"
    return sorted(name.removesuffix(ending) for name in metrics if name.endswith(ending))


def _title(label: str) -> str:
    of, joint, _ = label.rpartition("_joint")
    return f"  {of}, joint" if joint else f"  {label}"


def _cell(value: float | None, form: str = ".4f") -> str:
    return f"{'undefined' if value is None or math.isnan(value) else format(value, form):>13}"


def worse_than_base_rate(rows: Mapping[str, Mapping[str, float | None]]) -> bool:
    """Whether a model's log loss on a split is above that of the training click rate for every impression."""
    model, constant = (rows[name]["logloss"] for name in ("model", "base rate"))
    return model is not None and constant is not None and model > constant


def attainable_share(auc: float, oracle_auc: float) -> float:
    """`(AUC - 0.5) / (oracle AUC - 0.5)`, NaN where even the true probabilities do not rank the clicks."""
    return (auc - 0.5) / (oracle_auc - 0.5) if oracle_auc != 0.5 else math.nan
