"""An exported model as an arm, against the live one and the records that were prepared from the same logs."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from experiments.ab_test.simulation.past import Past
from experiments.ab_test.simulation.saved_model import SavedModelArm, time_in_turns
from lcn_tf.data.pipeline import DataConfig, RecordFiles
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.long_term import lap
from lcn_tf.models import ModelConfig, build_model
from lcn_tf.serving.export import export_model
from tests.experiments.ab_test.small_sites import LENGTHS, PRE_DAYS, prepared, served, small_site


@pytest.fixture(scope="module")
def site():
    return small_site()


@pytest.fixture(scope="module")
def exported(site, tmp_path_factory):
    """An LCN with random weights, exported beside records of the site's logs."""
    folder = tmp_path_factory.mktemp("model")
    files, data = RecordFiles.open(prepared(*site, folder)), DataConfig(**LENGTHS)
    tf.keras.utils.set_random_seed(3)
    config = {("long_term", "lap"): lap.Config(msa_top_k=7, fsa_top_k=3, attention_dim=4)}
    model = build_model(files.schema, data.lengths_of(files.schema), ModelConfig(objectives=()), config,
                        EmbeddingConfig(embedding_dim=4))
    model.build_weights()
    for variable in model.embedder.variables:
        variable.assign(variable * 3.0)  # so that candidates differ
    return export_model(model, str(folder / "saved_model"), files, data)


@pytest.fixture(scope="module")
def arm(site, exported):
    return SavedModelArm(exported, site[0])


def past_of(site, places):
    return Past(site.requests, places, PRE_DAYS, site.seed)


def test_it_says_of_the_rooms_of_the_logs_what_the_live_model_says_of_their_records(site, exported, arm):
    site, before = site
    requests = site.requests
    with np.load(f"{exported}/assets.extra/verification.npz") as recorded:
        answers, timestamps = recorded["probability"], recorded["request/timestamp"][:, 0]
        users = recorded["request/user_id"]
    ids, compared = arm.ids.user["user_id"], 0
    for user, timestamp, expected in zip(users, timestamps, answers, strict=True):
        if user < 2:
            continue
        row = np.flatnonzero((ids[requests.user] == user) & (requests.timestamp == timestamp))
        scores = arm.scores(past_of(site, before), row)
        assert scores.shape == (1, 20) and scores.std() > 1e-3
        np.testing.assert_allclose(np.take_along_axis(scores, before[row], 1)[0], expected, atol=1e-6)
        compared += 1
    assert compared > 4
    arm.check(past_of(site, before))


def test_many_requests_in_one_call_are_ranked_as_each_alone(site, arm):
    site, before = site
    rows = np.flatnonzero(site.requests.day >= PRE_DAYS)[:70]
    past = past_of(site, before)
    together = arm.scores(past, rows)
    alone = np.concatenate([arm.scores(past, rows[place:place + 1]) for place in range(len(rows))])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert together.shape == (70, 20)


def test_later_requests_of_a_day_know_what_was_clicked_at_earlier_ones(site, arm):
    site, before = site
    places, requests = served(site, before, arm), site.requests
    complete = past_of(site, places)
    later = np.flatnonzero((requests.day >= PRE_DAYS) & (requests.turn > 0))
    assert len(later) > 3
    scores = arm.scores(complete, later)  # histories end before each request, whatever was shown after it
    assert np.array_equal(np.argsort(-scores, axis=1, kind="stable")[:, :5], places[later])


def test_a_model_of_other_logs_is_refused(site, exported, arm, tmp_path):
    site, before = site
    other = before.copy()
    other[:, 0] = np.where(before[:, 0] > 0, 0, 1)  # other rooms were shown
    with pytest.raises(ValueError, match="recorded request 0 has other values of .* than the simulated site"):
        arm.check(past_of(site, other))
    strange, shown = small_site(users=20)
    strange.requests.timestamp[:] += 1
    with pytest.raises(ValueError, match="none of its 8 recorded requests is one of the simulated site"):
        SavedModelArm(exported, strange).check(past_of(strange, shown))
    copy = tmp_path / "1"
    shutil.copytree(exported, copy)
    (copy / "assets.extra" / "vocabularies" / "room_id.txt").unlink()
    with pytest.raises(ValueError, match="no vocabulary of the table 'room_id'"):
        SavedModelArm(str(copy), site)
    with pytest.raises(ValueError, match="not an exported version"):
        SavedModelArm(str(tmp_path), site)


def test_calls_are_timed_one_request_at_a_time(site, arm):
    site, before = site
    rows = np.flatnonzero(site.requests.day == PRE_DAYS)[:4]
    found = time_in_turns({name: (arm, past_of(site, before)) for name in ("a", "b")}, rows)
    assert {name: len(times) for name, times in found.items()} == {"a": 4, "b": 4}
    assert all(time > 0 for times in found.values() for time in times)
