"""One batch, each table looked up once: what the parts of a model read.

Shape letters: B requests, C candidates, L events, D item width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import tensorflow as tf

from lcn_tf.embeddings.history import EmbeddedHistory
from lcn_tf.embeddings.row_penalty import row_penalty
from lcn_tf.embeddings.row_reader import RowReader, TableReading
from lcn_tf.embeddings.schema_reading import visible_events
from lcn_tf.embeddings.seen_rows import seen_rows
from lcn_tf.schema import Feature


class LookedUp:
    """A batch, embedded.

    Args:
      reader: of the batch.
      lengths: history name -> number of events a candidate sees.
      common_views: whether all candidates see every event of their request, the histories being no longer than that, as
        in serving; then they may be scored at once.

    Attributes:
      batch: its tensors by name, as in the table of `lcn_tf.schema`.
      reader: vectors of its ids by the names of their tensors.
      lengths, common_views: as given.
    """

    def __init__(self, reader: RowReader, lengths: Mapping[str, int], common_views: bool = False):
        self.reader = reader
        self.lengths = lengths
        self.common_views = common_views

    @property
    def batch(self) -> Mapping[str, tf.Tensor]:
        """Tensors by name."""
        return self.reader.batch

    @property
    def candidate(self) -> tf.Tensor:
        """Item embeddings of the candidates, `[B, C, D]`."""
        return self.reader.items(self.reader.item_keys(""))

    @property
    def user(self) -> dict[str, tf.Tensor]:
        """User features by name, `[B, width]`."""
        return self._side(self.reader.schema.user)

    @property
    def candidate_side(self) -> dict[str, tf.Tensor]:
        """Features of candidate and request by name, `[B, C, width]`."""
        schema = self.reader.schema
        return self._side((*schema.candidate, *schema.request))

    def history(self, name: str) -> EmbeddedHistory:
        """A history with its items read once per request and the mask of what each candidate may see."""
        reader, search, common = self.reader, None, None
        if reader.reading.search_tables is not None and name == reader.schema.lifelong:
            candidate, events = reader.search_pair(name)  # `trained_search` has the gradient
            search = tf.stop_gradient(candidate), tf.stop_gradient(events)
        if self.common_views:
            common = self.batch[f"{name}_mask"]
        items = reader.items(reader.item_keys(f"{name}_"))
        return EmbeddedHistory(items, self.visible(name), search, reader, name, self.lengths[name], common)

    @property
    def lifelong(self) -> EmbeddedHistory:
        """The lifelong history."""
        return self.history(self.reader.schema.lifelong)

    def visible(self, history: str) -> tf.Tensor:
        """Which events of a history each candidate may see, bool `[B, C, L]`."""
        return visible_events(self.batch, history, self.lengths[history])

    @property
    def labels(self) -> dict[str, tf.Tensor]:
        """Labels by name, float32 `[B, C]`."""
        return {label.name: self.batch[label.key] for label in self.reader.schema.labels}

    def given(self, name: str) -> tf.Tensor:
        """Of which candidates a label says something: where the one that it is given is 1, bool `[B, C]`."""
        labels = {label.name: label for label in self.reader.schema.labels}
        given = labels[name].given
        return self.mask if given is None else self.mask & (self.batch[labels[given].key] > 0)

    @property
    def mask(self) -> tf.Tensor:
        """Which candidates are real, bool `[B, C]`."""
        return self.batch["candidate_mask"]

    @property
    def scenario(self) -> tf.Tensor | None:
        """Id of each impression's scenario, int64 `[B, C]`; None where the schema has none."""
        name = self.reader.schema.scenario
        return None if name is None else self.batch[name]

    def row_penalty(self) -> tf.Tensor:
        """The L2 penalty on the batch's rows, see `lcn_tf.embeddings.row_penalty`."""
        return row_penalty(self.reader, self.lengths)

    def seen_rows(self, table: str) -> tf.Tensor:
        """Which of a table's rows are of values that a candidate sees, see `lcn_tf.embeddings.seen_rows`."""
        return seen_rows(self.reader, self.lengths, table)

    def part(self, begin: tf.Tensor, end: tf.Tensor) -> LookedUp:
        """The requests from `begin` to before `end`, with the rows of the whole batch."""
        batch, places = ({name: values[begin:end] for name, values in tensors.items()}
                         for tensors in (self.reader.batch, self.reader.places))
        return LookedUp(dataclasses.replace(self.reader, batch=batch, places=places), self.lengths, self.common_views)

    def _side(self, features: tuple[Feature, ...]) -> dict[str, tf.Tensor]:
        exclude = self.reader.reading.exclude
        read = [feature for feature in features if feature.name not in exclude]
        return {name: self.reader.mean_vectors(members)
                for name, members in self.reader.schema.read_as_one(read).items()}

    # TensorFlow's and Keras' nested structures see the tensors inside.

    def __tf_flatten__(self):
        components = (dict(self.reader.batch), dict(self.reader.rows), dict(self.reader.places))
        return (_Shape(self.reader.reading, self.lengths, self.common_views),), components

    @classmethod
    def __tf_unflatten__(cls, metadata, components):
        batch, rows, places = components
        return cls(RowReader(metadata[0].reading, batch, rows, places), metadata[0].lengths, metadata[0].common_views)


@dataclasses.dataclass(frozen=True, eq=False)
class _Shape:
    """What of a looked-up batch is no tensor; the same object for every batch of a model, as far as anybody asks."""

    reading: TableReading
    lengths: Mapping[str, int]
    common_views: bool
