"""CSA over all events and MSA over those that CSA keeps, in the passes of one attention (`ops.joint_attention`).

For events that were gathered from the rows of a batch, as training reads them. MSA's vectors are not gathered for each
candidate: it weighs all events, those that CSA does not keep by 0, which is less to move and, in the gradient, to sum.

Shapes: B requests, C candidates, L events, D item width, E event width, D_a attention width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from lcn_tf.layers.csa import CSA, LINEAR_POOLS
from lcn_tf.layers.msa import MSA
from lcn_tf.ops.event_forms import Bucketed, Gathered, Vectors, parts_of, products, weighted_sums, width_of
from lcn_tf.ops.joint_attention import Attended, Weighed, joint_attention
from lcn_tf.ops.masking import best_mask, expand_mask


class JointLevels(NamedTuple):
    """What both levels return.

    Attributes:
      csa, msa: interests `[B, C, D]` and `[B, C, D_a]`.
      logits: of MSA, float32 `[B, C, L]`, for ranking: no gradient passes.
      kept: bool `[B, C, L]`, the events that CSA kept.
    """

    csa: tf.Tensor
    msa: tf.Tensor
    logits: tf.Tensor
    kept: tf.Tensor


def fits(csa: CSA, msa: MSA, items: Vectors, context: Vectors | None) -> bool:
    """Whether `joint_levels` can take these: sums of gathered items, other parts of few rows each, MSA with weights."""
    of_items = parts_of(items)
    return (csa.pool in LINEAR_POOLS and msa.built and msa.projections.built
            and any(isinstance(part, Gathered) for part in of_items)
            and all(isinstance(part, (Gathered, Bucketed)) for part in of_items)
            and all(isinstance(part, Bucketed) for part in parts_of(context)))


def joint_levels(csa: CSA, msa: MSA, candidate: tf.Tensor, items: Vectors, context: Vectors | None, mask: tf.Tensor,
                 top_k: int) -> JointLevels:
    """Both levels.

    Args:
      csa, msa: the layers, MSA with its weights.
      candidate: `[B, C, D]`.
      items: `[B, L, D]`, in forms that fit.
      context: `[B, L, D_c]` or `[B, C, L, D_c]`, in forms that fit, or None.
      mask: bool `[B, L]` or `[B, C, L]`.
      top_k: events that CSA keeps.
    """
    of_items, of_context = parts_of(items), parts_of(context)
    mask = expand_mask(mask)
    queries = tf.split(tf.cast(candidate, tf.float32), [width_of(part) for part in of_items], -1)
    second = msa.event_queries(candidate, [width_of(part) for part in (*of_items, *of_context)])
    gathered = [place for place, part in enumerate(of_items) if isinstance(part, Gathered)]
    few = [(place, part) for place, part in enumerate((*of_items, *of_context)) if place not in gathered]

    def weigh(scores: tf.Tensor, logits: tf.Tensor) -> Weighed:
        with tf.name_scope("best_of_csa"):
            return msa.weighed(logits, best_mask(scores, mask, top_k))

    def added(own: list[tf.Tensor]) -> tf.Tensor | None:
        found = [products(own[place][:, :, tf.newaxis], part)[:, :, 0] for place, part in few if place < len(own)]
        return tf.add_n(found) if found else None

    def among(own: list[tf.Tensor]) -> tf.Tensor:
        return tf.concat([own[place] for place in gathered], -1)

    found = joint_attention(
        among(queries), among(second), [part for part in of_items if isinstance(part, Gathered)], added(queries),
        added(second), csa.factors(mask, candidate.shape[-1]), weigh)

    def pooled(attended: Attended, parts: Sequence[Vectors]) -> tf.Tensor:
        widths = [width_of(of_items[place]) for place in gathered]
        sums = dict(zip(gathered, tf.split(attended.pooled, widths, -1), strict=True))
        weights = attended.weights[:, :, tf.newaxis]
        return tf.concat([sums[place] if place in sums else weighted_sums(weights, part)[:, :, 0]
                          for place, part in enumerate(parts)], -1)

    return JointLevels(csa.interest(pooled(found.first, of_items), mask),
                       msa.interest(pooled(found.second, (*of_items, *of_context))), found.logits, found.kept)
