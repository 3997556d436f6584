"""What there is to learn in generated logs, without any model: `python -m data_prep.industrial.planted_figures`.

A scorer that knows the topics and learns nothing ranks candidates by the share of their topic among the events before
the page: the latest 50 rooms and 50 videos, or the whole history too, of all videos or of those watched to the end,
which are more likely to reflect an interest, or by what users gave to them where there are feedbacks. The true
probability gives the best attainable AUC; `planted_bounds` what the mechanism of a world adds to it. `--row_set=source`
measures the videos shown, by the videos among the events.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from absl import app, flags

from command_line import dataclass_flags
from data_prep.industrial import planted_process
from data_prep.industrial.generator_config import GeneratorConfig, Process
from data_prep.industrial.planted_bounds import interest_share, mechanism_bounds
from data_prep.industrial.planted_process import Impressions
from data_prep.industrial.planted_videos import VideoImpressions, draw_author_quality, draw_video_impressions
from lcn_tf.metrics import exact_auc

SHORT_LENGTH, LIFELONG_LENGTH = 50, 2_000
_PARTS = ("rooms", "latest", "latest finished", "older", "older finished")
_SCORERS = {
    "latest events": ("rooms", "latest"),
    "latest events, finished videos": ("rooms", "latest finished"),
    "whole history": ("rooms", "latest", "older"),
    "whole history, finished videos": ("rooms", "latest finished", "older finished"),
}


def measure(config: GeneratorConfig, row_set: str = "target") -> dict[str, float]:
    """Figures of generated logs by name: sizes, shares, and the AUC of each scorer; all users are drawn at once.

    Args:
      config: what to generate.
      row_set: what is ranked: rooms (target), or videos by videos alone (source).
    """
    rng = np.random.default_rng(config.seed)
    world = planted_process.make_world(config.process, rng)
    users, rooms, events = planted_process.draw_users(world, config.users, rng)
    shown: Impressions | VideoImpressions = rooms
    topics = config.process.num_topics
    topic = rooms.room % topics
    if row_set == "source":
        shown = videos = draw_video_impressions(world, users, draw_author_quality(world, rng), rng)
        topic = videos.topic
    pages, page = np.unique(np.stack([shown.user, shown.timestamp]), axis=1, return_inverse=True)
    counts, by_feedback = ({part: np.zeros((pages.shape[1], topics)) for part in _PARTS} for _ in range(2))
    from_interest: dict[str, list[np.ndarray]] = {part: [] for part in _PARTS}
    for number, rows in enumerate(_before(events, pages)):
        for part, chosen in rows.items():
            counts[part][number] = np.bincount(events.topic[chosen], minlength=topics)
            if config.process.feedbacks:
                by_feedback[part][number] = np.bincount(events.topic[chosen], minlength=topics, weights=interest_share(
                    config.process, events.feedback[chosen], _prior(config.process, part)))
            from_interest[part].append(events.from_interest[chosen])
    lengths = np.array([len(flags) for flags in from_interest["older"]])
    figures = {"impressions": len(page), "pages": pages.shape[1], "events": len(events.user),
               "click rate": shown.clicked.mean(), "older videos per page": lengths.mean(),
               f"share of pages with {LIFELONG_LENGTH:,}": np.mean(lengths == LIFELONG_LENGTH)}
    figures |= {f"interest share, {part}": np.concatenate(flags).mean() for part, flags in from_interest.items()}
    scorers = [(name, counts, parts) for name, parts in _SCORERS.items()]
    if config.process.feedbacks:
        scorers.append(("whole history, by feedback", by_feedback, _SCORERS["whole history"]))
    for name, found, parts in scorers:
        total = np.sum([found[part] for part in parts if (row_set, part) != ("source", "rooms")], axis=0)
        share = total / np.maximum(total.sum(axis=1, keepdims=True), 1e-9)
        figures[f"AUC, {name}"] = exact_auc(shown.clicked, share[page, topic])
    figures["AUC, true probability"] = exact_auc(shown.clicked, shown.probability)
    if row_set == "target":
        figures |= mechanism_bounds(world, users, rooms, events)
    return {name: float(value) for name, value in figures.items()}


def _prior(process: Process, part: str) -> float:
    """Share of a part's events that reflect an interest, as far as it is planted."""
    return process.background_interest_share if part.startswith("older") else process.focus_interest_share


def _before(events: planted_process.Events, pages: np.ndarray) -> Sequence[dict[str, np.ndarray]]:
    """Rows of the events before each page of `[2, pages]` (user, second), by part, as far as histories reach."""
    histories = []
    for is_live in (True, False):
        rows = np.flatnonzero(events.is_live == is_live)
        rows = rows[np.lexsort((-events.timestamp[rows], events.user[rows]))]
        histories.append((rows, np.searchsorted(events.user[rows], np.arange(pages[0].max() + 2))))
    found = []
    for user, second in pages.T:
        visible = []
        for rows, bounds in histories:
            own = rows[bounds[user]:bounds[user + 1]]
            visible.append(own[np.searchsorted(-events.timestamp[own], -second, side="right"):])
        latest, older = np.split(visible[1][:SHORT_LENGTH + LIFELONG_LENGTH], [SHORT_LENGTH])
        finished = [rows[events.finished[rows] == 1] for rows in (latest, older)]
        parts = (visible[0][:SHORT_LENGTH], latest, finished[0], older, finished[1])
        found.append(dict(zip(_PARTS, parts, strict=True)))
    return found


def main(argv: Sequence[str]) -> None:
    """Prints the figures; exits with 1 on a refusal."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {list(argv[1:])}")
    try:
        figures = measure(dataclass_flags.read("", GeneratorConfig), flags.FLAGS.row_set)
    except ValueError as error:
        sys.exit(f"error: {error}")
    for name, value in figures.items():
        print(f"{name:40} {value:,.3f}".rstrip("0").rstrip("."))


if __name__ == "__main__":
    dataclass_flags.define("", GeneratorConfig)
    flags.DEFINE_enum("row_set", "target", ["target", "source"], "what is ranked: rooms, or videos by videos alone")
    app.run(main)
