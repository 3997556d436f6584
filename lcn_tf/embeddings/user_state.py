"""A user as losses on pairs of users and items see one: profile, and the mean of what was met lately.

Shapes: B requests, C candidates, S events of a short history, D item width, P width of the profile.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from lcn_tf.embeddings.embedder import FeatureEmbedder
from lcn_tf.embeddings.looked_up import LookedUp


def user_state_width(embedder: FeatureEmbedder, histories: Sequence[str]) -> int:
    """Width of `user_state`."""
    read = [feature for feature in embedder.schema.user if feature.name not in embedder.exclude]
    profile = sum(embedder.tables.config.width(members[0].table)
                  for members in embedder.schema.read_as_one(read).values())
    return profile + embedder.item_width * len(histories)


def user_state(looked_up: LookedUp, histories: Sequence[str]) -> tf.Tensor:
    """Profile, and the mean item of the events that a candidate may see of each history: `[B, C, P + D histories]`."""
    places = tf.shape(looked_up.mask)
    profile = [tf.broadcast_to(vector[:, tf.newaxis], [*tf.unstack(places), vector.shape[-1]])
               for vector in looked_up.user.values()]
    means = []
    for name in histories:
        history = looked_up.history(name)
        visible = tf.cast(history.mask, history.items.dtype)  # [B, C, S]
        means.append(tf.math.divide_no_nan(visible @ history.items, tf.reduce_sum(visible, -1, keepdims=True)))
    return tf.concat([*profile, *means], -1)
