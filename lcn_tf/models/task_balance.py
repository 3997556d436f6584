"""How the losses of several labels are balanced: learnt weights, or gradients that do not work against each other.

The labels' losses are the head's terms, with the head's weights. All else that a model learns from (objectives,
penalties, a lifelong model's own loss) is added as it is. Shape letters: T terms, U distinct ids, d table width.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import tensorflow as tf

from lcn_tf.contracts import SharesLastLayer, Tower
from lcn_tf.embeddings.distinct_rows import Gradient, dense_gradient, merged_gradient
from lcn_tf.models.global_batch import StepInputs, summed_by_id
from lcn_tf.ops.replica_exchange import sum_over_replicas

Method = Literal["fixed", "uncertainty", "gradnorm", "pcgrad"]
BALANCE = "task_balance"  # name of what learnt weights add to the loss
_LEAST = 1e-3  # weight that GradNorm leaves a label
_ONE_STATE = {"aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA, "trainable": False}


@dataclasses.dataclass(frozen=True)
class BalanceConfig:
    """How the labels' losses are balanced."""

    method: Method = dataclasses.field(
        default="fixed", metadata={"help": "weights of the labels' losses: the head's, or learnt; or pcgrad"})
    alpha: float = dataclasses.field(
        default=1.5, metadata={"help": "gradnorm: how strongly labels are drawn to one pace of learning"})
    rate: float = dataclasses.field(
        default=0.025, metadata={"help": "gradnorm: learning rate of the weights of the losses"})

    def __post_init__(self):
        if self.method not in get_args(Method):
            raise ValueError(f"balance.method must be one of {', '.join(get_args(Method))}, got {self.method!r}")
        if not 0 <= self.alpha < float("inf"):
            raise ValueError(f"balance.alpha must be a number of at least 0, got {self.alpha}")
        if not 0 < self.rate < float("inf"):
            raise ValueError(f"balance.rate must be a positive number, got {self.rate}")


class TaskBalance(tf.keras.layers.Layer):
    """What all methods have in common.

    Args:
      terms: names of the labels' losses.

    Attributes:
      method: as `BalanceConfig` names it.
      whole_batch: whether it needs the gradients of a whole batch at once.
    """

    method = ""
    whole_batch = True

    def __init__(self, terms: Sequence[str], **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.terms = tuple(terms)

    def build_weights(self) -> None:
        """Creates its weights."""


class LearntWeights(TaskBalance, abc.ABC):
    """A balance whose learnt weights add `BALANCE` to the losses."""

    @abc.abstractmethod
    def added_loss(self, losses: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
        """What the weights add to the sum of the losses.

        Args:
          losses: `[T]`, of a part of the global batch.
          shares: `[T]`, the part's share of the candidates that each loss counts; over all parts 1, or 0 where a loss
            counts none.

        Returns:
          Scalar; over all parts it sums to the batch's.
        """


class Uncertainty(LearntWeights):
    """Learnt variances (Kendall, Gal and Cipolla, CVPR 2018): `sum_t exp(-s_t) L_t + s_t / 2`.

    The form for classification, with s_t = log sigma_t^2, which begins at 0: the weights begin at 1. The optimiser of
    the model trains s. A loss that counts no candidate of a batch has no part in its step.
    """

    method = "uncertainty"
    whole_batch = False

    def build_weights(self) -> None:
        """The log variances `[T]`."""
        self.log_variances = self.add_weight(name="log_variances", shape=[len(self.terms)], initializer="zeros")

    def added_loss(self, losses: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
        """See the class; the sum of the losses is already there."""
        return tf.reduce_sum((tf.exp(-self.log_variances) - 1) * losses + shares * self.log_variances / 2)


class GradNorm(LearntWeights):
    """Weights under which labels learn at one pace (Chen et al., ICML 2018, algorithm 1).

    With G_t the norm of the gradient of w_t L_t by the last shared layer, and r_t the loss relative to that of the
    first step, divided by the mean of all labels, the weights descend `sum_t |G_t - mean(G) r_t^alpha|`, the second
    part of which is taken for constant. Then they are scaled to the sum T. Here they descend by plain gradient steps;
    none falls below 0.001. A step in which a loss counts no candidate leaves them as they are.
    """

    method = "gradnorm"

    def __init__(self, terms: Sequence[str], alpha: float, rate: float, **kwargs):
        super().__init__(terms, **kwargs)
        self.alpha = alpha
        self.rate = rate

    def build_weights(self) -> None:
        """The weights and the losses of the first step `[T]`."""
        shape = [len(self.terms)]
        self.loss_weights = self.add_weight(name="loss_weights", shape=shape, initializer="ones", **_ONE_STATE)
        self.first_losses = self.add_weight(name="first_losses", shape=shape, initializer="zeros", **_ONE_STATE)

    def added_loss(self, losses: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
        """See `LearntWeights`."""
        return tf.reduce_sum((self.loss_weights.read_value() - 1) * losses)

    def seen(self, tape: tf.GradientTape, losses: Mapping[str, tf.Tensor], shared: Sequence[tf.Variable]
             ) -> tuple[tf.Tensor, tf.Tensor]:
        """Losses and norms of their gradients by the shared layer, each `[T]`, of the batch of all replicas."""
        of_terms = []
        for term in self.terms:
            gradients = tape.gradient(losses[term], shared)
            of_terms.append(_flat([tf.zeros_like(weight, tf.float32) if gradient is None else _dense(gradient, weight)
                                   for gradient, weight in zip(gradients, shared, strict=True)]))
        norms = tf.norm(sum_over_replicas(tf.stack(of_terms)), axis=-1)
        return sum_over_replicas(tf.stack([losses[term] for term in self.terms])), norms

    def update(self, losses: tf.Tensor, norms: tf.Tensor) -> None:
        """Moves the weights on; all replicas give the same losses and norms `[T]`."""
        counted = tf.reduce_all(losses > 0)
        first = self.first_losses.read_value()
        first = tf.where(counted & tf.reduce_all(first == 0), losses, first)
        weights = self.loss_weights.read_value()
        pace = tf.math.divide_no_nan(losses, first)
        pace = tf.math.divide_no_nan(pace, tf.reduce_mean(pace))
        weighted = weights * norms
        slope = tf.sign(weighted - tf.reduce_mean(weighted) * pace ** self.alpha) * norms
        moved = tf.maximum(weights - self.rate * slope, _LEAST)
        moved *= len(self.terms) / tf.reduce_sum(moved)
        self.first_losses.assign(first)
        self.loss_weights.assign(tf.where(counted, moved, weights))


class PCGrad(TaskBalance):
    """Gradients without what conflicts with those of other labels (Yu et al., NeurIPS 2020, algorithm 1).

    The gradient of each loss is projected, for each other one in random order, onto the plane normal to that one's
    gradient where the two point against each other; the sum of what is left is the step's gradient. Both are gradients
    of the global batch, by all weights and by all rows of tables that two losses or more have a gradient of. What one
    loss alone has is left as it is.

    A projected gradient is a sum of the labels' gradients with factors that follow from their inner products: replicas
    exchange these alone, and each adds up its own gradients.
    """

    method = "pcgrad"

    def gradients(self, tape: tf.GradientTape, losses: Mapping[str, tf.Tensor], variables: Sequence[tf.Variable],
                  tables: Sequence[tf.Variable], step: StepInputs, seed: tf.Tensor
                  ) -> tuple[list[Gradient | None], list[Gradient | None]]:
        """The step's gradient by each variable, and by each tensor of `step.rows()`.

        Args:
          tape: a persistent one that has recorded the losses.
          losses: every loss of the step by name; those without a label are added as they are.
          variables: to differentiate by.
          tables: those that the losses of labels read through rows alone.
          step: what was looked up.
          seed: int64 `[2]`, of the order.
        """
        read_by_rows, sources = {table.ref() for table in tables}, [*variables, *step.rows()]
        known = [source for source in variables if source.ref() not in read_by_rows] + step.rows()
        places = [place for place, source in enumerate(sources)
                  if place >= len(variables) or source.ref() not in read_by_rows]
        of_terms: list[list[tf.Tensor | None]] = []
        for term in self.terms:
            found: list[tf.Tensor | None] = [None] * len(sources)
            for place, source, gradient in zip(places, known, tape.gradient(losses[term], known), strict=True):
                found[place] = None if gradient is None else _dense(gradient, source)
            of_terms.append(found)
        blocks = [(None, [place]) for place in range(len(variables))]
        blocks += [(ids, [len(variables) + place for place in rows]) for ids, rows in step.row_blocks()]
        shared = [block for block in blocks if _is_shared(of_terms, block[1])]
        factors = projection_factors(inner_products(of_terms, shared), seed)
        factor_of = {place: factors for _, block in shared for place in block}
        total: list[Gradient | None] = []
        for place in range(len(sources)):
            scale = factor_of.get(place)
            own = [found[place] if scale is None else found[place] * scale[term]
                   for term, found in enumerate(of_terms) if found[place] is not None]
            total.append(tf.add_n(own) if own else None)
        others = [loss for name, loss in losses.items() if name not in self.terms]
        if others:
            total = list(map(merged_gradient, total, tape.gradient(others, sources)))
        return total[:len(variables)], total[len(variables):]


def _is_shared(of_terms: Sequence[Sequence[tf.Tensor | None]], places: Sequence[int]) -> bool:
    return sum(any(found[place] is not None for place in places) for found in of_terms) > 1


def inner_products(of_terms: Sequence[Sequence[tf.Tensor | None]],
                   blocks: Sequence[tuple[tf.Tensor | None, Sequence[int]]]) -> tf.Tensor:
    """Inner products `[T, T]` of the terms' gradients of the global batch.

    Args:
      of_terms: of each term, gradients of the replica, dense, by source.
      blocks: ids of rows `[U]` and the sources that are gradients of these rows, which are added up; or None and a
        weight. On a replica, no id is in a block twice.
    """
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    terms = len(of_terms)
    weights: list[list[tf.Tensor]] = [[] for _ in of_terms]
    products = tf.zeros([terms, terms])
    for ids, places in blocks:
        parts = [[gradient for place in places if (gradient := found[place]) is not None] for found in of_terms]
        like = next(part[0] for part in parts if part)
        gradients = [tf.add_n(part) if part else tf.zeros_like(like) for part in parts]
        if ids is None:
            for flat, gradient in zip(weights, gradients, strict=True):
                flat.append(gradient)
            continue
        width, rows = like.shape[-1], tf.concat(gradients, -1)  # [U, T d]
        if several:
            rows = summed_by_id(ids, rows)[1]
        by_term = tf.reshape(rows, [-1, terms, width])
        products += tf.einsum("utd,usd->ts", by_term, by_term)
    if weights[0]:
        flat = sum_over_replicas(tf.stack([_flat(gradients) for gradients in weights]))
        products += tf.matmul(flat, flat, transpose_b=True)
    return products


def projection_factors(products: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """The factors `[T]` with which the terms' gradients add up to the sum of their projections.

    Args:
      products: `[T, T]` inner products of the gradients.
      seed: `[2]` integers; decides the order of the projections of each term.
    """
    terms = products.shape[0]
    order = tf.argsort(tf.random.stateless_uniform([terms, terms], seed))  # [T, T], by term
    itself = tf.eye(terms)
    factors = tf.eye(terms)  # of the terms' gradients in each projected one
    for place in range(terms):
        other = tf.one_hot(order[:, place], terms)
        along = tf.matmul(other, products)  # inner products of each one's other with all
        product, square = tf.reduce_sum(factors * along, -1), tf.reduce_sum(other * along, -1)
        conflict = (product < 0) & (tf.reduce_sum(other * itself, -1) == 0)
        share = tf.where(conflict, tf.math.divide_no_nan(product, square), 0.0)
        factors -= share[:, tf.newaxis] * other
    return tf.reduce_sum(factors, 0)


def _flat(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], 0)


def _dense(gradient: Gradient, source: tf.Variable | tf.Tensor) -> tf.Tensor:
    if isinstance(source, tf.Variable):
        return tf.cast(tf.convert_to_tensor(gradient), tf.float32)
    return dense_gradient(gradient, source)  # of rows


def last_shared(tower: Tower) -> list[tf.Variable]:
    """The weights of the last layer that all labels share.

    Raises:
      ValueError: there are none in the tower.
    """
    layer: Any = tower
    weights = list(layer.last_shared if isinstance(layer, SharesLastLayer) else layer.trainable_variables)
    if not weights:
        raise ValueError("balance.method=gradnorm compares gradients by a tower's last shared layer, but the labels "
                         "share none: give the tower shared layers")
    return weights


def create(config: BalanceConfig, terms: Mapping[str, float]) -> TaskBalance | None:
    """The balance of a configuration; None for fixed weights.

    Raises:
      ValueError: a head of a single label.
    """
    if config.method == "fixed":
        return None
    if len(terms) < 2:
        raise ValueError(f"balance.method={config.method} needs a head of several labels, got one with the loss "
                         f"{', '.join(terms)}")
    if config.method == "gradnorm":
        return GradNorm(tuple(terms), config.alpha, config.rate, name=BALANCE)
    return {"uncertainty": Uncertainty, "pcgrad": PCGrad}[config.method](tuple(terms), name=BALANCE)
