"""Oracles of what losses on sequences are made of: float64 numpy with plain loops over rows, events and negatives."""

import itertools
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


def encode_blocks(vectors, real, weights, num_blocks, num_heads, causal=False, pre_norm=False, drop=nothing_dropped):
    """What the blocks of a Transformer make of one row's vectors, `[T, W] -> [T, W]`; see `encode_row`."""
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
    return vectors


def normalised(vectors, name, weights):
    """Every vector normalised, by the weights of a name."""
    return np.stack([layer_norm(vector, weights[f"{name}_gamma"], weights[f"{name}_beta"]) for vector in vectors])


def encode_row(items, real, domain, hidden, weights, num_blocks, num_heads, causal=False, pre_norm=False,
               drop=nothing_dropped):
    """States `[T, W]` of one row, zeros outside the mask; `weights` by name, a block's after `block_<number>_`.

    `drop(site, values)` drops some of the sum of embeddings (site 0) and, in each block, of the attention's scores and
    of what attention and feed-forward network return (sites 1, 2, 3, then 4, 5, 6, ...).
    """
    length = len(items)
    vectors = np.where(real[:, None], items, 0.0)
    if "projection_kernel" in weights:
        vectors = vectors @ weights["projection_kernel"] + weights["projection_bias"]
    vectors = np.stack([(weights["mask_vector"] if hidden[t] else vectors[t]) + weights["position_vectors"][t]
                        + weights["domain_vectors"][domain[t]] for t in range(length)])
    if not pre_norm:
        vectors = normalised(vectors, "norm", weights)
    vectors = drop(0, vectors)
    vectors = encode_blocks(vectors, real, weights, num_blocks, num_heads, causal, pre_norm, drop)
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


def field_alignment(fields):
    """Mean squared distance of two rows' vectors of a field, over pairs of rows and fields of `[N, F, d]`."""
    return np.mean([np.square(one[field] - other[field]).sum() for one, other in itertools.combinations(fields, 2)
                    for field in range(fields.shape[1])])


def field_uniformity(fields):
    """Mean cosine of two different fields' vectors of a row, over rows and pairs of fields of `[N, F, d]`."""
    return np.mean([references.cosine(one, other, epsilon=0.0) for row in fields
                    for one, other in itertools.combinations(row, 2)])


def intents_of(states, mask, weights, biases):
    """DSS's intents `[I, W]` of one row: a loop over its real events."""
    width = states.shape[1]

    def norm(name, vector):
        return layer_norm(vector, weights[f"{name}_gamma"], weights[f"{name}_beta"])

    query = norm("query", weights["query_bias"] + weights["positions"][0] + states[0])
    logits = []
    for place, state in enumerate(states):
        placed = norm("key", state + weights["positions"][place])
        logits.append((placed + np.maximum(placed @ weights["key_kernel"] + weights["key_bias"], 0.0)) @ query)
    shares = references.softmax(np.array(logits) / math.sqrt(width), mask)
    pooled = np.zeros_like(biases)
    for place in np.flatnonzero(mask):
        suits = [norm("state", states[place]) @ norm("prototype", one) / math.sqrt(width)
                 for one in weights["prototypes"]]
        pooled += np.outer(references.softmax(np.array(suits), [True] * len(suits)) * shares[place], states[place])
    return np.stack([norm("intent", bias + vector) for bias, vector in zip(biases, pooled, strict=True)])


def seq2item(intents, own_item, items, weights):
    """DSS's loss of one row from its intents to its next item, among items that count `weights` times."""
    scale = math.sqrt(intents.shape[1])
    own = [intent @ own_item / scale for intent in intents]
    others = [intent @ item / scale + math.log(weight) for intent in intents
              for item, weight in zip(items, weights, strict=True)]
    return references.log_sum_exp([*own, *others]) - max(own)


def seq2seq(intents, own_future, futures, weights):
    """DSS's losses of one row's intents, each to find itself in the row's future."""
    scale = math.sqrt(intents.shape[1])
    losses = []
    for number, intent in enumerate(intents):
        own = [intent @ other / scale for other in own_future]
        others = [intent @ other / scale + math.log(weight) for future, weight in zip(futures, weights, strict=True)
                  for other in future]
        losses.append(references.log_sum_exp([*own, *others]) - own[number])
    return losses


def step_target(reward, done, gamma, selector, evaluator):
    """Of double Q-learning."""
    return reward if done else reward + gamma * evaluator[int(np.argmax(selector))]


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
    rows = fixture["fields"]["X"]
    numbers["fields"] = {"alignment": field_alignment(rows), "uniformity": field_uniformity(rows)}
    intents = fixture["intents"]
    rows, others = range(2), [[1], [0]]
    item = [seq2item(intents["phi"][i], intents["next"][i], intents["next"][others[i]], [1.0]) for i in rows]
    sequence = [seq2seq(intents["phi"][i], intents["psi"][i], intents["psi"][others[i]], [1.0]) for i in rows]
    kept = np.sort(np.ravel(sequence))[:int(intents["keep"] * np.size(sequence))]
    step = {name: value.tolist() for name, value in fixture["steps"].items()}
    target, last = (step_target(step["reward"], done, step["gamma"], step["next_selector"], step["next_evaluator"])
                    for done in (False, True))
    value, entropy = step["values"][step["action"]], numbers["sampled_softmax"]["ce"]
    temporal = 0.5 * (target - value) ** 2
    numbers["steps"] = {"target": target, "temporal": temporal, "last_target": last, "sqn": entropy + temporal,
                        "sac": value * entropy + temporal}
    numbers["intents"] = {"item_per_row": item, "sequence_per_row": sequence, "mean_of_kept": np.mean(kept)}
    return numbers
