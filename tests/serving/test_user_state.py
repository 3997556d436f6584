"""Ranking from a state equals scoring at once; a state follows from the one before; another model's is refused."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.long_term import lap, sdim
from lcn_tf.objectives import crp
from lcn_tf.schema import Feature
from lcn_tf.schema_names import STATE_NAMES
from lcn_tf.serving import user_state
from lcn_tf.serving.recorded_requests import named_tensors
from lcn_tf.serving.signatures import build_signatures
from tests import synthetic
from tests.serving.conftest import DATA, small_model

SCHEMA = dataclasses.replace(  # a feature whose name begins as those of a state do
    synthetic.make_schema(), user=(Feature("user_id", "user"), Feature("state_code", "age")))
LIFELONG = SCHEMA.history_names("lifelong_source")
KINDS = {"sdim": {}, "sdim of items": {("long_term", "sdim"): sdim.Config(context=False)},
         "sdim of few bits": {("long_term", "sdim"): sdim.Config(num_hashes=3, hash_bits=1)},
         "lap": {("long_term", "lap"): lap.Config(msa_top_k=7, fsa_top_k=3, attention_dim=12)},
         "lap with search tables": {("objectives", "crp"): crp.Config(tables="separate")}}


OF_SUMS = [kind for kind in KINDS if kind.startswith("sdim")]
of_sums = pytest.mark.parametrize("served", OF_SUMS, indirect=True)  # whose states can be updated


class Served:
    """A model's signatures."""

    def __init__(self, kind):
        self.kind = kind
        objectives = ("crp",) if kind == "lap with search tables" else ()
        self.model = small_model(SCHEMA, KINDS[kind], long_term=kind.split()[0], objectives=objectives)
        self.default = build_signatures(self.model)["serving_default"]
        self.signatures = user_state.build_state_signatures(self.model)

    def at_once(self, named):
        return {name: values.numpy() for name, values in self.default(**tensors(named)).items()}

    def state(self, named):
        found = self.signatures["user_state"](**tensors(named, LIFELONG))
        return {name: values for name, values in found.items() if name.startswith(user_state.PREFIX)}

    def ranked(self, named, state):
        others = [name for name in named if name not in LIFELONG]
        found = self.signatures["rank_from_state"](**tensors(named, others), **state)
        return {name: values.numpy() for name, values in found.items()}


@pytest.fixture(scope="module", params=KINDS)
def served(request):
    return Served(request.param)


def tensors(named, names=None):
    return {name: tf.constant(named[name]) for name in (names or named)}


def requests(seed=3, moments=False, later=0):
    groups = synthetic.make_groups(SCHEMA, 7, seed=seed, max_candidates=5)
    for group in groups:
        group["timestamp"] = [stamp + later + 5_000 * place * moments for place, stamp in enumerate(group["timestamp"])]
    return named_tensors(SCHEMA, groups)


def test_no_feature_can_be_called_like_a_part_of_a_state(served):
    assert set(served.state(requests())) <= set(STATE_NAMES)


@pytest.mark.parametrize("moments", [False, True])
def test_ranking_from_a_state_is_scoring_at_once(served, moments):
    named = requests(moments=moments)
    expected = served.at_once(named)
    found = served.ranked(named, served.state(named))
    np.testing.assert_allclose(found["probability"], expected["probability"], atol=1e-6)
    assert np.ptp(expected["probability"]) > 1e-3 and not found[user_state.ANOTHER_MODEL].any()
    without = {name: np.zeros_like(values) if name in LIFELONG else values for name, values in named.items()}
    assert np.abs(served.at_once(without)["probability"] - expected["probability"]).max() > 1e-4


def test_a_state_holds_for_every_moment(served):
    state = served.state(requests())
    later = requests(later=40_000)
    expected = served.at_once(later)["probability"]
    np.testing.assert_allclose(served.ranked(later, state)["probability"], expected, atol=1e-6)


def test_a_state_of_another_model_is_refused_alone(served):
    named = requests()
    state = served.state(named)
    before = served.ranked(named, state)["probability"]
    table = served.model.embedder.tables.vectors["item"]
    own, weight = user_state.fingerprint(served.model), table[3, 2].numpy()
    assert user_state.fingerprint(served.model) == own == state["state_fingerprint"].numpy()[0]
    table[3, 2].assign(weight + 1e-3)
    other = user_state.fingerprint(served.model)
    table[3, 2].assign(weight)
    assert other != own
    mixed = tf.tensor_scatter_nd_update(state["state_fingerprint"], [[2]], [other])
    found = served.ranked(named, {**state, "state_fingerprint": mixed})
    assert found[user_state.ANOTHER_MODEL].tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert (found["probability"][2] == 0).all()
    others = [0, 1, 3, 4, 5, 6]
    np.testing.assert_array_equal(found["probability"][others], before[others])


def window(named, first, last):
    """The lifelong events from place `first` to before `last`, most recent first."""
    return {name: named[name][:, first:last] for name in LIFELONG}


def updated(served, named, state, new, gone):
    found = served.signatures["update_state"](
        **state, **tensors(window(named, *new)),
        **{f"{user_state.GONE}{name}": tf.constant(values) for name, values in window(named, *gone).items()})
    return found, {name: values for name, values in found.items() if name.startswith(user_state.PREFIX)}


@of_sums
@pytest.mark.parametrize("new", [0, 1, 3])
def test_an_updated_state_is_one_computed_anew(served, new):
    """Of 23 events the model reads 17; each update brings `new` ones, and as many of the oldest are gone."""
    named = requests(seed=5)
    ends = [6 - new * step for step in range(3)]
    state = served.state({**named, **window(named, ends[0], ends[0] + DATA.lifelong_length)})
    for before, after in zip(ends, ends[1:], strict=False):
        gone = (after + DATA.lifelong_length, before + DATA.lifelong_length)
        found, state = updated(served, named, state, (after, before), gone)
        assert not found[user_state.ANOTHER_MODEL].numpy().any() and not found[user_state.TOO_MANY_EVENTS].numpy().any()
    now = {**named, **window(named, ends[-1], ends[-1] + DATA.lifelong_length)}
    anew = served.state(now)
    assert set(state) == set(anew)
    np.testing.assert_allclose(state["state_sums"], anew["state_sums"], rtol=1e-5, atol=1e-5)  # of up to 17 events
    for name in set(state) & {"state_counts", "state_events", "state_mask", "state_fingerprint"}:
        np.testing.assert_array_equal(state[name], anew[name])
    empty = anew["state_counts"].numpy() == 0
    assert empty.any() and (state["state_sums"].numpy()[empty] == 0).all(), "a rest would be normalised to length one"
    expected = served.at_once(now)["probability"]
    np.testing.assert_allclose(served.ranked(now, state)["probability"], expected, atol=1e-6)


@of_sums
def test_events_may_be_said_to_be_gone_one_update_late(served):
    named, length = requests(seed=5), DATA.lifelong_length
    state = served.state({**named, **window(named, 2, 2 + length)})
    found, state = updated(served, named, state, (0, 2), (0, 0))
    late, state = updated(served, named, state, (0, 0), (length, length + 2))
    counts = [values[user_state.TOO_MANY_EVENTS].numpy().max() for values in (found, late)]
    assert counts == [2, 0]
    now = {**named, **window(named, 0, length)}
    for name in set(state) & {"state_counts", "state_events", "state_mask"}:
        np.testing.assert_array_equal(state[name], served.state(now)[name])
    np.testing.assert_allclose(served.ranked(now, state)["probability"], served.at_once(now)["probability"], atol=1e-6)


def test_a_state_of_other_users_than_the_request_is_an_error(served):
    named = requests()
    one = {name: values[:1] for name, values in served.state(named).items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match="state_events.* must have timestamp.*number of requests"):
        served.ranked(named, one)
    assert ("update_state" in served.signatures) == (served.kind in OF_SUMS)
    if served.kind in OF_SUMS:
        with pytest.raises(tf.errors.InvalidArgumentError, match="lifelong_source_item_id.*state_fingerprint"):
            updated(served, named, one, (0, 1), (0, 0))


@of_sums
def test_events_that_should_be_gone_are_counted(served):
    named = requests()
    found, _ = updated(served, named, served.state(named), (0, 4), (0, 0))
    events = served.state(named)["state_events"].numpy()
    new = (named["lifelong_source_item_id"][:, :4] > 0).sum(1)
    np.testing.assert_array_equal(found[user_state.TOO_MANY_EVENTS], np.maximum(events + new - DATA.lifelong_length, 0))
    assert found[user_state.TOO_MANY_EVENTS].numpy().max() == 4


def test_a_model_without_state_has_no_such_signature():
    many_bits = {("long_term", "sdim"): sdim.Config(num_hashes=2, hash_bits=9)}
    for model in (small_model(SCHEMA, long_term="none"), small_model(SCHEMA, many_bits, long_term="sdim")):
        assert user_state.build_state_signatures(model) == {}
