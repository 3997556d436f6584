"""Whatever a client sends is answered as the request it stands for, and what was odd about it is counted."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.models.requests import request_names
from lcn_tf.schema import OOV_ID, PADDING_ID
from lcn_tf.serving import admission
from lcn_tf.serving.admission import WARNINGS, admit
from lcn_tf.serving.recorded_requests import encode_request, named_tensors
from lcn_tf.serving.request_guide import request_guide
from tests import synthetic
from tests.serving.conftest import DATA
from tests.synthetic import HISTORIES

SCHEMA = synthetic.make_schema()
USERS, IMPRESSIONS, EVENTS = request_names(SCHEMA)
ID_NAMES = [name for name in (*USERS, *IMPRESSIONS, *EVENTS) if not name.endswith("timestamp")]
TABLES = {feature.name: feature.table for feature in (
    *SCHEMA.user, *SCHEMA.item, *SCHEMA.candidate, *SCHEMA.request, *SCHEMA.context)}


def rows_of(name):
    """Of the table that a tensor's ids are for."""
    feature = name
    for history in HISTORIES:
        feature = feature.removeprefix(f"{history}_")
    return SCHEMA.tables[TABLES[feature]]


def make_request(seed=0, candidates=3, lengths=SCHEMA.lengths, users=2):
    rng = np.random.default_rng(seed)
    return named_tensors(SCHEMA, [synthetic.make_group(SCHEMA, rng, 1, candidates, lengths) for _ in range(users)])


def admitted(request):
    """Batch and warnings as arrays; only the warnings that are not 0 for every user."""
    tensors = {name: tf.constant(values) for name, values in request.items()}
    batch, warnings = admit(SCHEMA, DATA.lengths_of(SCHEMA), tensors)
    assert set(warnings) == set(WARNINGS)
    assert {(value.dtype, tuple(value.shape)) for value in warnings.values()} == {
        (tf.int32, (len(request["timestamp"]),))}
    counts = {name: value.numpy().tolist() for name, value in warnings.items()}
    return ({name: value.numpy() for name, value in batch.items()},
            {name: value for name, value in counts.items() if any(value)})


def assert_same_batch(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_requests_as_they_should_be_raise_no_warning():
    groups = synthetic.make_groups(SCHEMA, 31)
    assert admitted(named_tensors(SCHEMA, groups))[1] == {}


@pytest.mark.parametrize("name", ID_NAMES)
def test_an_id_outside_its_table_is_out_of_vocabulary(name):
    for wrong in (-1, rows_of(name), -2**63, 2**63 - 1):
        expected, request = make_request(), make_request()
        place = (1, 2)[:request[name].ndim]
        expected[name][place], request[name][place] = OOV_ID, wrong
        batch, warnings = admitted(request)
        assert_same_batch(batch, admitted(expected)[0])
        assert warnings == {admission.OUTSIDE_TABLES: [0, 1]}
        assert all(batch[mask].all() for mask in ("candidate_mask", *(f"{history}_mask" for history in HISTORIES)))


def test_the_last_row_of_a_table_is_in_it():
    request = make_request()
    for name in ID_NAMES:
        request[name][:] = rows_of(name) - 1
    batch, warnings = admitted(request)
    assert warnings == {}
    assert all((batch[name] == rows_of(name) - 1).all() for name in ID_NAMES)


def test_ids_that_nothing_reads_are_not_counted():
    request = make_request(lengths={"short_target": 11, "short_source": 11, "lifelong_source": 29})
    request["lifelong_source_category"][:, DATA.lifelong_length:] = -1
    for name in EVENTS:
        request[name][:, 4:] = PADDING_ID if name.endswith("item_id") else -1
    for name in IMPRESSIONS:
        request[name][:, 2:] = PADDING_ID if name == "item_id" else -1
    assert admitted(request)[1] == {}


@pytest.mark.parametrize(("padding", "between"), [(1, 0), (30, 0), (0, 1), (3, 2)])
def test_padding_before_events_changes_nothing(padding, between):
    lengths = {"short_target": 3, "short_source": 7, "lifelong_source": 23}  # two of them longer than the model's
    request = make_request(lengths=lengths)
    front = {**request, **{name: np.pad(request[name], ((0, 0), (padding, 0))) for name in EVENTS}}
    behind = {**request, **{name: np.pad(request[name], ((0, 0), (0, padding + between))) for name in EVENTS}}
    for name in EVENTS:
        front[name] = np.insert(front[name], padding + 2, np.zeros((between, 1), int), axis=1)
    batch, warnings = admitted(front)
    assert_same_batch(batch, admitted(behind)[0])
    assert warnings == {admission.PADDING_BEFORE_EVENTS: [3 * (padding + between)] * 2}


def test_padding_of_one_user_alone_is_skipped_and_counted():
    request = make_request(lengths={"short_target": 4, "short_source": 4, "lifelong_source": 4})
    front = {name: values.copy() for name, values in request.items()}
    for name in SCHEMA.history_names("short_source"):
        front[name] = np.pad(front[name], ((0, 0), (0, 1)))
        front[name][1] = np.roll(front[name][1], 1)
    expected = {**request, **{name: np.pad(request[name], ((0, 0), (0, 1)))
                              for name in SCHEMA.history_names("short_source")}}
    batch, warnings = admitted(front)
    assert_same_batch(batch, admitted(expected)[0])
    assert warnings == {admission.PADDING_BEFORE_EVENTS: [0, 1]}


def test_events_out_of_order_are_counted():
    request = make_request()
    for name in SCHEMA.history_names("short_target"):
        request[name][1] = request[name][1, ::-1]
    assert admitted(request)[1] == {admission.OUT_OF_ORDER: [0, DATA.short_length - 1]}
    request["short_target_timestamp"][1] = request["short_target_timestamp"][1, 0]
    assert admitted(request)[1] == {}, "events of one second have no order"


def test_candidates_before_an_event_are_counted():
    request = make_request()
    request["timestamp"][0, 1] = request["lifelong_source_timestamp"][0, 0]
    assert admitted(request)[1] == {}, "an event of the request's own second is not in its future"
    request["timestamp"][0, 1] -= 1
    request["timestamp"][1, :2] = 0
    assert admitted(request)[1] == {admission.BEFORE_EVENTS: [1, 2]}


def test_milliseconds_are_counted():
    request = make_request()
    request["timestamp"][0] *= 1_000
    assert admitted(request)[1] == {admission.NOT_SECONDS: [3, 0]}
    for history in HISTORIES:
        request[f"{history}_timestamp"][0] *= 1_000
    events = sum(DATA.lengths_of(SCHEMA).values())
    assert admitted(request)[1] == {admission.NOT_SECONDS: [3 + events, 0]}
    request["short_target_timestamp"][1, -1] = -1
    assert admitted(request)[1] == {admission.NOT_SECONDS: [3 + events, 1]}


@pytest.mark.parametrize(("users", "candidates"), [(0, 3), (2, 0), (0, 0)])
def test_nothing_is_admitted_too(users, candidates):
    request = {name: values[:users] for name, values in make_request().items()}
    request.update({name: request[name][:, :candidates] for name in IMPRESSIONS})
    request.update({name: request[name][:, :0] for name in EVENTS})
    batch, warnings = admitted(request)
    assert warnings == {}
    assert batch["candidate_mask"].shape == (users, candidates)
    assert all(batch[name].shape == (users, 1) for name in EVENTS)


def test_the_guide_names_every_input_and_warning():
    guide = request_guide(SCHEMA, DATA.lengths_of(SCHEMA), ("serving_default", "serving_examples"))
    for name in (*USERS, *IMPRESSIONS, *EVENTS, *WARNINGS, "serving_examples"):
        assert f"`{name}`" in guide
    assert "| `lifelong_source_item_id` | `[B, L]` | ids 0 to 60; 17 events are read |" in guide
    assert "| `timestamp` | `[B, C]` | seconds UTC |" in guide


def test_one_request_does_not_disturb_those_merged_with_it(exported):
    rng = np.random.default_rng(3)
    good, bad = (synthetic.make_group(SCHEMA, rng, 1, 4, SCHEMA.lengths) for _ in range(2))
    stands_for = {name: list(values) for name, values in bad.items()}
    wrong = 0
    for name in ID_NAMES:
        for place in range(0, len(bad[name]), 2):
            bad[name][place], stands_for[name][place] = (-1, rows_of(name), 10**12)[place % 3], OOV_ID
            lengths = DATA.lengths_of(SCHEMA)
            read = not any(name.startswith(history) and place >= lengths[history] for history in HISTORIES)
            wrong += read
    for signature in ("serving_default", "explain", "serving_examples"):
        answers = []
        for groups in ([good, bad], [good, stands_for]):
            inputs = named_tensors(SCHEMA, groups) if signature != "serving_examples" else {
                "examples": [encode_request(SCHEMA, group) for group in groups]}
            answers.append(exported.serve(signature, **inputs))
        found, expected = answers
        assert found.pop(admission.OUTSIDE_TABLES).tolist() == [0, wrong]
        assert expected.pop(admission.OUTSIDE_TABLES).tolist() == [0, 0]
        assert (found["probability"] > 0).all()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=f"{signature}: {name}")
