"""Retrieval consistency: how much of what a model's last stage would choose reaches that stage.

LCN's Figure 5; TWIN (KDD 2023) compares with the same Oracle (docs/readings.md, consistency). `real` are the best k
events by the last stage's scores on the whole history, `test` the best k of those that the earlier stages pass on in
the model's own cascade; an empty slot is a miss. Heads of the last stage are merged by the mean of their softmax over
the whole history.

Shape letters: B requests, C candidates, N real candidates, L events, H heads, k compared events.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from lcn_tf.contracts import Explains, SearchesByHead
from lcn_tf.data import pipeline
from lcn_tf.metrics.consistency import Consistency, consistency_of_overlaps, row_overlaps
from lcn_tf.models import CTRModel
from lcn_tf.ops.masking import masked_top_k

TOP_K = 50
_BATCH_SIZE = 128  # impressions scored at once: attention over all events of each is what training avoids
_LAST_STAGE = ("fsa_indices", "msa_indices", "esu_indices")  # of `explain`, the last one first


@dataclasses.dataclass(frozen=True)
class RetrievalConsistency(Consistency):
    """Consistency of a model's retrieval.

    Attributes:
      top_k: k: what was asked for or, if fewer, the events that the last stage gets.
      per_head: of a search by head (TWIN), the mean over heads of the consistency of each head's own list: 1 but for
        rounding. None for others.
    """

    top_k: int
    per_head: float | None = None


def measure_split(model: CTRModel, files: pipeline.RecordFiles, split: str, data: pipeline.DataConfig, rows: int,
                  top_k: int = TOP_K) -> RetrievalConsistency | None:
    """`measure` on the first `rows` impressions of a split, in the order of its files and in flat batches."""
    flat = dataclasses.replace(data, layout="flat")
    return measure(model, pipeline.read(files, split, flat, _BATCH_SIZE), rows, top_k)


def measure(model: CTRModel, batches: tf.data.Dataset, rows: int, top_k: int = TOP_K) -> RetrievalConsistency | None:
    """Consistency of the model's retrieval, with its present weights.

    Args:
      model: any; its weights are built.
      batches: batches in either layout. Scores `[B, C, H, L]` of one batch are in memory at a time.
      rows: impressions to look at, the first ones; those whose visible history has no more than k events are trivially
        consistent: they are left out and counted.
      top_k: k, less where the model retrieves fewer.

    Returns:
      None if the model has no stage that chooses events for another (it has no `explain`). Where more than k events are
      passed on, as by LAP's `all`, the best k of them by the stage that passes them count.

    Raises:
      ValueError: `rows` or `top_k` below 1, or no batch.
    """
    for name, value in (("rows", rows), ("top_k", top_k)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    layer = model.long_term
    if not isinstance(layer, Explains):
        return None

    @tf.function(input_signature=[batches.element_spec], autograph=False)
    def choose(batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return _choices(model, layer, batch, top_k)

    visible, overlap, per_head = [], [], []
    left, kept = rows, 1
    for batch in batches:
        found = {name: values.numpy()[:left] for name, values in choose(batch).items()}
        left -= len(found["visible"])
        kept = found["real"].shape[1]
        visible.append(found["visible"])
        overlap.append(row_overlaps(found["real"], found["test"], found["visible"]))
        if "head_real" in found:
            lists = zip(found["head_real"].swapaxes(0, 1), found["head_test"].swapaxes(0, 1), strict=True)
            per_head.append(np.mean([row_overlaps(*pair, found["visible"]) for pair in lists], axis=0))
        if left <= 0:
            break
    if not visible:
        raise ValueError("batches must hold an impression, got none")
    counts = np.concatenate(visible)
    merged = consistency_of_overlaps(np.concatenate(overlap), counts, kept)
    heads = consistency_of_overlaps(np.concatenate(per_head), counts, kept).value if per_head else None
    return RetrievalConsistency(**dataclasses.asdict(merged), top_k=kept, per_head=heads)


def _choices(model: CTRModel, layer: Explains, batch: Mapping[str, tf.Tensor], top_k: int) -> dict[str, tf.Tensor]:
    """Of the real candidates: visible events `[N]`, and the positions `real` and `test` `[N, k]`, -1 in empty slots.

    Of a search by head also those of each head, `head_real` and `head_test` `[N, H, k]`.
    """
    looked_up = model.embedder.look_up(batch)
    candidate, history = looked_up.candidate, looked_up.lifelong
    mask, stages = history.mask, layer.stage_scores(candidate, history)
    if isinstance(layer, SearchesByHead):
        test = _best(stages["gsu"], mask, min(top_k, layer.top_k))
    else:
        explained = layer.explain(candidate, history)
        test = next(explained[name] for name in _LAST_STAGE if name in explained)[..., :top_k]  # best first
    kept = tf.shape(test)[-1]
    chosen = {"visible": tf.reduce_sum(tf.cast(mask, tf.int32), -1), "test": test,
              "real": _best(stages["final"], mask, top_k)[..., :kept]}
    if isinstance(layer, SearchesByHead):
        heads = layer.head_scores(candidate, history)
        for name, stage in (("head_real", "final"), ("head_test", "gsu")):
            lists = [_best(scores, mask, top_k)[..., :kept] for scores in tf.unstack(heads[stage], axis=2)]
            chosen[name] = tf.stack(lists, axis=2)  # [B, C, H, k]
    return {name: tf.boolean_mask(values, batch["candidate_mask"]) for name, values in chosen.items()}


def _best(scores: tf.Tensor, mask: tf.Tensor, top_k: int) -> tf.Tensor:
    """Positions `[B, C, k]` of the best visible events by scores `[B, C, L]`, -1 in empty slots."""
    indices, kept = masked_top_k(scores, mask, top_k)
    return tf.where(kept, indices, -1)
