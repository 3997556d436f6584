"""Cross Representation Production: contrastive losses between items of one user's two short histories.

The arithmetic is apart from Keras; `lcn_tf/objectives/crp.py` wraps it. LCN paper (Hou et al., KDD 2024), section 4.2,
eqs 3 to 5. Printed denominators hold only the negatives, which are pairs of *other* users' items shared by the batch,
so the loss may be negative; it lies in `log M +- 2 / temperature`. A row of the paper is one candidate, which has pairs
of its own: a batch of requests and the batch of its single candidates have the same loss.

Shapes: B requests, C candidates, S events of a short history, P = B C candidates with their padding, N counted
candidates, M negative pairs, D item width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf

from lcn_tf.ops.item_pairs import CRP_TERMS, Ids, ItemHistory, PairSample, same_items, sample_pairs
from lcn_tf.ops.masking import MASKED_SCORE
from lcn_tf.ops.pair_sampling import at_least_one, first_of_each_group
from lcn_tf.ops.pairwise_products import distinct_items, pairwise_products

CRP_DENOMINATORS = ("negatives", "infonce", "inbatch")
CRP_REDUCTIONS = ("valid_mean", "batch_mean")
CRP_ROWS = ("all", "positive", "unique_user")
CRP_NEGATIVES_BY = ("user", "row")
_EPSILON = 1e-8  # under the square root of the norms: embeddings of norm 0.01 and above keep their cosine to 5e-5


def cosine(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Cosine of matching vectors in float32, `[..., D]` to `[...]`; 0 with finite gradients for a zero vector."""
    return tf.reduce_sum(_normalise(first) * _normalise(second), axis=-1)


def contrastive_loss(positive_cosines: tf.Tensor, positive_valid: tf.Tensor, negative_cosines: tf.Tensor,
                     negative_valid: tf.Tensor, temperature: float, denominator: str = "negatives",
                     reduce: str = "valid_mean") -> tf.Tensor:
    """Eq 3 (and 4, 5) with negatives shared by the batch.

    Args:
      positive_cosines: float `[N]`.
      positive_valid: bool `[N]`, rows that have a positive pair.
      negative_cosines: float `[M]`.
      negative_valid: bool `[M]`; the others are left out of the sum.
      temperature: tau, above 0.
      denominator: `negatives` (printed: the negatives alone) or `infonce` (the row's positive is added).
      reduce: `valid_mean` (mean over the rows with a positive) or `batch_mean` (printed: over all rows).

    Returns:
      Float32 scalar; 0 with zero gradients when no positive or no negative is valid.

    Raises:
      ValueError: an unknown option or a temperature that is not above 0.

    Example:
      >>> from lcn_tf.layers import contrastive_loss
      >>> loss = contrastive_loss(tf.constant([1.0, 1.0]), tf.constant([True, True]), tf.constant([0.0, 0.0, 0.5]),
      ...                         tf.constant([True, True, False]), temperature=1.0)
      >>> round(float(loss), 3)  # log(e^0 + e^0) - 1
      -0.307
    """
    _check(denominator=denominator, reduce=reduce, temperature=temperature)
    if denominator == "inbatch":
        raise ValueError("denominator='inbatch' has no sampled negatives: use inbatch_loss")
    losses = _contrastive_rows(positive_cosines, positive_valid, negative_cosines, negative_valid, temperature,
                               denominator)
    return tf.math.divide_no_nan(*_sum_and_count(losses, positive_valid, reduce))


def inbatch_loss(cosines: tf.Tensor, positive_valid: tf.Tensor, negative_valid: tf.Tensor, temperature: float,
                 reduce: str = "valid_mean") -> tf.Tensor:
    """SimCLR-like variant (Chen et al., ICML 2020): row i's first item against every row's second item.

    Args:
      cosines: float `[N, N]`, row i's first item with column j's second item; the positives are on the diagonal.
      positive_valid: bool `[N]`.
      negative_valid: bool `[N, N]`, which columns are negatives of which row; the diagonal is ignored.
      temperature: tau, above 0.
      reduce: `valid_mean` or `batch_mean`.

    Returns:
      Float32 scalar, not negative; 0 with zero gradients when no row has a positive and a negative.

    Raises:
      ValueError: an unknown option or a temperature that is not above 0.

    Example:
      >>> from lcn_tf.layers import inbatch_loss
      >>> loss = inbatch_loss(tf.eye(2), tf.constant([True, True]), tf.ones([2, 2], tf.bool), temperature=1.0)
      >>> round(float(loss), 3)  # log(1 + e^(0 - 1))
      0.313
    """
    _check(reduce=reduce, temperature=temperature)
    losses = _inbatch_rows(cosines, tf.range(tf.shape(cosines)[0]), positive_valid, negative_valid, temperature)
    return tf.math.divide_no_nan(*_sum_and_count(losses, positive_valid, reduce))


def crp_loss(short_target: ItemHistory, short_source: ItemHistory, embed: Callable[[dict[str, tf.Tensor]], tf.Tensor],
             user_key: tf.Tensor, candidate_mask: tf.Tensor, seed: tf.Tensor, *, terms: Sequence[str] = CRP_TERMS,
             temperature: float = 0.2, num_negatives: int = 4096, denominator: str = "negatives",
             reduce: str = "valid_mean", rows: str = "all", negatives_by: str = "user", mask_same_id: bool = True,
             chunk_size: int = 8192) -> dict[str, tf.Tensor]:
    """Every requested CRP term of a batch, unweighted.

    Memory is bounded in M: beyond `chunk_size` negatives, pairs are compared chunk by chunk, and what is kept are a few
    numbers per pair and the embeddings of the distinct items, which are no more than the batch's histories hold.

    Args:
      short_target, short_source: the two short histories of the requests.
      embed: item ids by field, `[K]` each, to embeddings `[K, D]`, each item by itself; called on the sampled items
        only.
      user_key: `[B]`, requests with equal keys belong to one user.
      candidate_mask: bool `[B, C]`, the candidates that count (for `rows="positive"` the clicked ones).
      seed: int32 or int64 `[2]`; the same seed and candidates give the same loss.
      terms: subset of `CRP_TERMS`.
      temperature: tau.
      num_negatives: M negative pairs of each term; unused with `inbatch`.
      denominator: `negatives` (printed), `infonce` or `inbatch`.
      reduce: `valid_mean` or `batch_mean`.
      rows: `all` and `positive` take `candidate_mask` as it is; `unique_user` the first such candidate of each user.
      negatives_by: negatives join different users (`user`) or merely different candidates (`row`).
      mask_same_id: skip positives and negatives whose two items have equal ids in all fields.
      chunk_size: pairs compared at a time where there are more negatives than that; changes no draw and no loss.

    Returns:
      Float32 scalars by term name.

    Raises:
      ValueError: an unknown option, a temperature that is not above 0, fewer than one negative or pair in a chunk.

    Example:
      >>> from lcn_tf.layers import ItemHistory, crp_loss
      >>> ids = tf.reshape(tf.range(1, 13), [2, 6])  # of 2 users, each with 3 events in either domain
      >>> target, source = (ItemHistory({"item": part}, mask=part != 0) for part in (ids[:, :3], ids[:, 3:]))
      >>> losses = crp_loss(target, source, embed=lambda items: tf.one_hot(items["item"], 13),
      ...                   user_key=tf.constant([70, 80]), candidate_mask=tf.ones([2, 1], tf.bool),
      ...                   seed=tf.constant([0, 1]), num_negatives=64)
      >>> {term: round(float(loss), 3) for term, loss in losses.items()}  # log 64: all cosines are 0
      {'pt': 4.159, 'ps': 4.159, 'pc': 4.159}
    """
    sums = crp_sums(short_target, short_source, embed, user_key, candidate_mask, seed, terms=terms,
                    temperature=temperature, num_negatives=num_negatives, denominator=denominator, reduce=reduce,
                    rows=rows, negatives_by=negatives_by, mask_same_id=mask_same_id, chunk_size=chunk_size)
    return {term: tf.math.divide_no_nan(total, count) for term, (total, count) in sums.items()}


def crp_sums(short_target: ItemHistory, short_source: ItemHistory, embed: Callable[[dict[str, tf.Tensor]], tf.Tensor],
             user_key: tf.Tensor, candidate_mask: tf.Tensor, seed: tf.Tensor, *, terms: Sequence[str] = CRP_TERMS,
             temperature: float = 0.2, num_negatives: int = 4096, denominator: str = "negatives",
             reduce: str = "valid_mean", rows: str = "all", negatives_by: str = "user", mask_same_id: bool = True,
             chunk_size: int = 8192, anchors: tuple[tf.Tensor, tf.Tensor] | None = None
             ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """As `crp_loss`, whose mean is over all replicas when each adds up its own rows.

    Args:
      short_target, short_source, embed, user_key, candidate_mask, seed: as of `crp_loss`, of the requests of all
        replicas.
      terms, temperature, num_negatives, denominator, reduce, rows, negatives_by, mask_same_id, chunk_size: as of
        `crp_loss`.
      anchors: first and behind the last request whose candidates' losses are added up; None for all. Pairs and
        negatives are the same whatever they are.

    Returns:
      Sum of the losses and how many count, float32 scalars, by term name.

    Raises:
      ValueError: as `crp_loss`.
    """
    _check(denominator=denominator, reduce=reduce, temperature=temperature, rows=rows, negatives_by=negatives_by)
    if unknown := set(terms) - set(CRP_TERMS):
        raise ValueError(f"terms must be among {CRP_TERMS}, got {sorted(unknown)}")
    if num_negatives < 1:
        raise ValueError(f"num_negatives must be at least 1, got {num_negatives}")
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")
    if not terms:
        return {}
    short_target, short_source = (
        history._replace(ids={field: at_least_one(values) for field, values in history.ids.items()},
                         mask=at_least_one(history.mask),
                         offset=None if history.offset is None else at_least_one(history.offset))
        for history in (short_target, short_source))
    user_key, candidate_mask = at_least_one(user_key), at_least_one(candidate_mask)
    shape = tf.shape(candidate_mask)
    group_key = tf.broadcast_to(user_key[:, tf.newaxis], shape)
    if rows == "unique_user":
        first = first_of_each_group(tf.reshape(candidate_mask, [-1]), tf.reshape(group_key, [-1]))
        candidate_mask = tf.reshape(first, shape)
    if negatives_by == "row":
        group_key = tf.reshape(tf.range(tf.size(candidate_mask)), shape)
    samples = {term: sample_pairs(term, short_target, short_source, group_key, candidate_mask, num_negatives,
                                  mask_same_id, seed) for term in terms}
    begin, end = (0, tf.size(user_key)) if anchors is None else anchors
    own = slice(*(tf.reduce_sum(tf.cast(candidate_mask[:request], tf.int32)) for request in (begin, end)))
    if denominator == "inbatch":
        keys = tf.boolean_mask(group_key, candidate_mask)
        return {term: _inbatch_sums(embed, sample, own, keys, mask_same_id, temperature, reduce)
                for term, sample in samples.items()}
    samples = {term: sample._replace(first=_part(sample.first, own), second=_part(sample.second, own),
                                     valid=sample.valid[own]) for term, sample in samples.items()}
    if num_negatives > chunk_size:
        cosines = iter(_cosines_by_chunks(embed, samples.values(), chunk_size))
    else:
        vectors = iter(_embed_together(embed, [part for sample in samples.values() for part in (
            sample.first, sample.second, sample.negative_first, sample.negative_second)]))
        cosines = iter([cosine(next(vectors), next(vectors)) for _ in range(2 * len(samples))])
    sums = {}
    for term, sample in samples.items():
        losses = _contrastive_rows(next(cosines), sample.valid, next(cosines), sample.negative_valid, temperature,
                                   denominator)
        sums[term] = _sum_and_count(losses, sample.valid, reduce)
    return sums


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


def _contrastive_rows(positive_cosines: tf.Tensor, positive_valid: tf.Tensor, negative_cosines: tf.Tensor,
                      negative_valid: tf.Tensor, temperature: float, denominator: str) -> tf.Tensor:
    """Losses `[N]` of `contrastive_loss`, 0 where not valid."""
    positives = tf.cast(positive_cosines, tf.float32) / temperature  # [N]
    negatives = tf.cast(negative_cosines, tf.float32) / temperature  # [M]
    losses = tf.reduce_logsumexp(tf.where(negative_valid, negatives, MASKED_SCORE)) - positives
    if denominator == "infonce":
        losses = tf.nn.softplus(losses)
    return tf.where(positive_valid & tf.reduce_any(negative_valid), losses, 0.0)


def _inbatch_rows(cosines: tf.Tensor, own_column: tf.Tensor, positive_valid: tf.Tensor, negative_valid: tf.Tensor,
                  temperature: float) -> tf.Tensor:
    """Losses `[R]` of `inbatch_loss` over cosines `[R, N]`, where row i's positive is in column `own_column[i]`."""
    logits = tf.cast(cosines, tf.float32) / temperature
    positives = tf.gather(logits, own_column, batch_dims=1)  # [R]
    negative_valid &= tf.not_equal(own_column[:, tf.newaxis], tf.range(tf.shape(logits)[1]))
    log_sum = tf.reduce_logsumexp(tf.where(negative_valid, logits, MASKED_SCORE), axis=-1)
    return tf.where(positive_valid & tf.reduce_any(negative_valid, axis=-1), tf.nn.softplus(log_sum - positives), 0.0)


def _sum_and_count(losses: tf.Tensor, valid: tf.Tensor, reduce: str) -> tuple[tf.Tensor, tf.Tensor]:
    """The sum of the losses (0 where not valid), and the number of valid rows or of all of them."""
    rows = valid if reduce == "valid_mean" else tf.ones_like(valid)
    return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(rows, tf.float32))


def _part(ids: Ids, rows: slice) -> dict[str, tf.Tensor]:
    return {field: values[rows] for field, values in ids.items()}


def _inbatch_sums(embed: Callable[[dict[str, tf.Tensor]], tf.Tensor], sample: PairSample, own: slice,
                  group_key: tf.Tensor, mask_same_id: bool, temperature: float, reduce: str
                  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Own rows R against the second items of all N."""
    first, columns = _part(sample.first, own), tf.range(tf.size(group_key))[own]
    vectors, others = _embed_together(embed, [first, sample.second])  # [R, D], [N, D]
    valid = sample.valid & tf.not_equal(group_key[own][:, tf.newaxis], group_key)  # [R, N]
    if mask_same_id:
        valid &= ~same_items({field: values[:, tf.newaxis] for field, values in first.items()}, sample.second)
    cosines = tf.matmul(_normalise(vectors), _normalise(others), transpose_b=True)
    losses = _inbatch_rows(cosines, columns, sample.valid[own], valid, temperature)
    return _sum_and_count(losses, sample.valid[own], reduce)


def _embed_together(embed: Callable[[dict[str, tf.Tensor]], tf.Tensor], parts: Sequence[Ids]) -> list[tf.Tensor]:
    """Embeds several lists of items in one call and splits the result again."""
    sizes = [tf.shape(next(iter(part.values())))[0] for part in parts]
    vectors = embed({field: tf.concat([part[field] for part in parts], axis=0) for field in parts[0]})
    return tf.split(vectors, tf.stack(sizes), axis=0)


def _cosines_by_chunks(embed: Callable[[dict[str, tf.Tensor]], tf.Tensor], samples: Iterable[PairSample],
                       chunk_size: int) -> list[tf.Tensor]:
    """Cosines of the positive pairs `[N]` and of the negative ones `[M]` of each sample, items embedded once each."""
    firsts, seconds = [], []
    for sample in samples:
        firsts += [sample.first, sample.negative_first]
        seconds += [sample.second, sample.negative_second]
    sizes = [tf.shape(next(iter(ids.values())))[0] for ids in firsts]
    items, numbers = distinct_items({field: tf.concat([ids[field] for ids in (*firsts, *seconds)], axis=0)
                                     for field in firsts[0]})
    first, second = tf.split(numbers, 2)
    return tf.split(pairwise_products(_normalise(embed(items)), first, second, chunk_size), tf.stack(sizes))
