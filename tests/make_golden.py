"""Computes golden numbers again from the oracles: `make golden` (`python -m tests.make_golden`).

The numbers in `tests/golden/*.json` came from outside (see `origin` in each file); the oracles of
`tests/references*.py` are a second source for those that follow from the fixtures alone. A number that agrees to its 6
decimals is left as it is, a number that does not is replaced and named. Change one on purpose only, and say why in the
commit. Trajectories (`tests/trajectories.py`) and settings come from the code itself.
"""

import json
import pathlib
import sys

import numpy as np

from tests import golden_settings, references, references_baselines, references_objectives, trajectories

FOLDER = pathlib.Path(__file__).resolve().parent / "golden"
DECIMALS = 6
FILES = sorted(set(FOLDER.glob("*.json")) - {trajectories.PATH, golden_settings.PATH})


def csa_vector(shared):
    """`csa` of lap.json."""
    candidate, events, mask = shared["e_v"], shared["E"], shared["mask1110"]
    scores = references.csa_scores(candidate, events)
    pools = {pool: references.csa(candidate, events, mask, pool) for pool in ("sum", "mean", "softmax", "abs_norm")}
    return {"scores": scores, "csa_sum_all": references.csa(candidate, events, [True] * 4),
            "csa_sum_mask1110": pools["sum"], "csa_mean_mask1110": pools["mean"], "gram_times_ev": pools["sum"],
            "csa_softmax_scaled_mask1110": pools["softmax"], "csa_absnorm_mask1110": pools["abs_norm"],
            "top3_correct_mask1110": references.top_k(scores, mask, 3)}


def attention_weights(fixture):
    """Projections of a fixture as the oracles take them: (in, out)."""
    return {name: np.array(fixture[key]).T for name, key in (("query", "W_Q"), ("key", "W_K"), ("value", "W_V"))}


def msa_vector(shared, fixture):
    """`msa` of lap.json."""
    candidate, weights = shared["e_v"], attention_weights(fixture)
    events = np.concatenate([shared["E"], shared["context"]], axis=1)
    first = events[fixture["items"]]
    logits = references.msa_logits(candidate, first, weights)
    every = [True] * 3
    return {"K": events @ weights["key"], "V": events @ weights["value"], "logits_012": logits,
            "logits_all": references.msa_logits(candidate, events, weights),
            "ir_msa_raw_012": references.msa(candidate, first, every, weights, "none"),
            "attn_softmax_012": references.softmax(logits, every),
            "ir_msa_softmax_012": references.msa(candidate, first, every, weights),
            "top2_of_012": references.top_k(logits, every, 2)}


def fsa_vector(shared, fixture):
    """`fsa` of lap.json."""
    weights = attention_weights(fixture) | {name: np.array(fixture[name]) for name in ("w1", "b1", "w2", "b2")}
    events = np.concatenate([shared["E"], shared["context"]], axis=1)[fixture["items"]]
    arguments = (shared["e_v"], events, [True] * 2, weights, fixture["num_heads"])
    scores = references.fsa_scores(*arguments)
    return {"attn_head0": scores[0], "attn_head1": scores[1], "mean_head_attn": scores.mean(0),
            "ir_fsa_query": references.fsa(*arguments), "ir_fsa_per_item": references.fsa(*arguments, pool="per_item")}


def din_vector(shared, vector):
    """`din` of lap.json."""
    layers = [(np.array(vector["weights"])[:, np.newaxis], np.zeros(1))]
    arguments = (shared["e_v"], shared["E"], shared["mask1110"], layers)
    return {"logits": [references.din_logit(shared["e_v"], event, layers, False) for event in shared["E"]],
            "out_nosoftmax_mask1110": references.din(*arguments, use_softmax=False, scale=False),
            "out_softmax_mask1110": references.din(*arguments, scale=False),
            "out_softmax_scaled_mask1110": references.din(*arguments)}


def crp_vector(vector):
    """`crp_loss` of crp.json."""
    def cosine(first, second):
        return references.cosine(np.array(first), np.array(second), epsilon=0.0)

    positives, negatives = ([cosine(*pair) for pair in vector[name]] for name in ("pos_pairs", "neg_pairs"))
    cosines = [[cosine(row, column) for _, column in vector["pos_pairs"]] for row, _ in vector["pos_pairs"]]

    def loss(valid=(True, True), negative_valid=(True, True), **options):
        return references.contrastive_loss(positives, valid, negatives, negative_valid, vector["tau"], **options)

    return {"pos_cos": positives, "neg_cos": negatives,
            "loss_printed": loss(), "loss_inclusive": loss(denominator="infonce"),
            "loss_row2_invalid_mean_over_valid": loss((True, False)),
            "loss_row2_invalid_div_by_B": loss((True, False), reduce="batch_mean"),
            "loss_printed_neg2_masked_as_same_id": loss(negative_valid=(True, False)),
            "loss_inbatch_anchored": references.inbatch_loss(cosines, [True] * 2, np.ones((2, 2), bool),
                                                             vector["tau"])}


def recomputed(name, content):
    """Vector -> key -> number of those the oracles give for a golden file."""
    if name == "lap":
        vectors, fixture = content["vectors"], content["fixture"]
        shared = {key: value if key in ("mask1110", "notes") else np.array(value)
                  for key, value in fixture["shared"].items()}
        return {"csa": csa_vector(shared), "msa": msa_vector(shared, fixture["msa"]),
                "fsa": fsa_vector(shared, fixture["fsa"]), "din": din_vector(shared, vectors["din"])}
    if name == "crp":
        return {"crp_loss": crp_vector(content["vectors"]["crp_loss"])}
    if name == "baselines":
        return references_baselines.golden_numbers(content)
    if name == "objectives":
        return references_objectives.golden_numbers(content)
    return {}


def differences(name, content):
    """(vector, key, new value) of every number that differs beyond its last decimal."""
    return [(vector, key, np.round(value, DECIMALS).tolist())
            for vector, values in recomputed(name, content).items() for key, value in values.items()
            if not np.allclose(content["vectors"][vector][key], value, rtol=0.0, atol=0.6 * 10**-DECIMALS)]


def main():
    """Replaces the numbers that differ and says which."""
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        changed = differences(path.stem, content)
        for vector, key, value in changed:
            print(f"{path.name}: {vector} {key} was {content['vectors'][vector][key]}, is {value}")
            content["vectors"][vector][key] = value
        if changed:
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        count = sum(len(values) for values in recomputed(path.stem, content).values())
        print(f"{path.name}: {count} numbers computed, {len(changed)} changed")
    try:
        for source in (golden_settings, trajectories):
            print(f"{source.PATH.name}: {source.make_golden()}")
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
