"""What ranking from a user's state costs beside scoring at once, in milliseconds and bytes.

    python -m experiments.benchmarks.user_state [--lengths=500 --lengths=2000] [--num_candidates=1000] \\
        [--output=user_state.json]

Of each model that keeps a state (`lcn_tf.serving.user_state`): scoring at once is the signature `serving_default`;
making is `user_state` of the whole history, ranking `rank_from_state`, updating `update_state` by one new event for the
oldest one. All take turns. Bytes are those of the tensors: of the state, and of the lifelong history that a request
need not send then.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import app, logging

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

from command_line.text_table import align
from experiments.benchmarks import flags as common
from experiments.benchmarks import measure
from experiments.benchmarks.scoring import NUM_CANDIDATES, Request, Sizes, lengths_asked
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.long_term import sdim
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.serving.signatures import SERVING_DEFAULT, build_signatures
from lcn_tf.serving.user_state import (
    GONE,
    PREFIX,
    RANK_FROM_STATE,
    UPDATE_STATE,
    USER_STATE,
    build_state_signatures,
)

MODELS: Mapping[str, tuple[str, Mapping[tuple[str, str], Any]]] = {
    "sdim of items": ("sdim", {("long_term", "sdim"): sdim.Config(context=False)}), "sdim": ("sdim", {}),
    "lap": ("lap", {})}


def main(argv: list[str]) -> None:
    """Runs the benchmark, prints its table and writes the JSON file; bad input ends in one line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        sys.exit(f"error: unexpected arguments {argv[1:]}")
    settings = {flag.name: flag.value for flag in (
        common.LENGTHS, NUM_CANDIDATES, common.SHORT_LENGTH, common.NUM_ITEMS, common.EMBEDDING_DIM, common.STEPS)}
    settings[common.LENGTHS.name] = lengths_asked()
    candidates = max(NUM_CANDIDATES.value)
    try:
        figures = [measure_state(name, Sizes(length, common.SHORT_LENGTH.value, candidates, 1, common.NUM_ITEMS.value,
                                             common.EMBEDDING_DIM.value), common.STEPS.value)
                   for length in dict.fromkeys(settings[common.LENGTHS.name]) for name in MODELS]
        measure.write_figures(common.OUTPUT.value or "user_state.json", settings, figures)
    except OSError as error:
        sys.exit(f"error: {error}")
    print(report(figures))


def measure_state(name: str, sizes: Sizes, steps: int) -> dict[str, Any]:
    """The figures of a model and size; medians over the turns."""
    request = Request(sizes)
    long_term, configs = MODELS[name]
    model = build_model(request.schema, request.schema.lengths, ModelConfig(long_term=long_term, objectives=()),
                        dict(configs), EmbeddingConfig(sizes.embedding_dim))
    model.build_weights()
    signatures = {SERVING_DEFAULT: build_signatures(model)[SERVING_DEFAULT], **build_state_signatures(model)}
    lifelong = {key: request.batch[key] for key in request.schema.history_names(request.schema.lifelong)}
    state = {key: values for key, values in signatures[USER_STATE](**lifelong).items() if key.startswith(PREFIX)}
    known = {**request.batch, **state}
    known.update({f"{GONE}{key}": values[:, -1:] for key, values in lifelong.items()})
    inputs = {key: {each: known[each] for each in signature.structured_input_signature[1]}
              for key, signature in signatures.items()}
    if UPDATE_STATE in inputs:
        inputs[UPDATE_STATE].update({key: values[:, :1] for key, values in lifelong.items()})

    def run(key: str) -> None:
        for values in signatures[key](**inputs[key]).values():
            values.numpy()

    seconds = measure.durations({key: lambda key=key: run(key) for key in signatures}, steps)
    return {"model": name, "lifelong_length": sizes.lifelong_length, "candidates": sizes.candidates,
            "state_bytes": _bytes(state), "history_bytes": _bytes(lifelong),
            "rank_over_scoring": measure.ratio(seconds[RANK_FROM_STATE], seconds[SERVING_DEFAULT]),
            "seconds": {key: statistics.median(own) for key, own in seconds.items()}}


def _bytes(tensors: Mapping[str, tf.Tensor]) -> int:
    return sum(values.numpy().nbytes for values in tensors.values())


def report(figures: Sequence[Mapping[str, Any]]) -> str:
    """The figures as text."""
    rows = [("model", "L", "candidates", "at once ms", "from state ms", "ratio", "make ms", "update ms", "state KiB",
             "history KiB")]
    for one in figures:
        shown = [f"{1e3 * one['seconds'][key]:.2f}" if key in one["seconds"] else ""
                 for key in (SERVING_DEFAULT, RANK_FROM_STATE, USER_STATE, UPDATE_STATE)]
        rows.append((one["model"], f"{one['lifelong_length']:,}", f"{one['candidates']:,}", *shown[:2],
                     f"{one['rank_over_scoring']:.2f}", *shown[2:], f"{one['state_bytes'] / 1024:,.1f}",
                     f"{one['history_bytes'] / 1024:,.1f}"))
    return "\n".join(align(rows))


if __name__ == "__main__":
    app.run(main)
