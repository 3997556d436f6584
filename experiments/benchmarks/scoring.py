"""How long scoring one user's candidates takes, beside scoring a copy of the user for each with the plain reference.

    python -m experiments.benchmarks.scoring [--lengths=500 --lengths=2000] [--num_candidates=1000] \\
        [--output=scoring.json]

Ours is the signature `serving_default`, as it is exported, on one request: the user's histories once, all candidates.
The plain LCN-200-50 (`plain_lcn`) scores rows of one candidate and a copy of the user, in chunks: the events of all
1,000 copies are 1.5 GB, several times over. Making the copies is not counted. SIM Soft is there for what LCN's pyramid
costs beyond it. The floor is what every model that keeps the best 200 events must do, without all the rest: one product
of all candidates with all events, and `tf.math.top_k` of it. All take turns in one process. Peak memory is measured in
processes of their own, with the most candidates: what scoring adds at most to the model. Where the time goes is what
TensorFlow's profiler says of the longest request: operations run beside each other, so that they sum up to more.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import app, flags, logging

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from command_line.text_table import align
from experiments.benchmarks import flags as common
from experiments.benchmarks import measure
from experiments.benchmarks.op_times import by_part, op_seconds, table
from experiments.benchmarks.plain_lcn import PlainLCN
from experiments.benchmarks.synthetic_batches import ITEM, make_batch, make_schema, signature
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.models import CTRModel, ModelConfig, build_model
from lcn_tf.models.requests import request_names
from lcn_tf.serving.signatures import SERVING_DEFAULT, build_signatures

NUM_CANDIDATES = flags.DEFINE_multi_integer("num_candidates", [10, 100, 300, 1000], "candidates of the request, once "
                                            "for each number", lower_bound=1)
_COPIES_AT_ONCE = flags.DEFINE_integer("copies_at_once", 250, "copies of the user that the plain reference scores at "
                                       "once, fewer of long histories", lower_bound=1)

_LENGTHS = (500, 2000, 8000)  # where --lengths does not name others
_EVENTS_AT_ONCE = 500_000  # of the plain reference

PLAIN, SIM, LCN = "plain lap", "sim", "lap"
FLOOR = "floor"
FLOOR_TOP_K = 200  # events that LCN-200-50 keeps first
PAPER_SECONDS = 0.003  # of LCN-200-50 beyond SIM Soft, as the LCN paper reports

_MEMORY_SECONDS = 1.0  # scoring is repeated so long, for the samples to meet the peak

PARTS = {  # name scopes of what the profiler finds
    "DIN of the short histories": ("din",), "CSA": ("csa",), "best events of CSA": ("best_of_csa",), "MSA": ("msa",),
    "best events of MSA": ("best_of_msa",), "FSA": ("fsa",), "SIM's search": ("search",),
    "SIM's best events, attention": ("sim",), "LAP's norms, the rest of it": ("lap",), "tower": ("tower",)}

Score = Callable[[], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What is scored."""

    lifelong_length: int
    short_length: int
    candidates: int
    copies_at_once: int
    num_items: int
    embedding_dim: int

    @property
    def chunk(self) -> int:
        """Copies of the user that the plain reference scores at once."""
        return max(1, min(self.copies_at_once, _EVENTS_AT_ONCE // self.lifelong_length))


class Request:
    """One user with candidates, and the ways to score them; each call of one returns the probabilities `[C]`."""

    def __init__(self, sizes: Sizes):
        self.sizes = sizes
        self.schema = make_schema(sizes.num_items, sizes.short_length, sizes.lifelong_length)
        self.batch = make_batch(self.schema, 1, sizes.candidates)

    def built(self, name: str) -> Any:
        """What scores requests of these lengths, with weights of its own: a signature, or the plain function."""
        if name == PLAIN:
            return self.function_of(PlainLCN(self.schema, self.sizes.embedding_dim))
        return signature_of(build_model(
            self.schema, self.schema.lengths, ModelConfig(long_term=name, objectives=()),
            embeddings=EmbeddingConfig(self.sizes.embedding_dim)))

    def scored_by(self, name: str, built: Any) -> Score:
        """A way to score this request, by what `built` returned for a request of other candidates."""
        return self.scored_in_copies(built) if name == PLAIN else self.scored_at_once(built)

    def scored_at_once(self, serve: Any) -> Score:
        """By the signature of an export."""
        names = [name for part in request_names(self.schema) for name in part]
        request = {name: self.batch[name] for name in names}
        return lambda: serve(**request)["probability"].numpy()[0]

    def function_of(self, plain: PlainLCN) -> Any:
        """The plain model's probabilities of copies."""
        return tf.function(lambda batch: tf.sigmoid(plain(batch)),
                           input_signature=[signature(self.schema, self._copies(slice(0, 1)), "flat")])

    def scored_in_copies(self, score: Any) -> Score:
        """Each candidate beside a copy of the user."""
        chunks = [self._copies(slice(first, first + self.sizes.chunk))
                  for first in range(0, self.sizes.candidates, self.sizes.chunk)]
        return lambda: np.concatenate([score(chunk).numpy() for chunk in chunks])

    def floor(self) -> Score:
        """One `[C, D] x [D, L]` product and the positions of its best, of random vectors for the request's ids."""
        table = tf.random.stateless_normal([self.sizes.num_items, self.sizes.embedding_dim], [1, 0])
        candidates = tf.gather(table, self.batch[ITEM][0])  # [C, D]
        events = tf.gather(table, self.batch[f"lifelong_source_{ITEM}"][0])  # [L, D]
        top_k = min(FLOOR_TOP_K, self.sizes.lifelong_length)
        find = tf.function(lambda queries, keys: tf.math.top_k(
            tf.matmul(queries, keys, transpose_b=True), top_k, sorted=False).indices)
        return lambda: find(candidates, events).numpy()

    def _copies(self, chosen: slice) -> dict[str, tf.Tensor]:
        """A flat batch of the chosen candidates."""
        of_candidates = {*self.schema.impression_names, "row_number", "candidate_mask"}
        batch = {name: values[0, chosen, tf.newaxis] for name, values in self.batch.items() if name in of_candidates}
        rows = tf.shape(batch["label"])[0]
        batch.update({name: tf.repeat(values, rows, axis=0) for name, values in self.batch.items()
                      if name not in of_candidates})
        return batch


def main(argv: list[str]) -> None:
    """Runs the benchmark, prints its table and writes the JSON file; bad input ends in one line."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        sys.exit(f"error: unexpected arguments {argv[1:]}")
    settings = {flag.name: flag.value for flag in (
        common.LENGTHS, NUM_CANDIDATES, _COPIES_AT_ONCE, common.SHORT_LENGTH, common.NUM_ITEMS, common.EMBEDDING_DIM,
        common.MEMORY, common.STEPS)}
    settings[common.LENGTHS.name] = lengths_asked()
    try:
        figures = []
        for length in dict.fromkeys(settings[common.LENGTHS.name]):
            cases = [Sizes(length, common.SHORT_LENGTH.value, candidates, _COPIES_AT_ONCE.value, common.NUM_ITEMS.value,
                           common.EMBEDDING_DIM.value) for candidates in sorted(set(NUM_CANDIDATES.value))]
            figures += measure_scoring(cases, common.STEPS.value, common.MEMORY.value)
        measure.write_figures(common.OUTPUT.value or "scoring.json", settings, figures)
    except (OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    print(report(figures))


def lengths_asked() -> list[int]:
    """Those of `--lengths`, or of the table in the documentation."""
    return common.LENGTHS.value if common.LENGTHS.present else list(_LENGTHS)


def measure_scoring(cases: Sequence[Sizes], steps: int, memory: bool = True) -> list[dict[str, Any]]:
    """The figures of one length and several numbers of candidates, the most last.

    Medians over the turns, ratios and differences within turns; peak memory and parts of the most candidates alone.

    Raises:
      RuntimeError: a process that measured memory was killed.
    """
    names = (PLAIN, SIM, LCN)
    peaks = {name: measure.in_own_process(peak_bytes, cases[-1], name) if memory else None for name in names}
    built = {name: Request(cases[-1]).built(name) for name in names}
    figures = []
    for sizes in cases:
        request, last = Request(sizes), sizes is cases[-1]
        calls = {name: request.scored_by(name, built[name]) for name in names}
        seconds = measure.durations({**calls, FLOOR: request.floor()}, steps)
        parts = {name: by_part(op_seconds(calls[name], steps), PARTS) for name in (SIM, LCN)} if last else None
        floor = seconds.pop(FLOOR)
        figures.append({
            "lifelong_length": sizes.lifelong_length, "candidates": sizes.candidates, "steps": steps,
            "lap_minus_sim_seconds": statistics.median(seconds[LCN] - seconds[SIM]),
            "floor": {"seconds": statistics.median(floor), "speed_over_plain": measure.ratio(seconds[PLAIN], floor)},
            "parts": parts,
            "models": {name: {
                "seconds": statistics.median(own), "candidates_per_second": sizes.candidates / statistics.median(own),
                "speed_over_plain": measure.ratio(seconds[PLAIN], own), "times_floor": measure.ratio(own, floor),
                "peak_bytes": peaks[name] if last else None,
            } for name, own in seconds.items()}})
    return figures


def peak_bytes(sizes: Sizes, name: str) -> int:
    """What scoring adds at most to the memory of this process; to be the first thing that the process does."""
    request = Request(sizes)
    score = request.scored_by(name, request.built(name))
    before = measure.resident_bytes()
    with measure.PeakMemory() as memory:
        ends = time.perf_counter() + _MEMORY_SECONDS
        score()
        while time.perf_counter() < ends:
            score()
    return memory.bytes - before


def signature_of(model: CTRModel) -> Any:
    """`serving_default` of a model."""
    model.build_weights()
    return build_signatures(model)[SERVING_DEFAULT]


def report(figures: Sequence[Mapping[str, Any]]) -> str:
    """The figures as text."""
    rows = [("L", "candidates", *(f"{name} ms" for name in (PLAIN, SIM, LCN, FLOOR)), "lap / floor", "plain / lap",
             "lap - sim ms")]
    for one in figures:
        models = one["models"]
        rows.append((f"{one['lifelong_length']:,}", f"{one['candidates']:,}",
                     *(f"{1e3 * models[name]['seconds']:,.1f}" for name in (PLAIN, SIM, LCN)),
                     f"{1e3 * one['floor']['seconds']:,.1f}", f"{models[LCN]['times_floor']:.2f}",
                     f"{models[LCN]['speed_over_plain']:.1f}", f"{1e3 * one['lap_minus_sim_seconds']:+.1f}"))
    lines = [*align(rows), "", f"The floor is one product and each candidate's {FLOOR_TOP_K} best events. The paper's "
             f"LCN-200-50 takes {1e3 * PAPER_SECONDS:+.0f} ms beside SIM Soft."]
    for one in (one for one in figures if one["parts"]):
        peaks = ", ".join(f"{name} {measure.mebibytes(model['peak_bytes'])} MiB"
                          for name, model in one["models"].items() if model["peak_bytes"] is not None)
        lines += ["", f"L = {one['lifelong_length']:,}, {one['candidates']:,} candidates: where the time goes"
                  + (f"; peak memory: {peaks}" if peaks else ""), *table(one["parts"])]
    return "\n".join(lines)


if __name__ == "__main__":
    app.run(main)
