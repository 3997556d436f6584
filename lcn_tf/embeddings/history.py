"""One history of a batch, embedded.

Shape letters: B requests, C candidates, L events, K selected events, D item width, D_c context width.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from lcn_tf.embeddings.row_reader import NEGATIVE, RowReader
from lcn_tf.ops.event_forms import Bucketed, Vectors, as_tensor, beside, compact, gather
from lcn_tf.ops.reached_boundaries import reached_boundaries
from lcn_tf.schema import FIRST_ID, PADDING_ID, Feature


@dataclasses.dataclass(frozen=True)
class EmbeddedHistory:
    """One history of a batch, as candidates see it.

    Attributes:
      items: item embeddings `[B, L, D]`; positions outside the mask hold arbitrary values.
      mask: `[B, C, L]` bool, True where the candidate may see the event.
      search: None, or the pair of candidates `[B, C, D]` and events `[B, L, D]` from the separate tables that only an
        auxiliary objective or the search's own loss trains.
      longest: L at most, in batches of any size.
      common_mask: bool `[B, L]`, the mask of every candidate, where all of each request see the same events; None where
        that is not known.
    """

    items: tf.Tensor
    mask: tf.Tensor
    search: tuple[tf.Tensor, tf.Tensor] | None
    _reader: RowReader
    _name: str
    longest: int
    common_mask: tf.Tensor | None = None

    @property
    def timestamps(self) -> tf.Tensor:
        """Seconds UTC of the events, int64 `[B, L]`; anything at padding."""
        return self._reader.batch[f"{self._name}_timestamp"]

    @property
    def views(self) -> tf.Tensor:
        """`mask` `[B, C, L]`, or `[B, 1, L]` where all candidates of each request see the same events."""
        if self.mask.shape[1] == 1:
            return self.mask
        if self.common_mask is not None:
            return self.common_mask[:, tf.newaxis]
        own = self.mask[:, :1]
        same = tf.equal(self.mask, own) | ~self._reader.batch["candidate_mask"][:, :, tf.newaxis]
        return tf.cond(tf.reduce_all(same), lambda: own, lambda: self.mask)

    @property
    def context_width(self) -> int:
        """D_c; 0 if the schema has no context."""
        return sum(self.context_widths.values())

    @property
    def context_widths(self) -> dict[str, int]:
        """Width of each field that a context embedding concatenates, by name; the time gap is the last."""
        config = self._reader.reading.tables.config
        return {feature.name: config.width(feature.table) for feature in self._context_features()}

    def event_ids(self) -> tf.Tensor:
        """What identifies each event: the ids of its item fields and its timestamp, int64 `[B, L, fields + 1]`."""
        batch = self._reader.batch
        names = (*(feature.name for feature in self._reader.schema.item), "timestamp")
        return tf.stack([batch[f"{self._name}_{name}"] for name in names], axis=-1)

    def shares(self, field: str | None = None) -> tf.Tensor:
        """Which events have the candidate's value of an item field; a value out of vocabulary is shared by none.

        Args:
          field: name of an item feature; None for the one of the fewest values, the category.

        Returns:
          Bool `[B, C, L]`.

        Raises:
          ValueError: `field` is not an item feature.
        """
        schema, batch = self._reader.schema, self._reader.batch
        names = [feature.name for feature in sorted(schema.item, key=lambda feature: schema.tables[feature.table])]
        if field is not None and field not in names:
            raise ValueError(f"field must be an item feature, one of {', '.join(names)}, got {field!r}")
        name = field or names[0]
        own = batch[name][:, :, tf.newaxis]  # [B, C, 1]
        return tf.equal(own, batch[f"{self._name}_{name}"][:, tf.newaxis]) & (own >= FIRST_ID)

    def trained_search(self) -> tuple[tf.Tensor, tf.Tensor]:
        """`search` with the gradient that it stops, for a loss of the search itself."""
        return self._reader.search_pair(self._name)

    def negatives(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Items `[B, n, D]` to contrast the first n events with (`lcn_tf.models.negative_events`), and their mask.

        The mask, bool `[B, n]`, is False where there is none or where it is the event's own item.
        """
        batch, fields = self._reader.batch, self._reader.schema.item
        items = self._reader.items(self._reader.item_keys(NEGATIVE))
        drawn = tf.stack([batch[f"{NEGATIVE}{field.name}"] for field in fields], -1)  # [B, n, fields]
        own = tf.stack([batch[f"{self._name}_{field.name}"] for field in fields], -1)[:, :tf.shape(drawn)[1]]
        return items, tf.reduce_any(drawn != own, -1) & (drawn[..., 0] != PADDING_ID)

    @property
    def vectors(self) -> Vectors:
        """The items `[B, L, D]` for an attention: of a batch that was looked up, gathered from its rows."""
        return self._items(None)

    @property
    def context(self) -> Vectors | None:
        """Context embeddings `[B, L, D_c]` of every event; None if the schema has no context.

        The time gap is all of the context that depends on the candidate. Where each request's candidates have one
        timestamp, they share its buckets, too.
        """
        return self._context(None, self._moments())

    @property
    def stored_context(self) -> Vectors | None:
        """What of `context` does not depend on the moment: all but the time gap; None if there is nothing else."""
        stored = self._reader.schema.stored_context(self._name)
        return beside(*(self._vectors(feature, None) for feature in stored)) if stored else None

    def time_gap(self, timestamps: tf.Tensor) -> Vectors | None:
        """Embeddings `[B, 1 or C, L, w]` of the time from events to candidates; None if the schema has no time gap.

        Args:
          timestamps: of any events, int64 `[B, L]`.
        """
        return self._time_gap(timestamps[:, tf.newaxis], self._moments()) if self._has_time_gap else None

    @property
    def _has_time_gap(self) -> bool:
        return bool(self._reader.schema.time_gap_boundaries)

    def _time_gap(self, timestamps: tf.Tensor, moments: tf.Tensor) -> Bucketed:
        gap = moments[:, :, tf.newaxis] - timestamps
        buckets = reached_boundaries(gap, self._reader.schema.time_gap_boundaries)
        return Bucketed(self._reader.time_gap_rows(), buckets)

    def select(self, indices: tf.Tensor, context: bool = True) -> Vectors:
        """Item and context embeddings of chosen events, looked up by id.

        Args:
          indices: `[B, C, K]` integer positions in the history.
          context: whether to return context, too.

        Returns:
          `[B, C, K, D + D_c]`, or `[B, C, K, D]` without context.
        """
        if self.common_mask is not None:
            events = compact(beside(self._items(None), self.context) if context else self._items(None))
            if events is not None:
                return gather(events, indices)
        items = self._items(indices)
        return beside(items, self._context(indices, self._reader.batch["timestamp"])) if context else items

    def context_at(self, indices: tf.Tensor) -> Vectors | None:
        """Context embeddings of chosen events; None if the schema has no context.

        Args:
          indices: `[B, C, K]` integer positions in the history, or `[B, 1, K]`, the same for all candidates.
        """
        return self._context(indices, self._moments())

    def events(self) -> tf.Tensor:
        """Item and context embeddings of every event for every candidate, `[B, C, L, D + D_c]` (large)."""
        shape = tf.shape(self.mask)
        return as_tensor(self.select(tf.broadcast_to(tf.range(shape[2]), shape)))

    def _context_features(self) -> tuple[Feature, ...]:
        schema = self._reader.schema
        return (*schema.stored_context(self._name), *schema.context_features[len(schema.context):])

    def _items(self, indices: tf.Tensor | None) -> Vectors:
        return beside(*(self._vectors(feature, indices) for feature in self._reader.schema.item))

    def _context(self, indices: tf.Tensor | None, moments: tf.Tensor) -> Vectors | None:
        """Of all events, or those at `indices`, as candidates at `moments [B, 1 or C]` see them."""
        schema = self._reader.schema
        parts = [self._vectors(feature, indices) for feature in schema.stored_context(self._name)]
        if self._has_time_gap:
            timestamp = self._reader.batch[f"{self._name}_timestamp"]
            timestamp = timestamp[:, tf.newaxis] if indices is None else tf.gather(timestamp, indices, batch_dims=1)
            parts.append(self._time_gap(timestamp, moments))
        return beside(*parts) if parts else None

    def _vectors(self, feature: Feature, indices: tf.Tensor | None) -> Vectors:
        return self._reader.event_vectors(feature.table, f"{self._name}_{feature.name}", indices)

    def _moments(self) -> tf.Tensor:
        """Timestamps of the candidates `[B, C]`, or `[B, 1]` where each request's candidates have one timestamp."""
        moments = self._reader.batch["timestamp"]
        if self.mask.shape[1] == 1:
            return moments
        return tf.cond(self._same_moment(), lambda: moments[:, :1], lambda: moments)

    def _same_moment(self) -> tf.Tensor:
        """Scalar bool: all candidates of each request have the timestamp of its first one."""
        batch = self._reader.batch
        timestamp = batch["timestamp"]
        return tf.reduce_all(tf.equal(timestamp, timestamp[:, :1]) | ~batch["candidate_mask"])
