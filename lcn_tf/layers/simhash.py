"""SimHash: signs of fixed random projections, close for vectors of a small angle (ETA's and SDIM's search).

Shapes: B requests, C candidates, L events, D width, M bits, G signatures.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from lcn_tf.layers.history_layer import HistoryLayer
from lcn_tf.ops.event_forms import Vectors, leading_sizes, weighted_sums
from lcn_tf.ops.masking import expand_mask


@tf.keras.utils.register_keras_serializable("lcn_tf")
class SimHash(tf.keras.layers.Layer):
    """Bits `[x R >= 0]` as +1 and -1, with R standard normal, drawn once from a seed and saved as a weight.

    Charikar, STOC 2002; used by ETA (Chen et al., arXiv 2108.04468) and SDIM (Cao et al., CIKM 2022). Two vectors at
    an angle theta differ in a bit with probability theta / pi. A projection of exactly 0 counts as +1. No gradient
    passes.

    Args:
      num_bits: M.
      seed: of R.

    Call arguments:
      vectors: `[..., D]`.

    Returns:
      float32 `[..., M]` of +1 and -1.

    Raises:
      ValueError: `num_bits` below 1.

    Example:
      >>> from lcn_tf.layers import SimHash
      >>> simhash, vector = SimHash(num_bits=8), tf.constant([[1.0, 2.0, 3.0]])
      >>> simhash(vector).shape
      TensorShape([1, 8])
      >>> tf.reduce_sum(simhash(vector) * simhash(-vector)).numpy().item()  # the opposite vector differs in every bit
      -8.0
    """

    def __init__(self, num_bits: int, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        if num_bits < 1:
            raise ValueError(f"num_bits must be at least 1, got {num_bits}")
        self.num_bits = num_bits
        self.seed = seed

    def build(self, input_shape: Any) -> None:
        """Creates `projection [D, M]`, not trainable."""
        def draw(shape: Any, dtype: Any = None, **_: Any) -> tf.Tensor:
            return tf.random.stateless_normal(shape, seed=[self.seed, 0], dtype=tf.float32)

        self.projection = self.add_weight(name="projection", shape=(int(input_shape[-1]), self.num_bits),
                                          initializer=draw, trainable=False, dtype="float32")
        self.built = True

    def call(self, vectors: tf.Tensor) -> tf.Tensor:
        """Signs of the projections; see the class."""
        vectors = tf.cast(tf.stop_gradient(vectors), tf.float32)
        projected = tf.tensordot(vectors, tf.cast(self.projection, tf.float32), 1)
        return tf.where(projected >= 0.0, 1.0, -1.0)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "num_bits": self.num_bits, "seed": self.seed}


def hamming_distances(candidate: tf.Tensor, history: tf.Tensor) -> tf.Tensor:
    """Number of bits in which each candidate differs from each event, float32 whole numbers `[B, C, L]`.

    Args:
      candidate: signs `[B, C, M]`.
      history: signs `[B, L, M]`.
    """
    return (tf.cast(tf.shape(history)[-1], tf.float32) - tf.matmul(candidate, history, transpose_b=True)) / 2.0


def signatures(signs: tf.Tensor, hash_bits: int) -> tf.Tensor:
    """Groups signs `[..., M]` into signatures of `hash_bits` neighbouring bits: int32 `[..., M / hash_bits]`."""
    bits = tf.cast(signs > 0.0, tf.int32)
    grouped = tf.reshape(bits, [*tf.unstack(tf.shape(bits)[:-1]), -1, hash_bits])
    return tf.reduce_sum(grouped * [1 << place for place in range(hash_bits)], -1)


@tf.keras.utils.register_keras_serializable("lcn_tf")
class HashPooling(HistoryLayer):
    """Mean over signatures of the l2-normalised sum of the events that share the candidate's signature.

    Cao et al., CIKM 2022 (SDIM): in expectation over R an event collides with probability `(1 - theta / pi)^hash_bits`,
    so this is close to an attention whose weights are a power of the angle, without any trained weight. Gradients reach
    the colliding events, not the candidate. A signature that nothing shares counts as zeros.

    Args:
      num_hashes: G.
      hash_bits: bits of each signature (SDIM's tau), at most 31.
      seed: of the projections.

    Call arguments:
      candidate: `[B, C, D]`.
      history: `[B, L, D]`.
      mask: bool `[B, L]` or `[B, C, L]`, True = real.

    Returns:
      interest `[B, C, D]` in the compute dtype; zeros for an empty history.

    Raises:
      ValueError: an argument outside its range, or a mask of the wrong rank.

    Example:
      >>> from lcn_tf.layers import HashPooling
      >>> candidate, history = tf.constant([[[3.0, 4.0]]]), tf.constant([[[6.0, 8.0], [-3.0, -4.0]]])
      >>> interest = HashPooling(num_hashes=16, hash_bits=3)(candidate, history, mask=tf.constant([[True, True]]))
      >>> [round(number, 3) for number in interest.numpy()[0, 0].tolist()]  # the event of the same direction
      [0.6, 0.8]
    """

    def __init__(self, num_hashes: int = 16, hash_bits: int = 3, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        if num_hashes < 1:
            raise ValueError(f"num_hashes must be at least 1, got {num_hashes}")
        if not 1 <= hash_bits <= 31:
            raise ValueError(f"hash_bits must be between 1 and 31, got {hash_bits}")
        self.num_hashes = num_hashes
        self.hash_bits = hash_bits
        self.seed = seed
        self.simhash = SimHash(num_hashes * hash_bits, seed, name="simhash")

    def call(self, candidate: tf.Tensor, history: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Pools the history; see the class."""
        return self.pool(self.collisions(candidate, history, mask), tf.convert_to_tensor(history))

    def pool(self, collisions: tf.Tensor, history: Vectors) -> tf.Tensor:
        """The interest `[B, C, E]` of `collisions [B, C, G, L]` and events of width E, in any form."""
        sums = weighted_sums(tf.cast(collisions, tf.float32), history)  # [B, C, G, E]
        interest = tf.reduce_mean(tf.math.l2_normalize(sums, axis=-1, epsilon=1e-12), axis=2)  # [B, C, E]
        return tf.cast(interest, self.compute_dtype)

    def buckets(self, vectors: tf.Tensor) -> tf.Tensor:
        """Buckets of vectors `[B, N, D]`, one of each signature's `2 ** hash_bits`: int32 `[B, N, G]`."""
        return signatures(self.simhash(vectors), self.hash_bits)

    def members(self, buckets: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Which buckets vectors are in, float32 0 or 1 `[B, N, G 2^hash_bits]`; none where `mask [B, N]` is False."""
        members = tf.one_hot(buckets, 2 ** self.hash_bits)  # [B, N, G, 2^hash_bits]
        batch, count = leading_sizes(buckets)
        members = tf.reshape(members, [batch, count, self.num_hashes * 2 ** self.hash_bits])
        return members if mask is None else members * tf.cast(mask, tf.float32)[..., tf.newaxis]

    def pool_buckets(self, candidate: tf.Tensor, sums: tf.Tensor) -> tf.Tensor:
        """The interest `[B, C, E]` of the sums of each bucket's events, `[B, G 2^hash_bits, E]`.

        The same as a call, whatever the number of candidates and events: `sums` are of all candidates of a request.
        """
        normalised = tf.math.l2_normalize(sums, axis=-1, epsilon=1e-12)
        total = tf.matmul(self.members(self.buckets(candidate)), normalised)  # [B, C, E]
        return tf.cast(total / self.num_hashes, self.compute_dtype)

    def collisions(self, candidate: tf.Tensor, history: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Which unmasked events share which of the candidate's signatures, bool `[B, C, G, L]`."""
        own, other = (signatures(self.simhash(side), self.hash_bits) for side in (candidate, history))
        shared = tf.equal(own[..., tf.newaxis], tf.linalg.matrix_transpose(other)[:, tf.newaxis])
        return shared & expand_mask(mask)[:, :, tf.newaxis]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        names = ("num_hashes", "hash_bits", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
