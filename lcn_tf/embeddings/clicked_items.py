"""The items that were clicked in a batch, one by one, for losses that know no requests.

Shapes: B requests, C candidates, S events of a short history, P clicked candidates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from lcn_tf.contracts import LookedUp
from lcn_tf.embeddings.sequence_rows import short_histories


@dataclasses.dataclass(frozen=True)
class ClickedItems:
    """Clicked items, and events that come with them.

    Attributes:
      rows: of the items in their tables, int64 `[P]` by item feature; equal rows are equal items.
      keys: what the batch's reader takes, `[P]` by item feature.
      user: int64 `[P]`, who clicked.
    """

    rows: dict[str, tf.Tensor]
    keys: dict[str, tf.Tensor]
    user: tf.Tensor


def clicked_candidates(looked_up: LookedUp) -> tf.Tensor:
    """Which candidates are real and were clicked, bool `[B, C]`."""
    return looked_up.mask & (looked_up.batch[looked_up.reader.schema.label_keys[0]] > 0)


def clicked_items(looked_up: LookedUp, with_source: bool = False) -> ClickedItems:
    """The clicked candidates' items.

    Args:
      looked_up: a batch with label, mask, user and item features of candidates; of events too with `with_source`.
      with_source: whether the newest visible event of the short source history follows for each, where there is one.
    """
    clicked = clicked_candidates(looked_up)
    found = _chosen(looked_up, "", clicked, lambda values: tf.boolean_mask(values, clicked))
    if not with_source:
        return found
    _, source = short_histories(looked_up.reader.schema)
    visible = looked_up.visible(source)  # [B, C, S]
    there = clicked & tf.reduce_any(visible, -1)
    newest = tf.argmax(tf.cast(visible, tf.int32), -1)  # [B, C], the first visible event
    events = _chosen(looked_up, f"{source}_", there, lambda values: tf.boolean_mask(
        tf.gather(values, newest, batch_dims=1), there))
    rows, keys = ({name: tf.concat([values, of_events[name]], 0) for name, values in of_clicks.items()}
                  for of_clicks, of_events in ((found.rows, events.rows), (found.keys, events.keys)))
    return ClickedItems(rows, keys, tf.concat([found.user, events.user], 0))


def _chosen(looked_up: LookedUp, prefix: str, chosen: tf.Tensor, choose: Callable[[tf.Tensor], tf.Tensor]
            ) -> ClickedItems:
    batch, reader = looked_up.batch, looked_up.reader
    rows = {feature.name: reader.reading.row_ids(batch, feature.table, f"{prefix}{feature.name}")
            for feature in reader.schema.item}
    users = tf.broadcast_to(batch["user_key"][:, tf.newaxis], tf.shape(chosen))
    return ClickedItems({name: tf.cast(choose(values), tf.int64) for name, values in rows.items()},
                        {name: choose(keys) for name, keys in reader.item_keys(prefix).items()},
                        tf.boolean_mask(users, chosen))
