"""Generated industrial-style logs with planted interests, written in parallel by user range.

`generate` writes `impressions.csv`, `events.csv`, `users.csv` and `video_impressions.csv`, and beside them
`true_probability.csv` and `true_probability_videos.csv`: the click probability of every data row of the two files of
impressions, from which the best attainable AUC follows. No model may read these as an input. The process is in
`planted_process` and `planted_videos`; presets that are worlds (`planted_worlds`, `planted_texts`) have further columns
and files.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Sequence

import numpy as np

from data_prep import processes
from data_prep.generating.log_folder import appearing_together
from data_prep.generating.log_text import csv_rows, probability_texts
from data_prep.industrial import planted_process, planted_texts
from data_prep.industrial.generator_config import TRUE_PROBABILITY_FILES, GeneratorConfig, Process
from data_prep.industrial.planted_videos import VideoImpressions, draw_author_quality, draw_video_impressions
from data_prep.industrial.planted_worlds import feedback_names

FILES = {
    "impressions.csv": "user,timestamp,room_id,author,category,page,clicked,stay_seconds",
    "events.csv": "user,timestamp,domain,author,category,watch_seconds,finished",
    "users.csv": "user,gender,age_band,city_level",
    "video_impressions.csv": "user,timestamp,author,category,page,clicked,watch_seconds",
}
ITEM_TEXTS = "item_texts.csv"
_TRUTH = "impression_id,probability"
# In the order in which they appear: who finds the last one finds all.
ALL_FILES = (*FILES, *TRUE_PROBABILITY_FILES.values())
# Part of what a seed means: another value draws other logs. With the paper's shape a chunk takes some 300 MB.
USERS_PER_CHUNK = 200
_COPIED_BYTES = 1 << 22


def generate(output_dir: str | os.PathLike[str], config: GeneratorConfig, workers: int | None = None) -> None:
    """Writes the four logs, the true probabilities and, where authors have any, their texts into `output_dir`.

    Each worker draws and writes one chunk of users at a time, so memory grows with neither users nor days. Files appear
    under their names when all of them are whole.

    Args:
      output_dir: created if missing; files of the same names are replaced.
      config: sizes and process. The same config writes the same bytes, with any number of workers.
      workers: processes; None for one per processor.

    Raises:
      OSError: `output_dir` cannot be written.
      OutputError: a worker was killed, perhaps for lack of memory.
    """
    with appearing_together(os.fspath(output_dir), files_of(config)) as folder:
        chunks = range(-(-config.users // USERS_PER_CHUNK))
        for chunk in chunks:
            os.mkdir(os.path.join(folder, str(chunk)))
        processes.for_each(functools.partial(_write_chunk, folder, config), chunks, workers or os.cpu_count() or 1)
        for name, header in headers(config.process).items():
            _join(folder, chunks, name, header)
        for row_set, name in TRUE_PROBABILITY_FILES.items():
            _join_probabilities(folder, chunks, name, _truth_header(config) if row_set == "target" else _TRUTH)
        if config.process.text_words:
            _write_texts(os.path.join(folder, ITEM_TEXTS), config)


def files_of(config: GeneratorConfig) -> tuple[str, ...]:
    """Names of the files of a configuration, in the order in which they appear."""
    return (ITEM_TEXTS, *ALL_FILES) if config.process.text_words else ALL_FILES


def headers(process: Process) -> dict[str, str]:
    """Header of each log; worlds have further columns."""
    further = {"impressions.csv": ",scenario" if process.scenarios else "",
               "events.csv": ",feedback" if process.feedbacks else ""}
    return {name: header + further.get(name, "") for name, header in FILES.items()}


def _truth_header(config: GeneratorConfig) -> str:
    """Header of the click probabilities of rooms; `_true_columns` has the cells."""
    process = config.process
    without = ",probability_without" if process.scenarios or process.fatigue else ""
    return f"{_TRUTH}{without}{',long_stay' if process.stay_law else ''}"


def author_topics(config: GeneratorConfig) -> dict[int, int]:
    """Raw id -> topic of every author in the logs of a configuration; no model may read them as an input."""
    topics = config.process.num_topics
    return {author: number % topics for number, author in enumerate(_world(config).author.tolist())}


def _world(config: GeneratorConfig) -> planted_process.World:
    """What all users share, the same for every chunk."""
    return planted_process.make_world(config.process, np.random.default_rng([config.seed, 0]))


def _write_chunk(folder: str, config: GeneratorConfig, chunk: int) -> None:
    """Draws the users of a chunk and writes their rows into a folder of their own."""
    first = chunk * USERS_PER_CHUNK
    count = min(USERS_PER_CHUNK, config.users - first)
    rng = np.random.default_rng([config.seed, 1, chunk])
    world = _world(config)
    drawn, impressions, events = planted_process.draw_users(world, count, rng)
    videos = draw_video_impressions(world, drawn, draw_author_quality(world, np.random.default_rng([config.seed, 2])),
                                    np.random.default_rng([config.seed, 3, chunk]))
    users = np.arange(first + 1, first + 1 + count)
    texts = {"impressions.csv": impression_columns(world, users, impressions),
             "events.csv": event_columns(world, users, events),
             "users.csv": [users, *profile_columns(count, rng)],
             "video_impressions.csv": _video_impression_columns(users, videos)}
    for name, columns in texts.items():
        with open(os.path.join(folder, str(chunk), name), "wb") as file:
            file.write(csv_rows(columns))
    for row_set, columns in (("target", _true_columns(impressions)), ("source", [videos.probability])):
        np.save(os.path.join(folder, str(chunk), f"{TRUE_PROBABILITY_FILES[row_set]}.npy"), np.stack(columns))


def _true_columns(shown: planted_process.Impressions) -> list[np.ndarray]:
    """Probability of each room's click, that without a world's mechanism, and that of a long stay given the click."""
    return [column for column in (shown.probability, shown.without, shown.stay_probability) if column is not None]


def _write_texts(path: str, config: GeneratorConfig) -> None:
    """Writes the text of every author that ever posts or streams, by raw id."""
    world, process = _world(config), config.process
    texts = np.array(planted_texts.draw_texts(process, len(world.author), np.random.default_rng([config.seed, 4])))
    posting = world.author[:process.num_topics * process.video_authors]
    acting = np.isin(world.author, np.union1d(posting, world.room_author[np.unique(world.open_room)]))
    author, texts = world.author[acting], texts[acting]
    order = np.argsort(author)
    with open(path, "wb") as file:
        file.write(b"id,text\n")
        file.write(csv_rows([author[order], texts[order]]))


def impression_columns(
        world: planted_process.World, users: np.ndarray, shown: planted_process.Impressions) -> list[np.ndarray]:
    """The columns of `impressions.csv`; `users` `[U]` are raw ids."""
    room = shown.room
    return [users[shown.user], shown.timestamp, world.room[room], world.room_author[room], world.room_category[room],
            np.where(shown.in_feed, "feed", "live"), shown.clicked.astype(np.int64), shown.stay_seconds,
            *([np.array([law.name for law in laws])[shown.scenario]] if (laws := world.process.scenarios) else [])]


def _video_impression_columns(users: np.ndarray, shown: VideoImpressions) -> list[np.ndarray]:
    """Videos are shown in the feed alone."""
    return [users[shown.user], shown.timestamp, shown.author, shown.category, np.full(len(shown.user), "feed"),
            shown.clicked.astype(np.int64), shown.watch_seconds]


def event_columns(
        world: planted_process.World, users: np.ndarray, events: planted_process.Events) -> list[np.ndarray]:
    """The columns of `events.csv`. Whether a room was watched to its end is not a question: its cell is empty."""
    return [users[events.user], events.timestamp, np.where(events.is_live, "live", "video"), events.author,
            events.category, events.watch_seconds, np.array(["0", "1", ""])[events.finished],
            *([np.array(feedback_names(known))[events.feedback]] if (known := world.process.feedbacks) else [])]


def profile_columns(count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Gender, age band (empty where it is not known) and city level; they say nothing about interests."""
    return [np.array(["f", "m"])[rng.integers(2, size=count)],
            np.array(["", "18-24", "25-34", "35-49", "50+"])[rng.choice(5, p=[0.1, 0.3, 0.3, 0.2, 0.1], size=count)],
            rng.integers(1, 6, size=count)]


def _join(folder: str, chunks: Sequence[int], name: str, header: str) -> None:
    """Appends the chunks' parts of a file to its header, each deleted when it is copied."""
    with open(os.path.join(folder, name), "wb") as file:
        file.write(f"{header}\n".encode())
        for chunk in chunks:
            path = os.path.join(folder, str(chunk), name)
            with open(path, "rb") as part:
                shutil.copyfileobj(part, file, _COPIED_BYTES)
            os.remove(path)


def _join_probabilities(folder: str, chunks: Sequence[int], name: str, header: str) -> None:
    """Numbers the rows of all chunks as their file of impressions does."""
    first = 0
    with open(os.path.join(folder, name), "wb") as file:
        file.write(f"{header}\n".encode())
        for chunk in chunks:
            columns = np.load(os.path.join(folder, str(chunk), f"{name}.npy"))
            rows = np.arange(first, first + columns.shape[1])
            file.write(csv_rows([rows, *map(probability_texts, columns)]))
            first += len(rows)
