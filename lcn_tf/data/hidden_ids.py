"""Ids of records that are read as out of vocabulary: what a model cannot know yet."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from lcn_tf.schema import OOV_ID, PADDING_ID, FeatureSchema


def hide(schema: FeatureSchema, hidden: Mapping[str, np.ndarray], batch: Mapping[str, tf.Tensor]
         ) -> dict[str, tf.Tensor]:
    """A batch with `OOV_ID` in place of some ids; among the values of one feature with several, once.

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
    for members in (members for members in schema.means.values() if schema.table_of_feature[members[0]] in hidden):
        unknown = tf.zeros_like(found[members[0]], tf.bool)
        for name in members:
            is_unknown = found[name] == OOV_ID
            found[name] = tf.where(is_unknown & unknown, tf.constant(PADDING_ID, tf.int64), found[name])
            unknown |= is_unknown
    return found
