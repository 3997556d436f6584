"""What holds for every objective: the order of rows, what padding holds, and rows with little or nothing in them."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.contracts import ReadsItems
from lcn_tf.embeddings.row_reader import ROWS_OF
from lcn_tf.models import registry
from tests.objectives.batches import LENGTHS, SCHEMA, SEED, alone, built, parsed

OPTIONS = {"units": (5, 3), "queue_size": 17, "num_items": 23, "num_layers": 1, "dropout": 0.3, "mask_share": 0.4}


EVERY = registry.components("objectives")
DRAW_BY_PLACE = ("bert4rec", "crp", "sac", "sqn")  # negatives, by their places in the batch


@functools.cache
def made(name):
    """An embedder and an objective."""
    module = registry.component("objectives", name)
    fields = {field.name for field in dataclasses.fields(module.Config)}
    return built(module, **{name: value for name, value in OPTIONS.items() if name in fields})


@pytest.fixture
def found(request):
    return made(request.param)


def terms(found, batch):
    """Term -> sum and count, and the gradient of the sums by the tables."""
    embedder, objective = found
    rows = objective.rows_read(SEED) if isinstance(objective, ReadsItems) else {}
    tables = list(embedder.tables.vectors.values())
    with tf.GradientTape() as tape:
        own = embedder.look_up({**batch, **{f"{ROWS_OF}{objective.name} {name}": ids for name, ids in rows.items()}})
        sums = objective(own, alone(objective, own), SEED)
        total = tf.add_n([total for total, _ in sums.values()])
    gradients = [np.zeros(table.shape) if gradient is None else tf.convert_to_tensor(gradient).numpy()
                 for table, gradient in zip(tables, tape.gradient(total, tables), strict=True)]
    return {term: (float(total), float(count)) for term, (total, count) in sums.items()}, gradients


def assert_same(one, other, rtol=2e-4):
    assert one[0].keys() == other[0].keys()
    for term, values in one[0].items():
        np.testing.assert_allclose(other[0][term], values, rtol=rtol, err_msg=term)
    for gradient, expected in zip(other[1], one[1], strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("found", EVERY, indirect=True)
def test_what_padding_holds_does_not_matter(found):
    batch = parsed()
    garbage = dict(batch)
    for history in LENGTHS:
        for name in SCHEMA.history_names(history):
            garbage[name] = tf.where(batch[f"{history}_mask"], batch[name], 2)
    for name in SCHEMA.candidate_names:
        garbage[name] = tf.where(batch["candidate_mask"], batch[name], 2)
    assert_same(terms(found, batch), terms(found, garbage))


@pytest.mark.parametrize("requests", [1, 3])
@pytest.mark.parametrize("found", EVERY, indirect=True)
def test_a_small_batch_of_one_candidate_each(found, requests):
    batch = {name: values[:requests] for name, values in parsed().items()}
    one = tf.range(batch["candidate_mask"].shape[1]) < 1
    sums, gradients = terms(found, {**batch, "candidate_mask": batch["candidate_mask"] & one})
    assert all(np.isfinite(values).all() for values in [*sums.values(), *gradients])


@pytest.mark.parametrize("events", [0, 1])
@pytest.mark.parametrize("found", EVERY, indirect=True)
def test_histories_of_no_event_and_of_one(found, events):
    batch = dict(parsed())
    for history in LENGTHS:
        short = tf.range(batch[f"{history}_mask"].shape[1]) < events
        batch[f"{history}_mask"] &= short
    sums, gradients = terms(found, batch)
    assert all(np.isfinite(values).all() for values in [*sums.values(), *gradients])
    if events == 0 and found[1].name in ("bert4rec", "cl4srec", "dss"):
        assert all(count == 0 for _, count in sums.values())  # they read nothing but histories


@pytest.mark.parametrize("found", [name for name in EVERY if name not in DRAW_BY_PLACE], indirect=True)
def test_the_order_of_requests_does_not_matter(found):
    batch, order = parsed(), np.random.default_rng(5).permutation(9)
    shuffled = {name: tf.gather(values, order) for name, values in batch.items()}
    assert_same(terms(found, batch), terms(found, shuffled))
