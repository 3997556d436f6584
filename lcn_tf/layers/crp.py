"""Cross Representation Production: contrastive losses between items of one user's two short histories.

The arithmetic is apart from Keras; `lcn_tf/objectives/crp.py` wraps it. LCN paper (Hou et al., KDD 2024), section 4.2,
eqs 3 to 5. Printed denominators hold only the negatives, which are pairs of *other* users' items shared by the batch,
so the loss may be negative; it lies in `log M +- 2 / temperature`.

Shapes: B rows (request groups), S events of a short history, M negative pairs, D item width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from lcn_tf.layers.masking import MASKED_SCORE
from lcn_tf.layers.pair_sampling import (
    draw_positions,
    fold_seed,
    sample_negative_pairs,
    sample_positions,
    unique_group_weights,
)

CRP_TERMS = ("pt", "ps", "pc")
CRP_DENOMINATORS = ("negatives", "infonce", "inbatch")
CRP_REDUCTIONS = ("valid_mean", "batch_mean")
CRP_ROWS = ("all", "positive", "unique_user")
CRP_NEGATIVES_BY = ("user", "row")
_EPSILON = 1e-8  # under the square root of the norms: embeddings of norm 0.01 and above keep their cosine to 5e-5

Ids = Mapping[str, tf.Tensor]


class ItemHistory(NamedTuple):
    """Items of a short history: `ids`, int64 `[B, S]` by item field, and `mask`, bool `[B, S]`."""

    ids: Ids
    mask: tf.Tensor


class PairSample(NamedTuple):
    """Sampled items of one CRP term.

    Attributes:
      first, second: ids of the positives, `[B]` by field.
      valid: bool `[B]`, rows that have a positive pair.
      negative_first, negative_second: ids of the negatives, `[M]` by field.
      negative_valid: bool `[M]`.
    """

    first: Ids
    second: Ids
    valid: tf.Tensor
    negative_first: Ids
    negative_second: Ids
    negative_valid: tf.Tensor


def cosine(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Cosine of matching vectors in float32, `[..., D]` to `[...]`; 0 with finite gradients for a zero vector."""
    return tf.reduce_sum(_normalise(first) * _normalise(second), axis=-1)


def contrastive_loss(positive_cosines: tf.Tensor, positive_valid: tf.Tensor, row_weights: tf.Tensor,
                     negative_cosines: tf.Tensor, negative_valid: tf.Tensor, temperature: float,
                     denominator: str = "negatives", reduce: str = "valid_mean") -> tf.Tensor:
    """Eq 3 (and 4, 5) with negatives shared by the batch.

    Args:
      positive_cosines: float `[B]`.
      positive_valid: bool `[B]`, rows that have a positive pair.
      row_weights: `[B]`, how many rows of the paper (candidates) each row stands for.
      negative_cosines: float `[M]`.
      negative_valid: bool `[M]`; the others are left out of the sum.
      temperature: tau, above 0.
      denominator: `negatives` (printed: the negatives alone) or `infonce` (the row's positive is added).
      reduce: `valid_mean` (mean over the rows with a positive) or `batch_mean` (printed: over all rows).

    Returns:
      Float32 scalar; 0 with zero gradients when no positive or no negative is valid.

    Raises:
      ValueError: an unknown option or a temperature that is not above 0.
    """
    _check(denominator=denominator, reduce=reduce, temperature=temperature)
    if denominator == "inbatch":
        raise ValueError("denominator='inbatch' has no sampled negatives: use inbatch_loss")
    positives = tf.cast(positive_cosines, tf.float32) / temperature  # [B]
    negatives = tf.cast(negative_cosines, tf.float32) / temperature  # [M]
    log_sum = tf.reduce_logsumexp(tf.where(negative_valid, negatives, MASKED_SCORE))
    losses = log_sum - positives
    if denominator == "infonce":
        losses = tf.nn.softplus(losses)
    losses = tf.where(positive_valid & tf.reduce_any(negative_valid), losses, 0.0)
    return _reduce_rows(losses, positive_valid, row_weights, reduce)


def inbatch_loss(cosines: tf.Tensor, positive_valid: tf.Tensor, negative_valid: tf.Tensor, row_weights: tf.Tensor,
                 temperature: float, reduce: str = "valid_mean") -> tf.Tensor:
    """SimCLR-like variant (Chen et al., ICML 2020): row i's first item against every row's second item.

    Args:
      cosines: float `[B, B]`, row i's first item with column j's second item; the positives are on the diagonal.
      positive_valid: bool `[B]`.
      negative_valid: bool `[B, B]`, which columns are negatives of which row; the diagonal is ignored.
      row_weights: `[B]`; a column that stands for w candidates counts w times in the denominator.
      temperature: tau, above 0.
      reduce: `valid_mean` or `batch_mean`.

    Returns:
      Float32 scalar, not negative; 0 with zero gradients when no row has a positive and a negative.

    Raises:
      ValueError: an unknown option or a temperature that is not above 0.
    """
    _check(reduce=reduce, temperature=temperature)
    logits = tf.cast(cosines, tf.float32) / temperature
    positives = tf.linalg.diag_part(logits)
    weights = tf.cast(row_weights, tf.float32)
    negative_valid = tf.linalg.set_diag(negative_valid, tf.zeros_like(positive_valid)) & (weights > 0)
    counted = logits + tf.math.log(tf.maximum(weights, 1.0))
    log_sum = tf.reduce_logsumexp(tf.where(negative_valid, counted, MASKED_SCORE), axis=-1)  # [B]
    losses = tf.nn.softplus(log_sum - positives)
    losses = tf.where(positive_valid & tf.reduce_any(negative_valid, axis=-1), losses, 0.0)
    return _reduce_rows(losses, positive_valid, row_weights, reduce)


def sample_pairs(term: str, short_target: ItemHistory, short_source: ItemHistory, group_key: tf.Tensor,
                 row_weights: tf.Tensor, num_negatives: int, mask_same_id: bool, seed: tf.Tensor) -> PairSample:
    """Positives and negatives of one term: `pt` within the target history, `ps` within the source, `pc` across.

    The draws of a term depend on `seed` and the term alone, never on which other terms are in use. Arguments as in
    `crp_loss`; `group_key` decides which rows may form a negative pair, and rows of weight 0 are left out.
    """
    seed = fold_seed(seed, CRP_TERMS.index(term))
    history_a = short_source if term == "ps" else short_target
    history_b = short_target if term == "pt" else short_source
    rows = tf.range(tf.shape(row_weights)[0])
    if term == "pc":
        place_a, valid_a = sample_positions(history_a.mask, fold_seed(seed, 0), 1)
        place_b, valid_b = sample_positions(history_b.mask, fold_seed(seed, 1), 1)
        places, valid = (place_a[:, 0], place_b[:, 0]), valid_a & valid_b
    else:
        pairs, valid = sample_positions(history_a.mask, fold_seed(seed, 0), 2)
        places = (pairs[:, 0], pairs[:, 1])
    first = _items(history_a.ids, rows, places[0])
    second = _items(history_b.ids, rows, places[1])
    row_a, row_b, negative_valid = sample_negative_pairs(
        row_weights, tf.reduce_any(history_a.mask, axis=-1), tf.reduce_any(history_b.mask, axis=-1), group_key,
        num_negatives, fold_seed(seed, 2))
    negative_first = _items(history_a.ids, row_a, draw_positions(history_a.mask, row_a, fold_seed(seed, 3)))
    negative_second = _items(history_b.ids, row_b, draw_positions(history_b.mask, row_b, fold_seed(seed, 4)))
    valid &= row_weights > 0
    if mask_same_id:
        valid &= ~_same_items(first, second)
        negative_valid &= ~_same_items(negative_first, negative_second)
    return PairSample(first, second, valid, negative_first, negative_second, negative_valid)


def crp_loss(short_target: ItemHistory, short_source: ItemHistory, embed: Callable[[dict[str, tf.Tensor]], tf.Tensor],
             user_key: tf.Tensor, row_weights: tf.Tensor, seed: tf.Tensor, *, terms: Sequence[str] = CRP_TERMS,
             temperature: float = 0.2, num_negatives: int = 4096, denominator: str = "negatives",
             reduce: str = "valid_mean", rows: str = "all", negatives_by: str = "user", mask_same_id: bool = True
             ) -> dict[str, tf.Tensor]:
    """Every requested CRP term of a batch, unweighted.

    Args:
      short_target, short_source: the two short histories of the rows.
      embed: item ids by field, `[P]` each, to embeddings `[P, D]`; called once, on the sampled items only.
      user_key: `[B]`, rows with equal keys belong to one user.
      row_weights: int `[B]`, the row's candidates (for `rows="positive"` its clicked candidates); 0 leaves it out.
      seed: int32 or int64 `[2]`; the same seed and batch give the same loss.
      terms: subset of `CRP_TERMS`.
      temperature: tau.
      num_negatives: M negative pairs of each term; unused with `inbatch`.
      denominator: `negatives` (printed), `infonce` or `inbatch`.
      reduce: `valid_mean` or `batch_mean`.
      rows: `all` and `positive` take `row_weights` as they are; `unique_user` counts each user once.
      negatives_by: negatives join different users (`user`) or merely different rows (`row`).
      mask_same_id: skip positives and negatives whose two items have equal ids in all fields.

    Returns:
      Float32 scalars by term name.

    Raises:
      ValueError: an unknown option, a temperature that is not above 0, fewer than one negative.
    """
    _check(denominator=denominator, reduce=reduce, temperature=temperature, rows=rows, negatives_by=negatives_by)
    if unknown := set(terms) - set(CRP_TERMS):
        raise ValueError(f"terms must be among {CRP_TERMS}, got {sorted(unknown)}")
    if num_negatives < 1:
        raise ValueError(f"num_negatives must be at least 1, got {num_negatives}")
    if not terms:
        return {}
    if rows == "unique_user":
        row_weights = unique_group_weights(row_weights, user_key)
    group_key = user_key if negatives_by == "user" else tf.range(tf.shape(user_key)[0])
    samples = {term: sample_pairs(term, short_target, short_source, group_key, row_weights, num_negatives, mask_same_id,
                                  seed) for term in terms}
    inbatch = denominator == "inbatch"
    parts = [part for sample in samples.values()
             for part in (sample.first, sample.second, *(() if inbatch else sample[3:5]))]
    vectors = iter(_embed_together(embed, parts))
    losses = {}
    for term, sample in samples.items():
        first, second = next(vectors), next(vectors)  # [B, D]
        if inbatch:
            valid = _inbatch_negatives(sample, group_key, mask_same_id)
            cosines = tf.matmul(_normalise(first), _normalise(second), transpose_b=True)  # [B, B]
            losses[term] = inbatch_loss(cosines, sample.valid, valid, row_weights, temperature, reduce)
        else:
            losses[term] = contrastive_loss(cosine(first, second), sample.valid, row_weights,
                                            cosine(next(vectors), next(vectors)), sample.negative_valid, temperature,
                                            denominator, reduce)
    return losses


def _check(**options: str | float) -> None:
    known = {"denominator": CRP_DENOMINATORS, "reduce": CRP_REDUCTIONS, "rows": CRP_ROWS,
             "negatives_by": CRP_NEGATIVES_BY}
    for name, value in options.items():
        if name == "temperature":
            if not float(value) > 0:
                raise ValueError(f"temperature must be above 0, got {value}")
        elif value not in known[name]:
            raise ValueError(f"{name} must be one of {known[name]}, got {value!r}")


def _normalise(vectors: tf.Tensor) -> tf.Tensor:
    vectors = tf.cast(vectors, tf.float32)
    return vectors * tf.math.rsqrt(tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True) + _EPSILON)


def _reduce_rows(losses: tf.Tensor, valid: tf.Tensor, row_weights: tf.Tensor, reduce: str) -> tf.Tensor:
    """Weighted mean of the losses (0 where not valid) over the valid rows or over all of them."""
    weights = tf.cast(row_weights, tf.float32)
    counted = tf.where(valid, weights, 0.0)
    total = tf.reduce_sum(counted if reduce == "valid_mean" else weights)
    return tf.math.divide_no_nan(tf.reduce_sum(losses * counted), total)


def _items(ids: Ids, rows: tf.Tensor, positions: tf.Tensor) -> dict[str, tf.Tensor]:
    places = tf.stack([rows, positions], axis=-1)
    return {field: tf.gather_nd(values, places) for field, values in ids.items()}


def _same_items(first: Ids, second: Ids) -> tf.Tensor:
    return tf.reduce_all(tf.stack([tf.equal(first[field], second[field]) for field in first]), axis=0)


def _inbatch_negatives(sample: PairSample, group_key: tf.Tensor, mask_same_id: bool) -> tf.Tensor:
    """Columns `[B, B]` whose second item may be a negative of the row's first item."""
    valid = sample.valid & tf.not_equal(group_key[:, tf.newaxis], group_key)
    if mask_same_id:
        first = {field: values[:, tf.newaxis] for field, values in sample.first.items()}
        valid &= ~_same_items(first, sample.second)
    return valid


def _embed_together(embed: Callable[[dict[str, tf.Tensor]], tf.Tensor], parts: Sequence[Ids]) -> list[tf.Tensor]:
    """Embeds several lists of items in one call and splits the result again."""
    sizes = [tf.shape(next(iter(part.values())))[0] for part in parts]
    vectors = embed({field: tf.concat([part[field] for part in parts], axis=0) for field in parts[0]})
    return tf.split(vectors, tf.stack(sizes), axis=0)
