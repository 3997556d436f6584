"""How close the vectors of a field are over rows, and those of a row over fields: CL4CTR's alignment and uniformity.

Wang et al., WSDM 2023, section 3.3. Shapes: N rows, F fields, d width.
"""

from __future__ import annotations

import tensorflow as tf


def alignment_of_rows(fields: tf.Tensor, mean: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Each row's share of the mean squared distance between two rows' vectors of a field.

    The mean of the shares over all rows is the mean over pairs of rows and over fields, in closed form: no pair is
    built. Gradients go through `mean`, too.

    Args:
      fields: float `[N, F, d]`, some of the rows.
      mean: `[F, d]`, of all rows.
      count: float scalar, number of all rows.

    Returns:
      float32 `[N]`; zeros where there is but one row.
    """
    fields, mean = tf.cast(fields, tf.float32), tf.cast(mean, tf.float32)
    deviation = tf.reduce_sum(fields * (fields - mean), -1)  # [N, F], summed over rows: that of squared distances
    return 2.0 * tf.math.divide_no_nan(count, count - 1.0) * tf.reduce_mean(deviation, -1)


def uniformity_of_rows(fields: tf.Tensor) -> tf.Tensor:
    """Mean cosine of two different fields' vectors of a row, float32 `[N]` of `[N, F, d]`; F at least 2."""
    units = tf.math.l2_normalize(tf.cast(fields, tf.float32), -1)
    number = fields.shape[1]
    # The sum over all pairs, an own one included, is the square of the sum.
    squares = tf.reduce_sum(tf.square(tf.reduce_sum(units, 1)), -1) - tf.reduce_sum(tf.square(units), [1, 2])
    return squares / (number * (number - 1))
