"""TEM4CTR: what was shown around a click and not clicked says what the click meant (Zhang et al., 2023).

Shape letters: B requests, C candidates, V views (C, or 1 where all candidates see the same), L clicks, R exposures on
each side of a click, D item width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import tensorflow as tf

from lcn_tf.contracts import History
from lcn_tf.layers import DINAttention
from lcn_tf.ops.event_forms import as_tensor
from lcn_tf.ops.nearest_events import nearest_events
from lcn_tf.schema import TARGET, UNCLICKED, FeatureSchema

VERSION = 1
_TINY = 1e-12  # of a squared norm, as in the authors' code


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of TEM4CTR; the defaults are the authors' code.

    Raises:
      ValueError: fewer than one exposure on each side, or unknown exposures.
    """

    hidden_units: tuple[int, ...] = dataclasses.field(
        default=(80, 40), metadata={"help": "hidden layers of each attention net"})
    neighbours: int = dataclasses.field(
        default=5, metadata={"help": "exposures nearest in time before each click, and as many after it"})
    exposures: Literal["unclicked", "source", "lifelong"] = dataclasses.field(
        default="unclicked", metadata={"help": "unclicked, or in their place events of the source domain: short "
                                               "(source) or lifelong history"})

    def __post_init__(self):
        if self.neighbours < 1:
            raise ValueError(f"tem4ctr.neighbours must be at least 1, got {self.neighbours}")
        if self.exposures not in ("unclicked", "source", "lifelong"):
            raise ValueError(f"tem4ctr.exposures must be unclicked, source or lifelong, got {self.exposures!r}")

    def extra_histories(self, schema: FeatureSchema) -> tuple[str, ...]:
        """`lcn_tf.contracts.ReadsExtra`."""
        return (self._exposures(schema),) if self.exposures == "unclicked" else ()

    def other_histories(self, schema: FeatureSchema, history: str) -> tuple[str, ...]:
        """`lcn_tf.contracts.ReadsOthers`: the exposures beside a history of the target domain, none beside others."""
        return (self._exposures(schema),) if schema.histories[history].domain == TARGET else ()

    def _exposures(self, schema: FeatureSchema) -> str:
        if self.exposures == "unclicked":
            if UNCLICKED not in schema.histories:
                raise ValueError(f"model.short_term=tem4ctr reads the history {UNCLICKED}, which the records of "
                                 f"{schema.name!r} do not have: prepare them with --unclicked_length=24 "
                                 "(--prep.unclicked_length=24 of experiments.run), or set tem4ctr.exposures=source")
            return UNCLICKED
        if schema.source == TARGET:
            raise ValueError(f"tem4ctr.exposures={self.exposures} needs a lifelong history of another domain than "
                             f"{TARGET}, which {schema.name!r} does not have")
        return schema.short_of(schema.source) if self.exposures == "source" else schema.lifelong


class TEM4CTRInterest(tf.keras.layers.Layer):
    """Clicks, each with what it has in common with the exposures around it, and these exposures, pooled apart.

    TEM4CTR (authors' code). For every click c, the R exposures before it and the R after it that are nearest in time
    (`lcn_tf.ops.nearest_events`) are pooled to u by DIN's attention with c as the query, softmax, no scale; c becomes
    c + s, where s = (u . c) / (|c|^2 + 1e-12) c is what u shares with it. What is left, u - s, is noise to the authors,
    and dropped. Two more such attentions with the candidate as the query pool the clicks c + s, and the u of those
    clicks that have exposures. (docs/readings.md, TEM4CTR: exposures of a click, and the rows below it.)

    Exposures are found among those that a candidate sees, which end before its moment. Candidates of a request who see
    the same exposures share all but the last two attentions.

    A history without exposures beside it, as one of another domain, is pooled by an attention like the second.

    Args:
      config: options.

    Call arguments:
      candidate: `[B, C, D]`.
      history: the clicks.
      others: name -> history; the exposures alone, or {}.

    Returns:
      interest `[B, C, 2 D]`, pooled clicks before pooled exposures, or `[B, C, D]` without exposures beside; zeros for
      an empty history.
    """

    def __init__(self, config: Config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.of_exposures, self.of_clicks, self.of_unclicked = (
            DINAttention(config.hidden_units, "relu", scale=False, name=name)
            for name in ("of_exposures", "of_clicks", "of_unclicked"))

    def other_histories(self, schema: FeatureSchema, history: str) -> tuple[str, ...]:
        """`lcn_tf.contracts.ReadsOthers`."""
        return self.config.other_histories(schema, history)

    def call(self, candidate: tf.Tensor, history: History, others: Mapping[str, History], training: bool = False
             ) -> tf.Tensor:
        """See the class."""
        if not others:
            return self.of_clicks(candidate, history.items, history.mask)
        (exposures,) = others.values()
        places, found = nearest_events(history.timestamps, exposures.timestamps, exposures.views,
                                       self.config.neighbours)  # [B, V, L, 2 R]
        shape, width = tf.shape(places), history.items.shape[-1]
        # Clicks are to this attention what candidates are to others. [B, V L, ...]
        rows, of_click = tf.stack([shape[0], shape[1] * shape[2]]), tf.stack([shape[0], shape[1] * shape[2], shape[3]])
        clicks = tf.broadcast_to(history.items[:, tf.newaxis], tf.concat([shape[:3], [width]], 0))  # [B, V, L, D]
        nearby = as_tensor(exposures.select(tf.reshape(places, of_click), context=False))  # [B, V L, 2 R, D]
        unclicked = self.of_exposures(tf.reshape(clicks, tf.concat([rows, [width]], 0)), nearby,
                                      tf.reshape(found, of_click))  # [B, V L, D]
        unclicked = tf.reshape(unclicked, tf.shape(clicks))
        enhanced = clicks + shared_part(unclicked, clicks)
        compared = history.mask & tf.reduce_any(found, -1)  # [B, C, L]
        return tf.concat([self.of_clicks(candidate, enhanced, history.mask),
                          self.of_unclicked(candidate, unclicked, compared)], -1)


def shared_part(unclicked: tf.Tensor, clicks: tf.Tensor) -> tf.Tensor:
    """The projection of one vector on another, `(u . c) / (|c|^2 + 1e-12) c`, computed in float32.

    Args:
      unclicked, clicks: u and c, `[..., D]`.
    """
    u, c = tf.cast(unclicked, tf.float32), tf.cast(clicks, tf.float32)
    share = tf.reduce_sum(u * c, -1, keepdims=True) / (tf.reduce_sum(c * c, -1, keepdims=True) + _TINY)
    return tf.cast(share * c, clicks.dtype)


def build(config: Config) -> TEM4CTRInterest:
    """The layer of a configuration."""
    return TEM4CTRInterest(config, name="tem4ctr")
