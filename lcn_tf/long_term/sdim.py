"""SDIM: events that share the candidate's hash signatures, summed; no attention (Cao et al., CIKM 2022).

Shape letters: B requests, C candidates, G signatures, L events, D item width, D_c context width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.layers.simhash import HashPooling
from lcn_tf.layers.top_k_attention import TopKAttention
from lcn_tf.ops.compact_events import Compact
from lcn_tf.ops.event_forms import Bucketed, as_tensor, beside, compact, leading_sizes
from lcn_tf.ops.masking import mask_scores

VERSION = 1

_STATE_BITS = 8  # of signatures up to which each bucket has a sum of its own


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of SDIM; the defaults are the paper's 48 bits in signatures of 3."""

    num_hashes: int = dataclasses.field(default=16, metadata={"help": "signatures (m / tau)"})
    hash_bits: int = dataclasses.field(default=3, metadata={"help": "bits of a signature (tau)"})
    hash_seed: int = dataclasses.field(default=0, metadata={"help": "seed of the projections, drawn once and saved"})
    esu: Literal["pool", "mhta"] = dataclasses.field(
        default="pool", metadata={"help": "reading: events that share a signature are summed (the paper) or attended "
                                          "to (TWIN's comparison)"})
    attention_dim: int = dataclasses.field(default=64, metadata={"help": "width of the projections of esu=mhta"})
    num_heads: int = dataclasses.field(default=1, metadata={"help": "heads of esu=mhta"})
    context: bool = dataclasses.field(
        default=True, metadata={"help": "reading: pool items with their context, as SIM does (false, the paper: items "
                                        "alone)", "before": False})


class SDIMInterest(tf.keras.layers.Layer):
    """Hash pooling of the events; no weight is trained, and no stage ranks events (hence no `stage_scores`).

    Items alone are hashed, since a candidate has no context to collide with. With `context` each signature's sum is of
    items and context side by side, normalised together, so that the interest is as wide as an event.

    A candidate's signatures name one bucket each, and what is in a bucket does not depend on the candidate: in scoring,
    each bucket is summed once for all candidates of a request, or before it (`lcn_tf.contracts.UpdatesState`).

    Attributes:
      keeps_state: whether signatures are of so few bits, 8, that buckets are summed.
    """

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.context = config.context
        self.pooling = HashPooling(config.num_hashes, config.hash_bits, config.hash_seed, name="pooling")
        self.keeps_state = config.hash_bits <= _STATE_BITS

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D + D_c]`, or `[B, C, D]` without context."""
        if history.common_mask is not None and self.keeps_state and not training:
            return self.from_state(candidate, self.state_of(history), history)
        collisions = self.pooling.collisions(candidate, history.items, history.mask)  # [B, C, G, L]
        return self.pooling.pool(collisions, beside(history.vectors, history.context if self.context else None))

    def state_of(self, history: History) -> dict[str, tf.Tensor]:
        """Sums over the events of each bucket: `sums [B, G 2^hash_bits, N]` of `Compact` columns, and their `counts`.

        Time gaps depend on the moment of ranking. Where they are pooled, `buckets`, uint8 `[B, L, G]`, `timestamp` and
        `mask` of all events are kept, too.
        """
        mask, buckets = history.common_mask, self.pooling.buckets(history.items)
        members = self.pooling.members(buckets, mask)  # [B, L, G 2^hash_bits]
        state = {"sums": tf.matmul(members, self._events(history).columns, transpose_a=True),
                 "counts": tf.reduce_sum(members, axis=1), "events": tf.reduce_sum(tf.cast(mask, tf.int32), -1)}
        if self._time_gap(history, history.timestamps) is not None:
            state.update(buckets=tf.cast(buckets, tf.uint8), timestamp=history.timestamps, mask=mask)
        return state

    def from_state(self, candidate: tf.Tensor, state: Mapping[str, tf.Tensor], history: History) -> tf.Tensor:
        """Candidates `[B, C, D]` and what `state_of` kept -> interest `[B, C, D + D_c]`."""
        sums = as_tensor(Compact(state["sums"], self._events(history).rows))  # [B, G 2^hash_bits, D + ...]
        gap = self._time_gap(history, state["timestamp"]) if "timestamp" in state else None
        if gap is None:
            return self.pooling.pool_buckets(candidate, sums)
        # Candidates have V moments: all of a request the same one, V = 1, or each its own, V = C.
        members = self.pooling.members(tf.cast(state["buckets"], tf.int32), state["mask"])  # [B, L, G 2^hash_bits]
        counts = tf.matmul(gap.membership(), members[:, tf.newaxis])  # [B, V, gaps, G 2^hash_bits]
        of_gap = tf.tensordot(tf.linalg.matrix_transpose(counts), tf.cast(gap.rows, tf.float32), 1)
        (batch, moments), (_, candidates) = leading_sizes(counts), leading_sizes(candidate)
        shape = [batch, moments, *sums.shape[1:]]
        sums = tf.concat([tf.broadcast_to(sums[:, tf.newaxis], shape), of_gap], -1)
        each = candidates // tf.maximum(moments, 1)
        by_moment = tf.reshape(candidate, [batch * moments, each, candidate.shape[-1]])
        interest = self.pooling.pool_buckets(by_moment, tf.reshape(sums, [batch * moments, *sums.shape[2:]]))
        return tf.reshape(interest, [batch, candidates, interest.shape[-1]])

    def updated(self, state: Mapping[str, tf.Tensor], new: History, gone: History) -> dict[str, tf.Tensor]:
        """The state with new events, most recent first, and without the oldest, `gone`.

        A bucket without events is exactly zero again: what rounding leaves there would be normalised to length one.
        """
        added, removed = self.state_of(new), self.state_of(gone)
        counts, sums, events = (state[name] + added[name] - removed[name] for name in ("counts", "sums", "events"))
        found = {"sums": tf.where(counts[..., tf.newaxis] > 0, sums, 0.0), "counts": counts, "events": events}
        if "timestamp" not in state:
            return found
        lists = {name: tf.concat([added[name], state[name]], 1) for name in ("buckets", "timestamp", "mask")}
        real = tf.cast(lists["mask"], tf.int32)  # [B, k + L]
        kept = lists["mask"] & (tf.cumsum(real, axis=1) <= events[:, tf.newaxis])  # lists may lack the oldest already
        # Of equal numbers, `top_k` takes the first one first: events come before padding, each in their order.
        order = tf.math.top_k(tf.cast(kept, tf.int32), tf.minimum(new.longest, tf.shape(kept)[1])).indices
        lists["mask"] = kept
        return {**found, **{name: tf.gather(values, order, batch_dims=1) for name, values in lists.items()}}

    def _events(self, history: History) -> Compact:
        """What is summed of every event, but for its time gap."""
        events = compact(beside(history.items, history.stored_context if self.context else None))
        if not isinstance(events, Compact):
            raise ValueError("stored context must be of events alone, got one of candidates")
        return events

    def _time_gap(self, history: History, timestamps: tf.Tensor) -> Bucketed | None:
        return history.time_gap(timestamps) if self.context else None


class SDIMAttention(tf.keras.layers.Layer):
    """Target attention over the events whose items share a signature with the candidate, however many these are."""

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.pooling = HashPooling(config.num_hashes, config.hash_bits, config.hash_seed, name="pooling")
        self.attention = TopKAttention(None, config.attention_dim, config.num_heads, config.context, name="attention")

    def call(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, D]`."""
        return self.attention(candidate, history, mask=self._shared(candidate, history) > 0)

    def stage_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores `[B, C, L]` over the whole history: `gsu`, the number of shared signatures; `final`, the attention."""
        return {"gsu": mask_scores(self._shared(candidate, history), history.mask),
                "final": self.attention.final_scores(candidate, history)}

    def _shared(self, candidate: tf.Tensor, history: History) -> tf.Tensor:
        """How many of the candidate's signatures each visible event has, float32 `[B, C, L]`."""
        collisions = self.pooling.collisions(candidate, history.items, history.mask)  # [B, C, G, L]
        return tf.reduce_sum(tf.cast(collisions, tf.float32), axis=2)


def build(config: Config) -> SDIMInterest | SDIMAttention:
    """The layer of a configuration."""
    return (SDIMInterest if config.esu == "pool" else SDIMAttention)(config, name="sdim")
