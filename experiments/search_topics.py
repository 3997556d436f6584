"""What a model's search finds in generated logs, whose topics are known: own-topic events among those it keeps.

    python -m experiments.search_topics --workdir=RUN [--split=validation] [--rows=1000]

`RUN` is the work folder of a finished run of `experiments.run` on generated industrial logs; start the command where
that run was started, so that its data is found. The search is the first stage of the lifelong model: what it passes to
the next one. A search without information keeps a topic's events as often as they are in the history. One whose score
has the wrong sign for a topic puts that topic's own events last.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence

import numpy as np

import lcn_tf  # noqa: F401  (chooses Keras 2 before TensorFlow is loaded)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from absl import flags as absl_flags

from command_line.text_table import align
from data_prep.industrial.generator import author_topics
from experiments import finished_run, flags
from lcn_tf.contracts import Explains
from lcn_tf.data import pipeline
from lcn_tf.data.prepared_folder import SPLITS, VOCABULARIES
from lcn_tf.models import CTRModel
from lcn_tf.schema import FIRST_ID

_AUTHOR = "author"  # tells the topic, of candidates and events alike
_BATCH_SIZE = 128  # impressions scored at once
_KEPT = ("msa_indices", "fsa_indices", "esu_indices")  # of `explain`, the stage after the search first
_UNKNOWN = -1


@dataclasses.dataclass(frozen=True)
class TopicShares:
    """What a search finds, by topic of the candidate; all arrays `[T]`.

    Attributes:
      impressions: those that count: the visible history has more events than the search keeps.
      kept: mean share of own-topic events among the kept; NaN for a topic without impressions, as the next.
      visible: the same among all visible events: what a search without information reaches.
      place: of the own topic when topics are ordered by the mean rank that the search gives to their events, 1 (first)
        to T (last); 0 for a topic without impressions or own events.
    """

    impressions: np.ndarray
    kept: np.ndarray
    visible: np.ndarray
    place: np.ndarray

    @property
    def last(self) -> int:
        """Topics whose own events rank last."""
        return int(np.sum(self.place == len(self.place)))


def measure(model: CTRModel, batches: tf.data.Dataset, topic_of_id: np.ndarray, topics: int, rows: int) -> TopicShares:
    """Looks at the search of a model with its present weights.

    Args:
      model: one with a search; its weights are built.
      batches: flat ones (C = 1).
      topic_of_id: topic of every id of the author table, -1 where it is not known; such events belong to no topic.
      topics: T.
      rows: impressions to look at, the first ones.

    Raises:
      ValueError: a model without a search, or no impression that counts.
    """
    if not isinstance(model.long_term, Explains):
        raise ValueError(f"long_term={model.long_term.name} has no search that passes events to another stage")

    @tf.function(input_signature=[batches.element_spec], autograph=False)
    def choose(batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return _search(model, batch)

    impressions, kept, visible = np.zeros(topics, np.int64), np.zeros(topics), np.zeros(topics)
    ranks, events = np.zeros((topics, topics)), np.zeros((topics, topics))
    for batch in batches:
        found = {name: values.numpy()[:rows] for name, values in choose(batch).items()}
        rows -= len(found["candidate"])
        candidate, history = topic_of_id[found["candidate"]], topic_of_id[found["events"]]
        lengths = found["mask"].sum(axis=1)
        counted = (lengths > found["kept"].shape[1]) & (candidate != _UNKNOWN)
        for row in np.flatnonzero(counted):
            own, topic = candidate[row], history[row][found["mask"][row]]
            chosen = found["kept"][row][found["kept"][row] >= 0]
            impressions[own] += 1
            kept[own] += np.mean(history[row][chosen] == own) if len(chosen) else 0.0
            visible[own] += np.mean(topic == own)
            rank = np.argsort(np.argsort(found["scores"][row][found["mask"][row]])) / (lengths[row] - 1)  # 1: the best
            known = topic != _UNKNOWN
            ranks[own] += np.bincount(topic[known], rank[known], minlength=topics)
            events[own] += np.bincount(topic[known], minlength=topics)
        if rows <= 0:
            break
    if not impressions.any():
        raise ValueError("no impression has a history longer than what the search keeps")
    with np.errstate(invalid="ignore"):
        mean_rank = np.where(events > 0, ranks / events, np.nan)  # [T of the candidate, T of the event]
        place = 1 + np.sum(mean_rank > np.diag(mean_rank)[:, np.newaxis], axis=1)
        place = np.where(np.isnan(np.diag(mean_rank)), 0, place)
        return TopicShares(impressions, kept / impressions, visible / impressions, place)


def _search(model: CTRModel, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Of a flat batch: authors `candidate` `[N]`, `events` `[N, L]`; `mask` and `scores` `[N, L]`, `kept` `[N, K]`."""
    looked_up = model.embedder.look_up(batch)
    candidate, history = looked_up.candidate, looked_up.lifelong
    explained = model.long_term.explain(candidate, history)
    kept = next(explained[name] for name in _KEPT if name in explained)
    scores = model.long_term.stage_scores(candidate, history)["gsu"]
    events = batch[f"{model.embedder.schema.lifelong}_{_AUTHOR}"]
    return {"candidate": batch[_AUTHOR][:, 0], "events": events, "kept": kept[:, 0],
            "mask": tf.broadcast_to(history.mask, tf.shape(scores))[:, 0], "scores": scores[:, 0]}


def topics_of_ids(files: pipeline.RecordFiles, topics: Mapping[int, int]) -> np.ndarray:
    """Topic of every id of the author table, -1 for those of no author.

    Raises:
      ValueError: no vocabulary of authors, or authors that these logs do not have.
    """
    table = next((feature.table for feature in files.schema.item if feature.name == _AUTHOR), None)
    path = os.path.join(files.data_dir, VOCABULARIES, f"{table}.txt")
    if table is None or not os.path.exists(path):
        raise ValueError(f"{files.data_dir} has no vocabulary of the item feature {_AUTHOR!r}: expected generated "
                         "industrial logs, prepared with --prep.vocabulary=counted")
    found = np.full(files.schema.tables[table], _UNKNOWN)
    with open(path, encoding="utf-8") as file:
        authors = [int(line) for line in file]
    unknown = [author for author in authors if author > 0 and author not in topics]
    if unknown:
        raise ValueError(f"{path}: author {unknown[0]} is not one of the generator's settings ({len(unknown)} such)")
    found[FIRST_ID:FIRST_ID + len(authors)] = [topics.get(author, _UNKNOWN) for author in authors]
    return found


def format_table(shares: TopicShares) -> str:
    """A line for each topic, and a summary."""
    topics = len(shares.place)
    lines = [["topic", "impressions", "own among kept", "among all", "ratio", f"place of {topics}"]]
    for topic in range(topics):
        kept, visible = shares.kept[topic], shares.visible[topic]
        lines.append([str(topic), f"{shares.impressions[topic]:,}", f"{kept:.4f}", f"{visible:.4f}",
                      f"{kept / visible:.2f}" if visible else "", str(shares.place[topic] or "")])
    weights = shares.impressions / shares.impressions.sum()
    kept, visible = (float(np.nansum(weights * share)) for share in (shares.kept, shares.visible))
    first = int(np.sum(shares.place == 1))
    return "\n".join([*align(lines), "",
                      f"own-topic events: {kept:.4f} of those the search keeps, {visible:.4f} of all (chance)",
                      f"the own topic ranks first for {first} of {topics} topics, last for {shares.last} (chance: 1)"])


def run(workdir: str, split: str, rows: int) -> TopicShares:
    """Loads a finished run and measures it.

    Raises:
      ValueError: rows below 1, a run that is not finished or not on generated industrial logs, or what `measure` and
        `topics_of_ids` refuse.
    """
    if rows < 1:
        raise ValueError(f"--rows must be at least 1, got {rows}")
    experiment = finished_run.read_flags(workdir)
    if experiment.run.dataset != "industrial" or not experiment.run.generated:
        raise ValueError(f"--workdir={workdir} must hold a run on generated logs of --dataset=industrial (without "
                         f"--input_dir and --data_dir), whose topics are known; got a run on {experiment.run.dataset}")
    _, files, model = finished_run.load(workdir, experiment)
    generator = experiment.groups["industrial_generator"]
    topics = topics_of_ids(files, author_topics(generator))
    flat = dataclasses.replace(experiment.groups["data"], layout="flat")
    return measure(model, pipeline.read(files, split, flat, _BATCH_SIZE), topics, generator.process.num_topics, rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table; bad input ends in one line that says what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m experiments.search_topics",
                                     description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workdir", required=True, help="work folder of a finished run")
    parser.add_argument("--split", choices=SPLITS, default="validation")
    parser.add_argument("--rows", type=int, default=1_000, help="impressions to look at, the split's first ones")
    options = parser.parse_args(argv)
    try:
        print(format_table(run(options.workdir, options.split, options.rows)), flush=True)
    except (ValueError, OSError, absl_flags.Error) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    flags.define()
    main()
