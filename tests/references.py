"""Oracles: the equations once more, in float64 numpy with plain loops over requests, candidates and events.

Nothing here is folded, batched or cached: each function computes what its equation says for one candidate, and
`per_candidate` loops over requests and candidates. Fast paths are compared with these, values and gradients.
"""

import math

import numpy as np


def per_candidate(function, candidate, history, mask, *others):
    """Stacks `function(candidate [D], history [L, D], mask [L], *others)` over requests and candidates, `[B, C, ...]`.

    `mask` may be `[B, L]` or `[B, C, L]`, and `history` `[B, L, D]` or `[B, C, L, D]`.
    """
    return np.stack([
        np.stack([
            function(candidate[b, c], history[b] if history.ndim == 3 else history[b, c],
                     mask[b] if mask.ndim == 2 else mask[b, c], *others)
            for c in range(candidate.shape[1])])
        for b in range(candidate.shape[0])])


def softmax(logits, mask):
    """Probabilities among unmasked entries; zeros if there is none."""
    valid = [k for k in range(len(logits)) if mask[k]]
    result = np.zeros(len(logits))
    if valid:
        largest = max(logits[k] for k in valid)
        total = sum(math.exp(logits[k] - largest) for k in valid)
        for k in valid:
            result[k] = math.exp(logits[k] - largest) / total
    return result


def top_k(scores, mask, k):
    """Indices of the best unmasked entries, best first, at most `k`; ties go to the smaller index."""
    valid = [index for index in range(len(scores)) if mask[index]]
    return sorted(valid, key=lambda index: (-scores[index], index))[:k]


def csa_scores(candidate, history, scale=False):
    """Eq 7 of LCN: inner products of every event, masked ones included."""
    return np.array([event @ candidate / (math.sqrt(len(candidate)) if scale else 1.0) for event in history])


def csa(candidate, history, mask, pool="sum", scale=False):
    """Eq 8 of LCN and its variants, `[D]`."""
    valid = [k for k in range(len(history)) if mask[k]]
    interest = np.zeros(len(candidate))
    if not valid:
        return interest
    scores = csa_scores(candidate, history, scale)
    if pool == "softmax":
        weights = softmax(csa_scores(candidate, history, scale=True), mask)
    else:
        divisor = {"sum": 1.0, "mean": len(valid), "abs_norm": sum(abs(scores[k]) for k in valid)}[pool]
        weights = scores / divisor
    for k in valid:
        interest = interest + weights[k] * history[k]
    return interest


def msa_logits(candidate, events, weights):
    """Eq 9 of LCN: scaled dot products of projected candidate and projected events."""
    query = candidate @ weights["query"]
    return np.array([query @ (event @ weights["key"]) / math.sqrt(len(query)) for event in events])


def msa(candidate, events, mask, weights, norm="softmax"):
    """Eq 10 of LCN, `[D_a]`: weighted sum of the projected unmasked events."""
    logits = msa_logits(candidate, events, weights)
    attention = softmax(logits, mask) if norm == "softmax" else logits
    interest = np.zeros(weights["value"].shape[1])
    for k, event in enumerate(events):
        if mask[k]:
            interest = interest + attention[k] * (event @ weights["value"])
    return interest


def fsa_logits(candidate, events, weights, num_heads):
    """Logits of each head, `[H, K]` (inside eq 11 of LCN)."""
    heads = np.split(np.arange(weights["query"].shape[1]), num_heads)
    return np.stack([
        msa_logits(candidate, events, {name: weights[name][:, columns] for name in ("query", "key")})
        for columns in heads])


def fsa_scores(candidate, events, mask, weights, num_heads):
    """Attention scores of each head, `[H, K]`."""
    return np.stack([softmax(logits, mask) for logits in fsa_logits(candidate, events, weights, num_heads)])


def layer_norm(vector, epsilon=1e-3):
    """Layer normalisation with scale 1 and shift 0 (Keras' epsilon)."""
    return (vector - vector.mean()) / math.sqrt(vector.var() + epsilon)


def fsa(candidate, events, mask, weights, num_heads, pool="query", residual=False, normalised=False):
    """Eqs 11 to 13 of LCN, `[D_a]`; `residual` and `normalised` as in a Transformer decoder with post-normalisation."""
    width = weights["query"].shape[1]
    valid = [k for k in range(len(events)) if mask[k]]
    if not valid:
        return np.zeros(width)
    scores = fsa_scores(candidate, events, mask, weights, num_heads)
    head_of = np.repeat(np.arange(num_heads), width // num_heads)
    items = {k: scores[head_of, k] * (events[k] @ weights["value"]) for k in valid}

    def feed_forward(attended):
        if residual:
            attended = attended + candidate @ weights["query"]
        if normalised:
            attended = layer_norm(attended)
        hidden = np.maximum(attended @ weights["w1"] + weights["b1"], 0.0)
        output = hidden @ weights["w2"] + weights["b2"]
        if residual:
            output = output + attended
        return layer_norm(output) if normalised else output

    if pool == "query":
        return feed_forward(sum(items.values()))
    return sum(feed_forward(item) for item in items.values()) / len(valid)


def lap(candidate, history, mask, context, weights, msa_top_k, fsa_top_k, num_heads, integration="concat",
        shared=False, level_norm="candidate"):
    """The pyramid of LCN's section 4.3 for one candidate; `weights` holds `msa` and `fsa`, top-k None omits a level.

    Returns the interest, and the positions MSA and FSA saw.
    """
    events = history if context is None else np.concatenate([history, context], axis=1)
    interests = [csa(candidate, history, mask)]
    kept = top_k(csa_scores(candidate, history), mask, msa_top_k or fsa_top_k)
    seen = {}
    if msa_top_k is not None:
        if shared:
            logits = fsa_logits(candidate, events[kept], weights["fsa"], num_heads).mean(axis=0)
            attention = softmax(logits, [True] * len(kept))
            width = weights["fsa"]["value"].shape[1]
            interest = sum((attention[k] * (events[place] @ weights["fsa"]["value"]) for k, place in enumerate(kept)),
                           start=np.zeros(width))
        else:
            logits = msa_logits(candidate, events[kept], weights["msa"])
            interest = msa(candidate, events[kept], [True] * len(kept), weights["msa"])
        interests.append(interest)
        seen["msa"] = kept
        if fsa_top_k is not None:
            kept = [kept[slot] for slot in top_k(logits, [True] * len(kept), fsa_top_k)]
    if fsa_top_k is not None:
        interests.append(fsa(candidate, events[kept], [True] * len(kept), weights["fsa"], num_heads))
        seen["fsa"] = kept
    if level_norm != "none":
        size = 0.1 if level_norm == "rms" else np.sqrt(np.mean(candidate**2))
        interests = [part * size / np.sqrt(np.mean(part**2)) if part.any() else part for part in interests]
    interest = {"concat": np.concatenate, "last": lambda parts: parts[-1], "sum": sum}[integration](interests)
    return interest, seen


def sigmoid(values):
    """Logistic function."""
    return 1.0 / (1.0 + np.exp(-values))


def din_logit(candidate, event, layers, scale):
    """DIN's network on `[q, k, q - k, q * k, c]`; `layers` is a list of (kernel, bias), the last one linear.

    An event is its item `k [D]` or, wider than the candidate, its item and its context c.
    """
    item, context = event[:len(candidate)], event[len(candidate):]
    hidden = np.concatenate([candidate, item, candidate - item, candidate * item, context])
    for kernel, bias in layers[:-1]:
        hidden = sigmoid(hidden @ kernel + bias)
    kernel, bias = layers[-1]
    return (hidden @ kernel + bias)[0] / (math.sqrt(len(candidate)) if scale else 1.0)


def din(candidate, history, mask, layers, use_softmax=True, scale=True):
    """DIN's pooled history, as wide as an event."""
    logits = np.array([din_logit(candidate, event, layers, scale) for event in history])
    weights = softmax(logits, mask) if use_softmax else logits
    return sum((weights[k] * event for k, event in enumerate(history) if mask[k]), start=np.zeros(history.shape[1]))


def cosine(first, second, epsilon=1e-8):
    """Cosine similarity with `epsilon` under the square root of each norm."""
    return first @ second / math.sqrt(first @ first + epsilon) / math.sqrt(second @ second + epsilon)


def log_sum_exp(values):
    """Logarithm of the sum of exponentials of a list that is not empty."""
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values))


def contrastive_loss(positives, positive_valid, negatives, negative_valid, temperature, denominator="negatives",
                     reduce="valid_mean"):
    """Eqs 3 to 5 of LCN (`negatives`) or with the row's own positive in the denominator (`infonce`)."""
    others = [value / temperature for value, valid in zip(negatives, negative_valid, strict=True) if valid]
    total, rows = 0.0, 0
    for value, valid in zip(positives, positive_valid, strict=True):
        rows += bool(valid or reduce == "batch_mean")
        if valid and others:
            own = value / temperature
            terms = others if denominator == "negatives" else [own, *others]
            total += log_sum_exp(terms) - own
    return total / rows if rows else 0.0


def inbatch_loss(cosines, positive_valid, negative_valid, temperature, reduce="valid_mean"):
    """SimCLR-like loss: row i's first item against every row's second item."""
    total, rows = 0.0, 0
    for i, valid in enumerate(positive_valid):
        rows += bool(valid or reduce == "batch_mean")
        others = [cosines[i][j] / temperature for j in range(len(cosines)) if j != i and negative_valid[i][j]]
        if valid and others:
            own = cosines[i][i] / temperature
            total += log_sum_exp([own, *others]) - own
    return total / rows if rows else 0.0


def directional_derivative(function, point, direction, step=1e-6):
    """Central difference of a scalar function of a list of arrays along a list of directions."""
    forward = function([value + step * change for value, change in zip(point, direction, strict=True)])
    backward = function([value - step * change for value, change in zip(point, direction, strict=True)])
    return (forward - backward) / (2.0 * step)
