"""Which of the rows that a batch looked up are of values that its candidates see.

Shape letters: U distinct ids.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from lcn_tf.embeddings.row_reader import RowReader
from lcn_tf.embeddings.schema_reading import readers, seen_ids
from lcn_tf.schema import FIRST_ID, TIME_GAP


def seen_rows(reader: RowReader, lengths: Mapping[str, int], table: str) -> tf.Tensor:
    """1 for the rows of values that a real candidate of the batch sees, else 0; the same whatever the layout.

    Not seen are padding, what stands for values out of vocabulary, events outside of every candidate's window, and rows
    that a loss drew. Of the time gap's buckets all are.

    Args:
      reader: of a batch that was looked up.
      lengths: history name -> number of events a candidate sees.
      table: its name.

    Returns:
      float32 `[U]`.
    """
    reading, batch, size = reader.reading, reader.batch, tf.size(reader.rows[table].ids)
    if table == TIME_GAP:
        return tf.ones([size])
    seen = seen_ids(reading.schema, lengths, batch)
    places = [tf.boolean_mask(reader.places[name], seen[name] & (batch[name] >= FIRST_ID))
              for name in readers(reading.schema, reading.exclude)[table]]
    return tf.raw_ops.DenseBincount(input=tf.concat(places, 0), size=size, weights=tf.zeros([0]), binary_output=True)
