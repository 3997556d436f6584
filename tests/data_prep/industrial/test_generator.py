"""Generated industrial-style logs: format, the same bytes however they are made, and the planted process."""

import csv
import dataclasses
import hashlib
import subprocess
import sys

import numpy as np
import pytest

from data_prep.industrial import generator, planted_figures, planted_process
from data_prep.industrial.generator import ALL_FILES, FILES, USERS_PER_CHUNK, generate
from data_prep.industrial.generator_config import PRESETS, TRUE_PROBABILITY_FILES, GeneratorConfig
from lcn_tf.metrics import exact_auc

TINY = GeneratorConfig(preset="tiny", num_users=2 * USERS_PER_CHUNK + 13)
DAY = 86_400
# SHA256 of what seed 17 gave at commit af07728, before there were videos shown. Published figures rest on these logs.
TINY_HASHES = {
    "events.csv": "c340323ccc45701434168d33a85770c1d98088d2827f83be5825f699aa3e2353",
    "impressions.csv": "5fda9e2a4d8c750bc9a6a3a98a7676ef41bd9707c0573ee5aea71f19b8994831",
    "true_probability.csv": "c9e24ff506e4751ace0526565ec27ed318ecc63e9419ada86eabf5bb117bb7a8",
    "users.csv": "4e07b648233b8baf97205a95958e82fdb862ef08a93da8d7358f531ffaac3eb3",
}


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    path = tmp_path_factory.mktemp("logs")
    generate(path, TINY, workers=1)
    return path


@pytest.fixture(scope="module")
def tables(logs):
    """Columns of each file as lists of cell texts, by header cell."""
    tables = {}
    for name in ALL_FILES:
        with open(logs / name, newline="", encoding="ascii") as file:
            header, *rows = csv.reader(file)
        tables[name] = dict(zip(header, zip(*rows, strict=True), strict=True))
    return tables


@pytest.fixture(scope="module")
def figures():
    return planted_figures.measure(GeneratorConfig(preset="small", num_users=500))


def ints(column):
    return np.array(column, dtype=np.int64)


def test_files_and_headers(logs):
    assert {path.name for path in logs.iterdir()} == set(ALL_FILES)
    for name, header in FILES.items():
        text = (logs / name).read_bytes()
        assert text.startswith(header.encode() + b"\n") and text.endswith(b"\n")
        assert not any(unwanted in text for unwanted in (b"\r", b'"', b"\n\n", b"\0"))


def test_the_logs_stay_what_figures_were_measured_on(tmp_path):
    generate(tmp_path, GeneratorConfig(preset="tiny"), workers=1)
    assert {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in TINY_HASHES} == TINY_HASHES


def test_the_number_of_processes_does_not_change_a_byte(logs, tmp_path):
    generate(tmp_path, TINY, workers=2)
    for name in ALL_FILES:
        assert (tmp_path / name).read_bytes() == (logs / name).read_bytes(), name


def test_more_users_leave_those_before_them_as_they_are(logs, tmp_path):
    generate(tmp_path, dataclasses.replace(TINY, num_users=USERS_PER_CHUNK), workers=1)
    for name in ALL_FILES:
        fewer, more = (tmp_path / name).read_bytes(), (logs / name).read_bytes()
        assert len(fewer) < len(more) and more.startswith(fewer), name


def test_another_seed_gives_other_logs(logs, tmp_path):
    generate(tmp_path, dataclasses.replace(TINY, seed=TINY.seed + 1), workers=1)
    for name in ALL_FILES:
        assert (tmp_path / name).read_bytes() != (logs / name).read_bytes(), name


def test_no_more_than_a_chunk_of_users_is_drawn_at_once(tmp_path, monkeypatch):
    drawn, draw = [], planted_process.draw_users
    monkeypatch.setattr(generator.planted_process, "draw_users",
                        lambda world, count, rng: drawn.append(count) or draw(world, count, rng))
    generate(tmp_path, TINY, workers=1)
    assert drawn == [USERS_PER_CHUNK, USERS_PER_CHUNK, 13]


def test_impressions_are_pages_of_different_rooms(tables):
    shown = tables["impressions.csv"]
    user, second, room = (ints(shown[name]) for name in ("user", "timestamp", "room_id"))
    assert set((second - planted_process.FIRST_IMPRESSION) // DAY) == set(range(7))
    _, sizes = np.unique(np.stack([user, second]), axis=1, return_counts=True)
    assert set(sizes) == {5, 6, 7, 8}
    assert len(set(zip(user, second, room, strict=True))) == len(user)
    assert set(shown["page"]) == {"feed", "live"} and set(shown["clicked"]) == {"0", "1"}
    assert np.all((ints(shown["stay_seconds"]) > 0) == (ints(shown["clicked"]) == 1))
    of_room = set(zip(room, shown["author"], shown["category"], strict=True))
    assert len(of_room) == len(set(room)) == TINY.process.num_topics * TINY.process.rooms


def test_events_are_videos_and_rooms(tables):
    events = tables["events.csv"]
    is_live = np.array(events["domain"]) == "live"
    assert set(events["domain"]) == {"live", "video"} and 0.1 < np.mean(is_live) < 0.5
    finished, watched = np.array(events["finished"]), ints(events["watch_seconds"])
    assert set(finished[is_live]) == {""} and set(finished[~is_live]) == {"0", "1"}
    assert watched.min() == 0 and np.all(watched[finished == "1"] >= 5)
    days = (ints(events["timestamp"]) - planted_process.FIRST_IMPRESSION) // DAY
    assert (days.min(), days.max()) == (-28, 6)


def test_a_clicked_room_is_an_event_of_the_next_second(tables):
    shown, events = tables["impressions.csv"], tables["events.csv"]
    entered = set(zip(events["user"], ints(events["timestamp"]), events["domain"], events["author"],
                      events["category"], events["watch_seconds"], strict=True))
    rows = zip(shown["clicked"], shown["user"], ints(shown["timestamp"]), shown["author"], shown["category"],
               shown["stay_seconds"], strict=True)
    clicked = {(user, second + 1, "live", author, category, stay)
               for click, user, second, author, category, stay in rows if click == "1"}
    assert len(clicked) > 100 and clicked <= entered


def test_domains_share_some_authors_and_no_category(tables):
    events = tables["events.csv"]
    is_live = np.array(events["domain"]) == "live"
    for column, shared in (("category", 0), ("author", TINY.process.num_topics * TINY.process.shared_authors)):
        values = np.array(events[column])
        assert len(set(values[is_live]) & set(values[~is_live])) == shared


def test_users(tables):
    users = tables["users.csv"]
    assert list(ints(users["user"])) == list(range(1, TINY.users + 1))
    assert set(users["gender"]) == {"f", "m"} and "" in users["age_band"] and len(set(users["age_band"])) == 5
    assert set(tables["impressions.csv"]["user"]) <= set(users["user"])


def test_videos_shown_are_those_of_the_events(tables):
    shown, events = tables["video_impressions.csv"], tables["events.csv"]
    user, second, author = (ints(shown[name]) for name in ("user", "timestamp", "author"))
    assert set((second - planted_process.FIRST_IMPRESSION) // DAY) == set(range(7))
    _, sizes = np.unique(np.stack([user, second]), axis=1, return_counts=True)
    assert set(sizes) == {5, 6, 7, 8} and len(set(zip(user, second, author, strict=True))) == len(user)
    assert 0.9 < len(user) / len(tables["impressions.csv"]["user"]) < 1.1
    assert np.all((ints(shown["watch_seconds"]) > 0) == (ints(shown["clicked"]) == 1))
    is_video = np.array(events["domain"]) == "video"
    watched = set(zip(np.array(events["author"])[is_video], np.array(events["category"])[is_video], strict=True))
    assert set(zip(shown["author"], shown["category"], strict=True)) <= watched


@pytest.mark.parametrize(("file", "row_set"), [("impressions.csv", "target"), ("video_impressions.csv", "source")])
def test_clicks_follow_the_true_probability(tables, file, row_set):
    truth, clicked = tables[TRUE_PROBABILITY_FILES[row_set]], ints(tables[file]["clicked"])
    assert list(ints(truth["impression_id"])) == list(range(len(clicked)))
    probability = np.array(truth["probability"], float)
    for rows in np.array_split(np.argsort(probability, kind="stable"), 5):
        spread = np.sqrt(np.sum(probability[rows] * (1 - probability[rows])))
        assert abs(np.sum(clicked[rows]) - np.sum(probability[rows])) < 4 * spread
    assert 0.70 < exact_auc(clicked, probability) < 0.80


def test_small_has_the_papers_lengths(figures):
    assert figures["older videos per page"] > 1_000
    assert 0.15 < figures["share of pages with 2,000"] < 0.5
    in_training = 5 / 7 * figures["impressions"] * PRESETS["small"].num_users / 500
    assert 40_000 < in_training < 60_000


def test_small_hides_interests_that_only_the_whole_history_shows(figures):
    assert 0.4 < figures["interest share, rooms"] < 0.65 and 0.4 < figures["interest share, latest"] < 0.65
    assert 0.05 < figures["interest share, older"] < 0.20
    assert figures["interest share, older finished"] > 3 * figures["interest share, older"]
    short = max(figures["AUC, latest events"], figures["AUC, latest events, finished videos"])
    assert figures["AUC, whole history, finished videos"] > short + 0.03
    assert figures["AUC, whole history, finished videos"] > figures["AUC, whole history"] + 0.03
    assert 0.70 < figures["AUC, true probability"] < 0.80
    assert figures["AUC, true probability"] > figures["AUC, whole history, finished videos"] + 0.01


def test_videos_shown_hide_as_much_from_their_own_domains_latest_events():
    figures = planted_figures.measure(GeneratorConfig(preset="small", num_users=300), "source")
    short = max(figures["AUC, latest events"], figures["AUC, latest events, finished videos"])
    assert figures["AUC, whole history, finished videos"] > short + 0.05
    assert 0.70 < figures["AUC, true probability"] < 0.80
    assert figures["AUC, true probability"] > figures["AUC, whole history, finished videos"] + 0.01


def test_paper_shape_has_full_histories_and_a_low_click_rate():
    figures = planted_figures.measure(GeneratorConfig(preset="paper_shape", num_users=40))
    assert figures["share of pages with 2,000"] > 0.8
    assert 0.04 < figures["click rate"] < 0.10


@pytest.mark.parametrize(("field", "value"), [("preset", "huge"), ("num_users", 0), ("seed", -1)])
def test_bad_settings_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field}.*{value}"):
        GeneratorConfig(**{field: value})


def test_command_line(tmp_path):
    command = [sys.executable, "-m", "data_prep.industrial.generate", f"--output_dir={tmp_path / 'logs'}",
               "--preset=tiny", "--num_users=19"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert "events.csv" in result.stdout
    refused = subprocess.run([*command, "--num_users=0"], capture_output=True, text=True, timeout=120)
    assert refused.returncode == 1 and refused.stderr.startswith("error: num_users must be at least 1, got 0")
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "below"
    refused = subprocess.run([*command, f"--output_dir={below}"], capture_output=True, text=True, timeout=120)
    assert refused.returncode == 1 and refused.stderr.startswith(f"error: output_dir {below} cannot be written")
