"""The presets in which one thing joins the domains: that a user does both, or that a room follows a video."""

import hashlib

import numpy as np
import pytest

from data_prep.industrial import planted_figures, planted_process
from data_prep.industrial.generator import generate
from data_prep.industrial.generator_config import PRESETS, GeneratorConfig

# SHA256 of what seed 17 gave for 60 users before any model had seen the logs of these presets.
HASHES = {
    "joined_by_user": {"events.csv": "648565da57e00aa56b13ca983684a36793463ecf778e6c68281ae8c6cbd15c09",
                       "impressions.csv": "0debbb94305fb509106e9d61f55dc5936d86942fb8871946c017444ef689774a"},
    "joined_by_order": {"events.csv": "fe59e982d3dc1e17af63fa4f4e6540b08442607eb4538a34ee1cb3315211f16e",
                        "impressions.csv": "0debbb94305fb509106e9d61f55dc5936d86942fb8871946c017444ef689774a"},
}


@pytest.mark.parametrize("preset", HASHES)
def test_the_logs_stay_what_models_were_compared_on(tmp_path, preset):
    generate(tmp_path, GeneratorConfig(preset=preset, num_users=60), workers=1)
    assert {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in HASHES[preset]
            } == HASHES[preset]


def drawn(preset, users=300):
    rng = np.random.default_rng(3)
    world = planted_process.make_world(PRESETS[preset], rng)
    return planted_process.draw_users(world, users, rng)


def latest(shown, events, count=50):
    """Topics of the newest videos and rooms before each page's moment: pairs of arrays, oldest first."""
    for user, moment in zip(*np.unique(np.stack([shown.user, shown.timestamp]), axis=1), strict=True):
        before = (events.user == user) & (events.timestamp < moment)
        yield tuple(events.topic[before & (events.is_live == live)][-count:] for live in (False, True))


def test_short_histories_share_topics_only_where_the_user_joins_them():
    """How often, over chance, a room and a video of one short history, which did not follow each other, are alike."""
    shares = {}
    for preset in HASHES:
        _, shown, events = drawn(preset)
        unclicked = ~np.isin(events.timestamp, shown.timestamp + 1)  # not what was shown and clicked
        events = planted_process.Events(*(getattr(events, field)[unclicked] for field in events.__dataclass_fields__))
        found = [np.mean(videos[:, np.newaxis] == rooms) for videos, rooms in latest(shown, events)
                 if len(videos) and len(rooms)]
        shares[preset] = np.mean(found) * PRESETS[preset].num_topics
    assert shares["joined_by_user"] > 3 and shares["joined_by_order"] < 1.5  # a followed video is in the history, too


def test_rooms_follow_videos_of_their_topic():
    _, shown, events = drawn("joined_by_order")
    order = np.lexsort([events.is_live, events.timestamp, events.user])
    user, stamp, live, topic = (getattr(events, name)[order] for name in ("user", "timestamp", "is_live", "topic"))
    clicked = set(zip(shown.user[shown.clicked], shown.timestamp[shown.clicked] + 1, strict=True))
    rooms = [row for row in np.flatnonzero(live) if (user[row], stamp[row]) not in clicked]
    videos = set(zip(user[~live], stamp[~live], topic[~live], strict=True))
    assert len(rooms) > 5_000 and all((user[row], stamp[row] - 1, topic[row]) in videos for row in rooms)


@pytest.mark.parametrize("preset", HASHES)
def test_the_older_videos_tell_what_is_clicked(preset):
    figures = planted_figures.measure(GeneratorConfig(preset=preset, num_users=400))
    whole = figures["AUC, whole history"]
    assert 0.6 < whole < figures["AUC, true probability"] < 0.85
