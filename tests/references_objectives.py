"""Oracles of what losses on sequences are made of: float64 numpy with plain loops over rows, events and negatives."""

import math

import numpy as np

from tests import references

_EPSILON = 1e-6


def merged_events(*parts):
    """Real events of one row, newest first: (timestamp, domain, ids) from `(domain, timestamps, masks, ids by field)`.

    Python's sort is stable: events of one second keep the order in which they are given.
    """
    events = [(int(timestamp), domain, {field: int(values[k]) for field, values in ids.items()})
              for domain, timestamps, mask, ids in parts for k, timestamp in enumerate(timestamps) if mask[k]]
    return sorted(events, key=lambda event: -event[0])


def layer_norm(vector, scale, shift):
    """Layer normalisation of one vector."""
    return (vector - vector.mean()) / math.sqrt(vector.var() + _EPSILON) * scale + shift


def gelu(values):
    """`x P(X <= x)` for a standard normal X."""
    return np.array([value * 0.5 * (1.0 + math.erf(value / math.sqrt(2.0))) for value in values])


def nothing_dropped(site, values):
    """Inference."""
    return values


def attend(vectors, real, weights, num_heads, causal, drop=nothing_dropped, site=0):
    """Multi-head self-attention of one row, `[T, W] -> [T, W]`; position 0 is the newest."""
    query, key, value = (vectors @ weights[f"{name}_kernel"] + weights[f"{name}_bias"]
                         for name in ("query", "key", "value"))
    length, heads = len(vectors), np.split(np.arange(query.shape[1]), num_heads)
    scores = np.zeros((num_heads, length, length))
    for head, columns in enumerate(heads):
        for t in range(length):
            visible = [bool(real[k]) and (k >= t or not causal) for k in range(length)]
            logits = [query[t, columns] @ key[k, columns] / math.sqrt(len(columns)) for k in range(length)]
            scores[head, t] = references.softmax(logits, visible)
    scores = drop(site, scores)
    attended = np.concatenate([scores[head] @ value[:, columns] for head, columns in enumerate(heads)], axis=1)
    return attended @ weights["attention_output_kernel"] + weights["attention_output_bias"]


def encode_row(items, real, domain, hidden, weights, num_blocks, num_heads, causal=False, pre_norm=False,
               drop=nothing_dropped):
    """States `[T, W]` of one row, zeros outside the mask; `weights` by name, a block's after `block_<number>_`.

    `drop(site, values)` drops some of the sum of embeddings (site 0) and, in each block, of the attention's scores and
    of what attention and feed-forward network return (sites 1, 2, 3, then 4, 5, 6, ...).
    """
    def normalised(vectors, name, of):
        return np.stack([layer_norm(vector, of[f"{name}_gamma"], of[f"{name}_beta"]) for vector in vectors])

    length = len(items)
    vectors = np.where(real[:, None], items, 0.0)
    if "projection_kernel" in weights:
        vectors = vectors @ weights["projection_kernel"] + weights["projection_bias"]
    vectors = np.stack([(weights["mask_vector"] if hidden[t] else vectors[t]) + weights["position_vectors"][t]
                        + weights["domain_vectors"][domain[t]] for t in range(length)])
    if not pre_norm:
        vectors = normalised(vectors, "norm", weights)
    vectors = drop(0, vectors)
    for number in range(num_blocks):
        prefix, first = f"block_{number}_", 1 + 3 * number
        block = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        inputs = normalised(vectors, "attention_norm", block) if pre_norm else vectors
        vectors = vectors + drop(first + 1, attend(inputs, real, block, num_heads, causal, drop, first))
        vectors = vectors if pre_norm else normalised(vectors, "attention_norm", block)
        inputs = normalised(vectors, "ffn_norm", block) if pre_norm else vectors
        activated = np.stack([gelu(row @ block["ffn_hidden_kernel"] + block["ffn_hidden_bias"]) for row in inputs])
        vectors = vectors + drop(first + 2, activated @ block["ffn_output_kernel"] + block["ffn_output_bias"])
        vectors = vectors if pre_norm else normalised(vectors, "ffn_norm", block)
    if pre_norm:
        vectors = normalised(vectors, "norm", weights)
    return np.where(real[:, None], vectors, 0.0)


def encode(items, mask, domain, hidden, weights, drops=None, **options):
    """`encode_row` of every row, with a `drop` for each."""
    drops = drops or [nothing_dropped] * len(items)
    return np.stack([encode_row(*row, weights, drop=drop, **options)
                     for *row, drop in zip(items, mask, domain, hidden, drops, strict=True)])


def sampled_softmax(query, positive, negatives, counts, temperature=1.0, positive_log_q=0.0, negative_log_q=None):
    """Cross entropy of one query among its positive and the negatives that count."""
    own = query @ positive / temperature - positive_log_q
    others = [query @ negative / temperature - (0.0 if negative_log_q is None else negative_log_q[k])
              for k, negative in enumerate(negatives) if counts[k]]
    return references.log_sum_exp([own, *others]) - own


def golden_numbers(content):
    """Vector -> key -> number, of `golden/objectives.json`."""
    fixture = {name: {key: np.array(value) for key, value in values.items() if key != "notes"}
               for name, values in content["fixture"].items()}

    def unit(vectors):
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    def inbatch(queries, keys, temperature):
        every = range(len(queries))
        return [sampled_softmax(queries[i], keys[i], keys, [j != i for j in every], temperature) for i in every]

    one = fixture["sampled_softmax"]
    query, positive, negatives, log_q = one["h"], one["positive"], one["negatives"], np.log(one["q"])
    both = [True, True]
    numbers = {"sampled_softmax": {
        "ce": sampled_softmax(query, positive, negatives, both),
        "ce_tau_0_5": sampled_softmax(query, positive, negatives, both, 0.5),
        "ce_logq": sampled_softmax(query, positive, negatives, both, 1.0, log_q[0], log_q[1:]),
        "ce_accidental_neg1_masked": sampled_softmax(query, positive, negatives, [False, True])}}
    queue = fixture["queue"]
    user, item, queued = unit(queue["u"]), unit(queue["v"]), unit(queue["queue"])
    numbers["queue"] = {
        "loss_all": sampled_softmax(user, item, queued, [True] * 3, queue["tau"]),
        "loss_mask_same_id_queue2": sampled_softmax(user, item, queued, ~queue["same_id_queue"], queue["tau"])}
    views = fixture["two_views_of_items"]
    numbers["two_views_of_items"] = {
        "ssl_loss": np.mean(inbatch(unit(views["z"]), unit(views["z_prime"]), views["tau"]))}
    pairs = fixture["users_and_items"]
    u2i, i2u = (np.mean(inbatch(pairs[queries], pairs[keys], pairs["tau"])) for queries, keys in ("UV", "VU"))
    numbers["users_and_items"] = {"u2i": u2i, "i2u": i2u, "uim_mean": (u2i + i2u) / 2}
    stacked = np.concatenate([fixture["two_views_of_rows"]["z1"], fixture["two_views_of_rows"]["z2"]])
    per_row = [sampled_softmax(stacked[i], stacked[(i + 2) % 4], stacked, [j not in (i, (i + 2) % 4) for j in range(4)])
               for i in range(4)]
    numbers["two_views_of_rows"] = {"per_row": per_row, "nt_xent": np.mean(per_row)}
    return numbers
