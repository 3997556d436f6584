"""Ids of records that are read as out of vocabulary: what a model cannot know yet."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from lcn_tf.schema import OOV_ID, FeatureSchema


def hide(schema: FeatureSchema, hidden: Mapping[str, np.ndarray], batch: Mapping[str, tf.Tensor]
         ) -> dict[str, tf.Tensor]:
    """A batch with `OOV_ID` in place of some ids.

    Args:
      schema: of the batch.
      hidden: table -> int64 ids; tables that the schema does not have are left alone.
      batch: of either layout.
    """
    found = dict(batch)
    for table, ids in hidden.items():
        if table not in schema.tables:
            continue
        is_hidden = np.zeros(schema.tables[table], bool)
        is_hidden[ids] = True
        lookup = tf.constant(is_hidden)
        for name in (name for name, read in schema.table_of_feature.items() if read == table):
            found[name] = tf.where(tf.gather(lookup, found[name]), tf.constant(OOV_ID, tf.int64), found[name])
    return found
