"""Oracles of the lifelong baselines: their papers' equations for one candidate, in float64 numpy with plain loops.

As in `references`, nothing is folded, batched or cached; `references.per_candidate` loops over requests and candidates.
"""

import math

import numpy as np

from tests import references


def target_mha(candidate, events, mask, weights, num_heads=1):
    """`MHTA`, `[D]`: softmax attention of each head over the unmasked events, projected back by `weights["output"]`."""
    width = weights["value"].shape[1]
    scores = references.fsa_scores(candidate, events, mask, weights, num_heads)
    head_of = np.repeat(np.arange(num_heads), width // num_heads)
    attended = np.zeros(width)
    for k, event in enumerate(events):
        if mask[k]:
            attended = attended + scores[head_of, k] * (event @ weights["value"])
    return attended @ weights["output"]


def kept_mask(scores, mask, top_k):
    """The `top_k` best unmasked events, as a mask; ties go to the more recent event."""
    kept = references.top_k(scores, mask, top_k)
    return [index in kept for index in range(len(scores))]


def soft_search(candidate, history, mask, weights, pool="sum"):
    """SIM's scores `[L]` and `U_r [D]`; `weights` holds W_a as `candidate` and W_b as `event`, both `[D, D_a]`."""
    scores = np.array([(candidate @ weights["candidate"]) @ (event @ weights["event"]) for event in history])
    factors = scores
    if pool == "softmax":
        factors = references.softmax(scores / math.sqrt(weights["event"].shape[1]), mask)
    pooled = np.zeros(len(candidate))
    for k, event in enumerate(history):
        if mask[k]:
            pooled = pooled + factors[k] * event
    return scores, pooled


def sim(candidate, events, mask, attention, top_k, num_heads=1, search=None):
    """SIM: soft search (`search` as in `soft_search`, or inner products), then attention over the best events."""
    history = events[:, :len(candidate)]
    scores = soft_search(candidate, history, mask, search)[0] if search else references.csa_scores(candidate, history)
    return target_mha(candidate, events, kept_mask(scores, mask, top_k), attention, num_heads)


def sim_hard(candidate, events, mask, shared, attention, top_k, num_heads=1):
    """SIM Hard: attention over the most recent unmasked events whose key is the candidate's (`shared`, `[L]`)."""
    found = [k for k in range(len(events)) if mask[k] and shared[k]][:top_k]
    return target_mha(candidate, events, [k in found for k in range(len(events))], attention, num_heads)


def signs(vector, projection):
    """SimHash bits as +1 and -1; 0 counts as +1."""
    return [1 if value >= 0 else -1 for value in vector @ projection]


def hamming(candidate, history, projection):
    """Number of different bits between the candidate and each event."""
    own = signs(candidate, projection)
    return np.array([sum(bit != other for bit, other in zip(own, signs(event, projection), strict=True))
                     for event in history])


def collision_probability(cosine, hash_bits):
    """Probability that two vectors of a given cosine share a signature of `hash_bits` bits."""
    return (1 - math.acos(cosine) / math.pi) ** hash_bits


def eta(candidate, events, mask, attention, projection, top_k, num_heads=1, context=True):
    """ETA: attention over the events of the smallest Hamming distance, the more recent first among equals."""
    history = events[:, :len(candidate)]
    kept = kept_mask(-hamming(candidate, history, projection), mask, top_k)
    return target_mha(candidate, events if context else history, kept, attention, num_heads)


def sdim(candidate, events, mask, projection, hash_bits):
    """SDIM: for each signature of items the l2-normalised sum of the events that share the candidate's; their mean."""
    groups = projection.shape[1] // hash_bits
    result = np.zeros(events.shape[1])
    for g in range(groups):
        columns = projection[:, g * hash_bits:(g + 1) * hash_bits]
        own = signs(candidate, columns)
        total = np.zeros(events.shape[1])
        for k, event in enumerate(events):
            if mask[k] and signs(event[:len(candidate)], columns) == own:
                total = total + event
        norm = math.sqrt(total @ total)
        if norm > 0:
            result = result + total / norm / groups
    return result


def shared_signatures(candidate, history, projection, hash_bits):
    """Number of the candidate's signatures that each event has, `[L]`."""
    groups = [projection[:, first:first + hash_bits] for first in range(0, projection.shape[1], hash_bits)]
    return np.array([sum(signs(event, columns) == signs(candidate, columns) for columns in groups)
                     for event in history])


def twin_logits(candidate, events, weights, num_heads):
    """TWIN's alpha `[H, L]`: scaled dot product of the items plus the bias of each position's context fields.

    `weights`: `query`, `key` `[D, D_a]`, `cross` `[H, J, d]` and `beta` `[J]` or `[H, J]`.
    """
    width = len(candidate)
    logits = references.fsa_logits(candidate, events[:, :width], weights, num_heads)
    cross, beta = weights["cross"], weights["beta"]
    for a in range(num_heads):
        for k, event in enumerate(events):
            for j, field in enumerate(np.split(event[width:], cross.shape[1])):
                logits[a, k] += (field @ cross[a, j]) * (beta[a, j] if beta.ndim == 2 else beta[j])
    return logits


def merged_keys(logits, mask):
    """`min_a(rank_a(k) H + a)` of every unmasked event; None at masked ones."""
    heads, length = logits.shape
    ranks = [references.top_k(row, mask, length) for row in logits]
    return [min(ranks[a].index(k) * heads + a for a in range(heads)) if mask[k] else None for k in range(length)]


def twin(candidate, events, mask, weights, num_heads, top_k, per_head=False):
    """TWIN for one candidate, `[D]`; `per_head` lets every head attend to its own `top_k` events."""
    logits = twin_logits(candidate, events, weights, num_heads)
    if per_head:
        kept = [kept_mask(row, mask, top_k) for row in logits]
    else:
        keys = merged_keys(logits, mask)
        best = sorted((k for k in range(len(keys)) if mask[k]), key=lambda k: keys[k])[:top_k]
        kept = [[k in best for k in range(len(keys))]] * num_heads
    heads = np.split(np.arange(weights["value"].shape[1]), num_heads)
    attended = []
    for a, columns in enumerate(heads):
        scores = references.softmax(logits[a], kept[a])
        attended.append(sum((scores[k] * (event @ weights["value"][:, columns]) for k, event in enumerate(events)),
                            start=np.zeros(len(columns))))
    return np.concatenate(attended) @ weights["output"]


def mean_pool(history, mask):
    """Mean of the unmasked events, zeros if there is none."""
    valid = [event for event, real in zip(history, mask, strict=True) if real]
    return sum(valid, start=np.zeros(history.shape[1])) / max(len(valid), 1)


def augru_state(state, update, new, attention, gate):
    """DIEN's next state for given update gate and candidate state: the paper's gate, or the authors' `code`."""
    if gate == "paper":
        update = attention * update
        return (1 - update) * state + update * new
    update = (1 - attention) * update
    return update * state + (1 - update) * new


def gru_state(event, state, weights, attention=None, gate="paper"):
    """Next state of a GRU (DIEN, eqs 2 to 5) or, with an attention, of an AUGRU; gates in the order u, r, c."""
    kernel, recurrent_kernel, bias = weights
    width = len(state)
    u, r, c = (slice(place * width, (place + 1) * width) for place in range(3))
    update = references.sigmoid(event @ kernel[:, u] + state @ recurrent_kernel[:, u] + bias[u])
    reset = references.sigmoid(event @ kernel[:, r] + state @ recurrent_kernel[:, r] + bias[r])
    new = np.tanh(event @ kernel[:, c] + reset * (state @ recurrent_kernel[:, c]) + bias[c])
    if attention is None:
        return (1 - update) * state + update * new
    return augru_state(state, update, new, attention, gate)


def dien_attention(candidate, history, mask, weights):
    """States `[L, D]` of DIEN's first recurrence, zeros at masked events, and its attention `[L]`.

    `weights`: `extraction` and `evolution` (kernel, recurrent kernel, bias), `query` (kernel, bias, slope), `layers`.
    """
    kernel, bias, slope = weights["query"]
    query = candidate @ kernel + bias
    query = np.where(query > 0, query, slope * query)
    states, state = np.zeros((len(history), len(candidate))), np.zeros(len(candidate))
    for k in reversed(range(len(history))):
        if mask[k]:
            state = states[k] = gru_state(history[k], state, weights["extraction"])
    logits = [references.din_logit(query, row, weights["layers"], False) for row in states]
    return states, references.softmax(logits, mask)


def dien(candidate, history, mask, weights, gate="paper"):
    """DIEN for one candidate, `[D]`: the last state of its second recurrence."""
    states, attention = dien_attention(candidate, history, mask, weights)
    state = np.zeros(len(candidate))
    for k in reversed(range(len(history))):
        if mask[k]:
            state = gru_state(states[k], state, weights["evolution"], attention[k], gate)
    return state


def next_event_loss(states, items, negatives, mask, valid):
    """DIEN's auxiliary loss of one history, most recent first: the mean over pairs of an event and the one after it."""
    losses = []
    for k in range(1, len(items)):
        if mask[k] and mask[k - 1]:
            loss = -math.log(references.sigmoid(states[k] @ items[k - 1]))
            if valid[k - 1]:
                loss -= math.log(1 - references.sigmoid(states[k] @ negatives[k - 1]))
            losses.append(loss)
    return sum(losses) / max(len(losses), 1)


def golden_numbers(content):
    """Vector -> key -> number of those that the oracles give for `golden/baselines.json`."""
    vectors, fixture, shared = content["vectors"], content["fixture"], content["fixture"]["shared"]
    candidate, items, mask = np.array(shared["e_v"]), np.array(shared["E"]), shared["mask1110"]
    identity = {name: np.eye(2) for name in ("query", "key", "value", "output", "candidate", "event")}
    scores, pooled = soft_search(candidate, items, mask, identity)
    best = references.top_k(scores, mask, 2)
    attended = {"esu_attn": references.fsa_scores(candidate, items[best], [True] * 2, identity, 1)[0],
                "esu_out": sim(candidate, items, mask, identity, 2)}
    projection = np.array(vectors["eta"]["H"])
    distances = hamming(candidate, items, projection)
    hashes, tau = np.array(vectors["sdim"]["H"]), vectors["sdim"]["tau"]
    cosines = [references.cosine(candidate, item, epsilon=0.0) for item in items]
    twin_fixture = fixture["twin"]
    weights = {"query": np.array(twin_fixture["W_q"]), "key": np.array(twin_fixture["W_h"]), "output": np.eye(2),
               "value": np.array(twin_fixture["W_V"]).T, "cross": np.array([[[twin_fixture["cross_w"]]]]),
               "beta": np.array([twin_fixture["beta"]])}
    events = np.concatenate([items, shared["context"]], axis=1)
    alpha = twin_logits(candidate, events, weights, 1)[0]
    kept = references.top_k(alpha, mask, 2)
    heads = vectors["twin_merged_heads"]
    keys = merged_keys(np.array([heads["scores_head0"], heads["scores_head1"]]), [True] * 5)
    augru = [vectors["dien_augru"][name] for name in ("h_prev", "u", "candidate", "attn")]
    return {
        "sim_soft": {"gsu_scores": scores, "U_r_mask1110": pooled, "top2": best, **attended,
                     "esu_logits": references.fsa_logits(candidate, items[best], identity, 1)[0]},
        "eta": {"sign_target": signs(candidate, projection), "sign_seq": [signs(item, projection) for item in items],
                "hamming": distances, "top2_mask1110": references.top_k(-distances, mask, 2),
                "esu_out": eta(candidate, items, mask, identity, projection, 2)},
        "sdim": {"sdim_out": sdim(candidate, items, mask, hashes, tau), "cos_to_target": cosines,
                 "l2_group0": sdim(candidate, items, mask, hashes[:, :tau], tau),
                 "l2_group1_empty_is_zero": sdim(candidate, items, mask, hashes[:, tau:], tau),
                 **{f"collision_prob_tau{bits}": [collision_probability(cosine, bits) for cosine in cosines]
                    for bits in (1, 2, 3)}},
        "twin": {"alpha": alpha, "top2_mask1110": kept, "attn": references.softmax(alpha[kept], [True] * 2),
                 "head_out": twin(candidate, events, mask, weights, 1, 2)},
        "twin_merged_heads": {"key": keys, "union_top3": sorted(sorted(range(5), key=keys.__getitem__)[:3])},
        "dien_augru": {"h_paper": augru_state(*augru, "paper"), "h_dien_official_code": augru_state(*augru, "code")},
    }
