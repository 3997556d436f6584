"""Losses and gradients of a batch, part by part: the memory of one part's activations, the sums of the whole batch.

Shape letters: B requests, C candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from lcn_tf.embeddings.distinct_rows import dense_gradient
from lcn_tf.layers import StatelessDropout
from lcn_tf.layers.domain_batch_norm import DomainBatchNorm

Losses = dict[str, tf.Tensor]

ADDS_LOSS = ("microbatches must be 1 with a part that calls add_loss, whose value depends on how the batch is divided")
# The result of these depends on which requests come together in a call.
_DEPENDENT = (tf.keras.layers.BatchNormalization, DomainBatchNorm, tf.keras.layers.Dropout, StatelessDropout)


def check_independent(model: tf.keras.Model) -> None:
    """Refuses a model whose result would depend on how a batch is divided.

    Raises:
      ValueError: a layer takes statistics over the batch, draws dropout masks by place in it, or adds a loss.
    """
    if model.losses:
        raise ValueError(ADDS_LOSS)
    for layer in model.submodules:
        if isinstance(layer, _DEPENDENT):
            raise ValueError(f"microbatches must be 1 with the layer {layer.name!r} ({type(layer).__name__}), whose "
                             "result depends on how the batch is divided; tower.input_norm=none or layer, "
                             "hierrec.batch_norm=false, and no dropout, are without such layers")


def sum_over_parts(function: Callable[[tf.Tensor, tf.Tensor], tuple[Losses, tf.Tensor]], names: Sequence[str],
                   mask: tf.Tensor, rows: Sequence[tf.Tensor], parts: int,
                   sources: Sequence[tf.Variable | tf.Tensor | None]
                   ) -> tuple[Losses, list[tf.Tensor | None], tf.Tensor]:
    """Adds the losses and gradients of one part of a batch after the other.

    Consecutive requests are divided as evenly as possible, none of the parts is empty unless there are no requests. A
    part begins when the one before it is done, so that the activations of one part alone are in memory.

    Args:
      function: first request of a part and that behind it -> losses by name (float32 scalars, sums over the part's
        requests), and logit `[B, C]`.
      names: of those losses.
      mask: `[B, C]`, of the whole batch.
      rows: tensors of rows that all parts read.
      parts: at most so many parts.
      sources: to differentiate the sum of the losses by: weights, and tensors among `rows`; None is passed over.

    Returns:
      The losses of the batch; the gradient of each source, float32 and dense, None where it has none; the logit
      `[B, C]`.
    """
    known = [source for source in sources if source is not None]
    has_gradient = [False] * len(known)
    requests, candidates = tf.unstack(tf.shape(mask))
    parts = tf.clip_by_value(requests, 1, parts)  # a replica without requests has one part, an empty one

    def add_part(part: tf.Tensor, losses: Losses, sums: list[tf.Tensor], logits: tf.TensorArray) -> tuple:
        begin, end = part * requests // parts, (part + 1) * requests // parts
        with tf.GradientTape() as tape:
            tape.watch(list(rows))
            found, logit = function(begin, end)
            total = tf.add_n([found[name] for name in names])
        sums = list(sums)
        for place, gradient in enumerate(tape.gradient(total, known)):
            if gradient is not None:
                has_gradient[place] = True
                sums[place] += dense_gradient(gradient, known[place])
        return (part + 1, {name: losses[name] + found[name] for name in names}, sums,
                logits.write(part, tf.reshape(logit, [-1])))

    sums = [tf.zeros_like(source, tf.float32) for source in known]
    logits = tf.TensorArray(tf.float32, parts, infer_shape=False, element_shape=[None])
    start = tf.constant(0), {name: tf.constant(0.0) for name in names}, sums, logits
    _, losses, sums, logits = tf.while_loop(lambda part, *_: part < parts, add_part, start, parallel_iterations=1)
    found = iter([total if has else None for total, has in zip(sums, has_gradient, strict=True)])
    gradients = [None if source is None else next(found) for source in sources]
    return losses, gradients, tf.reshape(logits.concat(), [requests, candidates])
