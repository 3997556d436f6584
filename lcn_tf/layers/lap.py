"""The Lifelong Attention Pyramid: three levels of target attention over ever fewer events.

Shapes: B requests, C candidates, L events, K events a level keeps, D item width, D_c context width, E = D + D_c,
D_a attention width, H heads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from lcn_tf.layers.csa import CSA
from lcn_tf.layers.fsa import FSA
from lcn_tf.layers.history_layer import HistoryLayer
from lcn_tf.layers.joint_levels import fits, joint_levels
from lcn_tf.layers.msa import MSA, SharedMSA, attention_weights
from lcn_tf.ops.event_forms import Vectors, as_tensor, beside, compact, gather
from lcn_tf.ops.masking import (
    SCREEN_EVENTS,
    SCREEN_FROM,
    expand_mask,
    mask_scores,
    masked_softmax,
    masked_top_k,
    screened_top_k,
)

LAP_INTEGRATIONS = ("concat", "last", "sum")
LAP_LEVEL_NORMS = ("none", "rms", "candidate")
DENSE_EVENTS = 24  # of all events to those MSA keeps, up to which logits of all cost less than gathering vectors
JOINT_EVENTS = 5  # the same, up to which weights for all events that candidates share cost less than that in training
LEVEL_RMS = 0.1  # of level_norm="rms": the size of embeddings after some training

Select = Callable[[tf.Tensor], Vectors]
Search = tuple[tf.Tensor, tf.Tensor]


@tf.keras.utils.register_keras_serializable("lcn_tf")
class LAP(HistoryLayer):
    """CSA over all events, MSA over CSA's `msa_top_k` best, FSA over MSA's `fsa_top_k` best.

    Hou et al., KDD 2024 (LCN), section 4.3, eqs 7 to 13. The output concatenates the levels' interests, so that events
    outside the top-k still receive gradient through CSA. With `integration="last"` only the last level's interest
    remains; MSA's projections then get no gradient at all, unless `share_msa_fsa` makes MSA rank by FSA's projections.

    Args:
      msa_top_k: events CSA passes to MSA; None omits MSA.
      fsa_top_k: events FSA sees; None omits FSA.
      csa_pool, csa_scale: see `CSA`.
      msa_norm: see `MSA`.
      attention_dim: D_a of MSA and FSA.
      num_heads, ffn_dim, fsa_pool, fsa_residual, fsa_layer_norm, fsa_dropout: see `FSA`.
      integration: `concat` (printed), `last`, or `sum` (needs D = D_a; not in the paper).
      level_norm: root mean square that each level's interest is brought to, candidate by candidate: "candidate", that
        of the candidate's embedding (no gradient through it); "rms", 0.1; "none" as printed. Printed, CSA's sum is
        cubic in the embeddings' scale and grows with the length, beside levels and features that do not. Zeros stay
        zeros. With either size, `csa_scale` changes nothing, and "softmax" alone of `csa_pool` differs from "sum".
      share_msa_fsa: MSA has no weights of its own: it ranks and pools by the mean over heads of FSA's logits and
        projects by FSA's values (not in the paper; as TWIN shares its two stages).
      seed: seed of FSA's dropout.

    Call arguments:
      candidate: `[B, C, D]`.
      history: item embeddings `[B, L, D]`, most recent first, in any form of `lcn_tf.ops.event_forms`.
      context: context embeddings `[B, L, D_c]` or `[B, C, L, D_c]`, in any form, or None.
      mask: bool `[B, L]` or `[B, C, L]`, True = real.
      select: optional callable (pass it by keyword) from indices `[B, C, K]` to events `[B, C, K, E]` in any form,
        used instead of gathering from `history` and `context`: it may look the rows up by id and derive context for
        these events only.
      search: optional pair of candidates and events for CSA's scores, see `CSA`.
      training: whether FSA's dropout is active. Otherwise, candidates of one `mask [B, L]` are scored at once: the same
        in less time (`lcn_tf.ops.compact_events.Compact`).
      longest: L at most, where the shape does not say it: which of two equal ways is faster depends on it.

    Returns:
      interest `[B, C, output_width(D)]`; zeros for an empty history.

    Raises:
      ValueError: both levels omitted, fewer MSA than FSA events, a top-k below 1, an unknown `integration`, `sum` with
        unequal widths, `share_msa_fsa` without both levels, or what the levels raise.

    Example:
      >>> from lcn_tf.layers import LAP
      >>> candidate, history = tf.ones([2, 5, 16]), tf.ones([2, 300, 16])  # of 2 requests with 5 candidates each
      >>> mask = tf.ones([2, 300], tf.bool)
      >>> lap = LAP(msa_top_k=200, fsa_top_k=50, attention_dim=64)
      >>> lap(candidate, history, mask=mask).shape  # 16 numbers of CSA, 64 of MSA, 64 of FSA
      TensorShape([2, 5, 144])
      >>> lap.explain(candidate, history, mask=mask)["fsa_indices"].shape
      TensorShape([2, 5, 50])
    """

    def __init__(self, msa_top_k: int | None = 200, fsa_top_k: int | None = 50, csa_pool: str = "sum",
                 csa_scale: bool = False, msa_norm: str = "softmax", attention_dim: int = 64, num_heads: int = 4,
                 ffn_dim: int | None = None, fsa_pool: str = "query", fsa_residual: bool = False,
                 fsa_layer_norm: bool = False, fsa_dropout: float = 0.0, integration: str = "concat",
                 level_norm: str = "candidate", share_msa_fsa: bool = False, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        check_levels(msa_top_k, fsa_top_k, integration, share_msa_fsa)
        if level_norm not in LAP_LEVEL_NORMS:
            raise ValueError(f"level_norm must be one of {LAP_LEVEL_NORMS}, got {level_norm!r}")
        self.msa_top_k = msa_top_k
        self.fsa_top_k = fsa_top_k
        self.csa_pool = csa_pool
        self.csa_scale = csa_scale
        self.msa_norm = msa_norm
        self.attention_dim = attention_dim
        self.num_heads = num_heads
        self.ffn_dim = ffn_dim
        self.fsa_pool = fsa_pool
        self.fsa_residual = fsa_residual
        self.fsa_layer_norm = fsa_layer_norm
        self.fsa_dropout = fsa_dropout
        self.integration = integration
        self.level_norm = level_norm
        self.share_msa_fsa = share_msa_fsa
        self.seed = seed
        self._kept = tuple(top_k for top_k in (msa_top_k, fsa_top_k) if top_k is not None)
        policy = {"dtype": self.dtype_policy}
        self.csa = CSA(csa_pool, csa_scale, name="csa", **policy)
        self.fsa: FSA | None = None
        if fsa_top_k is not None:
            self.fsa = FSA(attention_dim, num_heads, ffn_dim, fsa_pool, fsa_residual, fsa_layer_norm, fsa_dropout, seed,
                           name="fsa", **policy)
        self.msa: MSA | SharedMSA | None = None
        if share_msa_fsa and self.fsa is not None:
            self.msa = SharedMSA(self.fsa, msa_norm)
        elif msa_top_k is not None:
            self.msa = MSA(attention_dim, msa_norm, name="msa", **policy)

    def build(self, input_shape: Any) -> None:
        """Checks the widths; the levels are built by their first call, when the event width is known."""
        item_width = input_shape[-1]
        if self.integration == "sum" and item_width != self.attention_dim:
            raise ValueError(f"integration='sum' needs an item width equal to attention_dim, got {item_width} and "
                             f"{self.attention_dim}")
        self.built = True

    def call(self, candidate: tf.Tensor, history: Vectors, context: Vectors | None = None,
             mask: tf.Tensor | None = None, select: Select | None = None, search: Search | None = None,
             training: bool | None = None, longest: int | None = None) -> tf.Tensor:
        """The candidate's lifelong interest; see the class."""
        interests, _ = self._run(candidate, history, context, mask, select, search, training, longest=longest)
        if self.level_norm != "none":
            target = LEVEL_RMS
            if self.level_norm == "candidate":
                target = tf.stop_gradient(root_mean_square(candidate))  # [B, C, 1]
            interests = [tf.cast(with_rms(interest, target), self.compute_dtype) for interest in interests]
        if self.integration == "last":
            return interests[-1]
        if self.integration == "sum":
            return tf.add_n(interests)
        return tf.concat(interests, axis=-1)

    def explain(self, candidate: tf.Tensor, history: Vectors, context: Vectors | None = None,
                mask: tf.Tensor | None = None, select: Select | None = None, search: Search | None = None,
                longest: int | None = None) -> dict[str, tf.Tensor]:
        """Which events each level attended to, best first, with the weights; arguments as in `call`.

        Returns:
          `msa_indices`, `fsa_indices`: int32 `[B, C, K]` positions in the history, -1 in slots left empty.
          `msa_scores`: float32 `[B, C, K]` pooling weights of MSA; `fsa_scores`: FSA's attention averaged over heads;
          both 0 in empty slots. K is the level's top-k or, if smaller, L. An omitted level has no keys.
        """
        return self._run(candidate, history, context, mask, select, search, False, True, longest)[1]

    def stage_scores(self, candidate: tf.Tensor, history: Vectors, context: Vectors | None = None,
                     mask: tf.Tensor | None = None, search: Search | None = None) -> dict[str, tf.Tensor]:
        """Scores of every level over the *whole* history, for the consistency of stages (LCN Figure 5, TWIN's oracle).

        Returns:
          Float32 `[B, C, L]` each, `masking.MASKED_SCORE` at masked events: `gsu`, CSA's scores; `mid`, MSA's logits;
          `final`, the mean over heads of FSA's softmax over the full history. Without MSA there is no `mid`; without
          FSA, MSA's logits are the `final` scores.
        """
        mask = _required(mask)
        events = beside(history, context)
        expanded = expand_mask(mask)
        stages = {"gsu": self.csa(candidate, history, mask=mask, search=search)[1]}
        if self.msa is not None:
            name = "mid" if self.fsa is not None else "final"
            stages[name] = mask_scores(self.msa.attention_logits(candidate, events), expanded)
        if self.fsa is not None:
            logits = self.fsa.attention_logits(candidate, events)  # [B, C, H, L]
            probabilities = masked_softmax(logits, expanded[:, :, tf.newaxis, :])
            stages["final"] = mask_scores(tf.reduce_mean(probabilities, axis=2), expanded)
        return stages

    def output_width(self, item_width: int) -> int:
        """Width of the interest for candidates of width `item_width`."""
        if self.integration != "concat":
            return self.attention_dim
        return item_width + self.attention_dim * len(self._kept)

    def _run(self, candidate: tf.Tensor, history: Vectors, context: Vectors | None, mask: tf.Tensor | None,
             select: Select | None, search: Search | None, training: bool | None, ordered: bool = False,
             longest: int | None = None) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
        """The cascade: interests of the levels, first to last, and what `explain` reports."""
        mask = _required(mask)
        length = mask.shape[-1] if longest is None else longest
        shared = joint = None
        if select is None:
            if not ordered and search is None:
                joint = self._joint_msa(candidate, history, context, length)
            events = beside(history, context)
            shared = self._shared(candidate, events, mask, training)
            select = functools.partial(gather, events if shared is None else shared)
        if joint is not None and shared is None:
            return self._jointly(joint, candidate, history, context, mask, select, training), {}
        if shared is None:
            interest, scores = self.csa(candidate, history, mask=mask, search=search)
        else:
            with tf.name_scope("csa"):
                interest, scores = self.csa.at_once(candidate, as_tensor(history), mask, search)
        interests, explanation = [interest], {}
        screened = shared is not None and length and SCREEN_FROM <= self._kept[0] <= length / SCREEN_EVENTS
        best = screened_top_k if screened else masked_top_k
        with tf.name_scope("best_of_csa"):
            indices, kept = best(scores, mask, self._kept[0], ordered)  # [B, C, K]
        if self.msa is not None:
            if shared is not None and length and length <= DENSE_EVENTS * self._kept[0]:
                with tf.name_scope("msa"):
                    interest, logits = self.msa.among(candidate, shared, indices, kept)
            else:
                interest, logits = self.msa(candidate, select(indices), mask=kept)
            interests.append(interest)
            explanation["msa_indices"] = tf.where(kept, indices, -1)
            explanation["msa_scores"] = attention_weights(logits, kept, self.msa_norm)
            if self.fsa is not None:
                with tf.name_scope("best_of_msa"):
                    slots, kept = masked_top_k(logits, kept, self._kept[-1], ordered)
                    indices = tf.gather(indices, slots, batch_dims=2)
        if self.fsa is not None:  # not gathered from MSA's events, whose gradient would be as large as they are
            interest, attention_scores = self.fsa(candidate, select(indices), mask=kept, training=training)
            interests.append(interest)
            explanation["fsa_indices"] = tf.where(kept, indices, -1)
            explanation["fsa_scores"] = tf.reduce_mean(attention_scores, axis=2)
        return interests, explanation

    def _jointly(self, msa: MSA, candidate: tf.Tensor, history: Vectors, context: Vectors | None, mask: tf.Tensor,
                 select: Select, training: bool | None) -> list[tf.Tensor]:
        """The interests of the levels, CSA and MSA computed as one."""
        found = joint_levels(self.csa, msa, candidate, history, context, mask, self._kept[0])
        if self.fsa is None:
            return [found.csa, found.msa]
        with tf.name_scope("best_of_msa"):
            indices, kept = masked_top_k(found.logits, found.kept, self._kept[-1], ordered=False)
        return [found.csa, found.msa, self.fsa(candidate, select(indices), mask=kept, training=training)[0]]

    def shares_passes(self, candidate: tf.Tensor, history: Vectors, context: Vectors | None, longest: int | None
                      ) -> bool:
        """Whether a call without `select` and `search` would read the events once for CSA and MSA; its arguments."""
        return self._joint_msa(candidate, history, context, longest) is not None

    def _joint_msa(self, candidate: tf.Tensor, history: Vectors, context: Vectors | None, length: int | None
                   ) -> MSA | None:
        """MSA, if it is to share CSA's passes: over events that candidates share, of which it keeps many."""
        if not isinstance(self.msa, MSA) or candidate.shape[1] == 1 or not self._levels_built():
            return None
        few = length is not None and length <= JOINT_EVENTS * self._kept[0]
        return self.msa if few and fits(self.csa, self.msa, history, context) else None

    def _levels_built(self) -> bool:
        """Whether the weights are there; forms of events that only some of the levels read do not build them."""
        return all(level.built for level in (self.csa, self.msa, self.fsa) if isinstance(level, tf.keras.layers.Layer))

    def _shared(self, candidate: tf.Tensor, events: Vectors, mask: tf.Tensor, training: bool | None) -> Vectors | None:
        """Events for scoring many candidates at once; None in training, and where candidates see different ones.

        Training has the forms whose gradients cost least; they also are what builds the levels' weights.
        """
        scoring = not isinstance(training, tf.Tensor) and not training and self._levels_built()
        if not scoring or mask.shape.rank != 2 or candidate.shape[1] == 1:
            return None
        return compact(events)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        names = ("msa_top_k", "fsa_top_k", "csa_pool", "csa_scale", "msa_norm", "attention_dim", "num_heads", "ffn_dim",
                 "fsa_pool", "fsa_residual", "fsa_layer_norm", "fsa_dropout", "integration", "level_norm",
                 "share_msa_fsa", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def root_mean_square(vectors: tf.Tensor) -> tf.Tensor:
    """Over the last axis, float32 `[..., 1]`."""
    return tf.sqrt(tf.reduce_mean(tf.square(tf.cast(vectors, tf.float32)), axis=-1, keepdims=True))


def with_rms(vectors: tf.Tensor, target: tf.Tensor | float) -> tf.Tensor:
    """Float32 vectors `[..., D]` scaled to a root mean square over the last axis; zeros stay zeros."""
    vectors = tf.cast(vectors, tf.float32)
    mean_square = tf.reduce_mean(tf.square(vectors), axis=-1, keepdims=True)
    known = mean_square > 0
    scale = tf.where(known, target * tf.math.rsqrt(tf.where(known, mean_square, 1.0)), 0.0)  # [..., 1]
    return vectors * scale


def check_levels(msa_top_k: int | None, fsa_top_k: int | None, integration: str, share_msa_fsa: bool) -> None:
    """Raises the ValueErrors of `LAP` that concern its levels."""
    if msa_top_k is None and fsa_top_k is None:
        raise ValueError("msa_top_k and fsa_top_k are both None: a pyramid of CSA alone is SIM's soft search, use the "
                         "long-term model sim (SIM Soft)")
    for name, value in (("msa_top_k", msa_top_k), ("fsa_top_k", fsa_top_k)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1 or None, got {value}")
    if msa_top_k is not None and fsa_top_k is not None and msa_top_k < fsa_top_k:
        raise ValueError(f"msa_top_k must be at least fsa_top_k, got msa_top_k={msa_top_k} and fsa_top_k={fsa_top_k}")
    if integration not in LAP_INTEGRATIONS:
        raise ValueError(f"integration must be one of {LAP_INTEGRATIONS}, got {integration!r}")
    if share_msa_fsa and (msa_top_k is None or fsa_top_k is None):
        raise ValueError(f"share_msa_fsa needs both levels, got msa_top_k={msa_top_k} and fsa_top_k={fsa_top_k}")


def _required(mask: tf.Tensor | None) -> tf.Tensor:
    if mask is None:
        raise ValueError("mask must be a bool tensor [B, L] or [B, C, L], got None")
    return tf.cast(mask, tf.bool)
