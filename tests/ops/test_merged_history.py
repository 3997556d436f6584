import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.ops import merged_history
from tests import references_objectives

FIELDS = ("brand", "category")


def random_history(rng, rows, length):
    """Most recent first, few different seconds, holes in the mask; nothing at all in the last row."""
    mask = rng.random((rows, length)) < 0.7
    mask[-1] = False
    return {"ids": {field: rng.integers(2, 9, (rows, length)) for field in FIELDS}, "mask": mask,
            "timestamp": -np.sort(-rng.integers(-3, 6, (rows, length)), axis=1)}


def as_history(history):
    return merged_history.DomainHistory(**tf.nest.map_structure(tf.constant, history))


def as_lists(events):
    """The real events of each row as the oracle gives them; checks positions, and zeros outside the mask."""
    rows = []
    for row, mask in enumerate(events.mask.numpy()):
        count = int(mask.sum())
        assert mask[:count].all(), "padding at the end"
        assert events.position[row, :count].numpy().tolist() == list(range(count))
        for values in (*events.ids.values(), events.timestamp, events.domain, events.position):
            assert (values[row, count:].numpy() == 0).all()
        rows.append([(int(events.timestamp[row, k]), int(events.domain[row, k]),
                      {field: int(values[row, k]) for field, values in events.ids.items()}) for k in range(count)])
    return rows


def expected(parts, rows):
    return [references_objectives.merged_events(
        *((domain, history["timestamp"][row], history["mask"][row],
           {field: values[row] for field, values in history["ids"].items()}) for domain, history in parts))
        for row in range(rows)]


@given(st.integers(0, 10**6), st.sampled_from(merged_history.HISTORY_MODES))
def test_events_are_those_of_the_oracle(seed, mode):
    rng = np.random.default_rng(seed)
    target, source = random_history(rng, 5, 3), random_history(rng, 5, 7)
    found = merged_history.event_sequences(as_history(target), as_history(source), mode)
    parts = [(merged_history.TARGET_DOMAIN, target), (merged_history.SOURCE_DOMAIN, source)]
    chosen = {"merged": [parts], "target": parts[:1], "source": parts[1:], "both_separately": parts}[mode]
    for events, which in zip(found, chosen, strict=True):
        which = which if isinstance(which, list) else [which]
        assert events.mask.shape == (5, sum(history["mask"].shape[1] for _, history in which))
        assert as_lists(events) == expected(which, 5)


def test_padding_and_unknown_lengths_change_nothing():
    rng = np.random.default_rng(3)
    target, source = random_history(rng, 5, 3), random_history(rng, 5, 7)
    whole = merged_history.event_sequences(as_history(target), as_history(source))[0]
    padded = tf.nest.map_structure(lambda values: np.pad(values, [[0, 0], [0, 2]]), target)
    (wide,) = merged_history.event_sequences(as_history(padded), as_history(source))
    assert as_lists(wide) == as_lists(whole) and wide.mask.shape == (5, 12)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64), tf.TensorSpec([None, None], tf.bool)])
    def newest(timestamp, mask):
        history = merged_history.DomainHistory({"brand": timestamp}, timestamp, mask)
        return merged_history.event_sequences(history, history)[0].timestamp[:, :1]

    assert newest(tf.constant([[5, 4]], tf.int64), tf.constant([[False, True]])).numpy().tolist() == [[4]]
    assert newest(tf.zeros([2, 0], tf.int64), tf.zeros([2, 0], tf.bool)).shape == (2, 0)


def test_a_real_event_of_any_time_comes_before_padding():
    smallest = tf.constant([[0, tf.int64.min]], tf.int64)
    history = merged_history.DomainHistory({"brand": tf.constant([[8, 9]])}, smallest, tf.constant([[False, True]]))
    (events,) = merged_history.event_sequences(history, history, "target")
    assert events.ids["brand"].numpy().tolist() == [[9, 0]] and events.mask.numpy().tolist() == [[True, False]]


def test_options_are_checked():
    history = as_history(random_history(np.random.default_rng(0), 2, 3))
    with pytest.raises(ValueError, match="mode must be one of .*, got 'both'"):
        merged_history.event_sequences(history, history, "both")
    other = merged_history.DomainHistory({"brand": history.ids["brand"]}, history.timestamp, history.mask)
    with pytest.raises(ValueError, match=r"same fields, got \['brand', 'category'\] and \['brand'\]"):
        merged_history.event_sequences(history, other)
