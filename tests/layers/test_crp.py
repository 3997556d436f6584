import json
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import crp
from tests import references
from tests.layers.batches import TOLERANCE

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "crp.json").read_text())
A4, A4_FIXTURE, A5 = GOLDEN["vectors"]["TV-A4"], GOLDEN["fixture"]["TV-A4"], GOLDEN["vectors"]["TV-A5"]
BOTH = tf.constant([True, True])
ONES = tf.ones([2], tf.int32)


def golden_loss(positive_valid=BOTH, negative_valid=BOTH, **options):
    return crp.contrastive_loss(tf.constant(A4["pos_cos"]), positive_valid, ONES, tf.constant(A4["neg_cos"]),
                                negative_valid, A4["tau"], **options).numpy()


def test_golden_cosines():
    for pairs, expected in ((A4["pos_pairs"], A4["pos_cos"]), (A4["neg_pairs"], A4["neg_cos"])):
        first, second = tf.unstack(tf.constant(pairs), axis=1)
        np.testing.assert_allclose(crp.cosine(first, second), expected, **TOLERANCE)


def test_golden_losses():
    rows, negatives = tf.constant(A4_FIXTURE["row2_valid_mask"]), tf.constant(A4_FIXTURE["neg2_valid_mask"])
    for key, loss in {
        "loss_printed": golden_loss(),
        "loss_inclusive": golden_loss(denominator="infonce"),
        "loss_row2_invalid_mean_over_valid": golden_loss(rows),
        "loss_row2_invalid_div_by_B": golden_loss(rows, reduce="batch_mean"),
        "loss_printed_neg2_masked_as_same_id": golden_loss(negative_valid=negatives),
        "loss_printed_logmeanexp": golden_loss() - math.log(2),
    }.items():
        np.testing.assert_allclose(loss, A4[key], rtol=2e-5, err_msg=key)


def test_golden_inbatch():
    first, second = tf.unstack(tf.constant(A4["pos_pairs"]), axis=1)
    cosines = tf.stack([crp.cosine(first[i][tf.newaxis], second) for i in range(2)])
    loss = crp.inbatch_loss(cosines, BOTH, tf.ones([2, 2], tf.bool), ONES, A4["tau"])
    np.testing.assert_allclose(loss, A4["loss_inbatch_anchored"], rtol=2e-5)


@pytest.mark.parametrize(("denominator", "positives", "negatives"), [
    ("negatives", "dL_dspos_printed", "dL_dsneg_printed"), ("infonce", "dL_dspos_inclusive", None)])
def test_golden_gradients(denominator, positives, negatives):
    cosines = [tf.constant(A4["pos_cos"]), tf.constant(A4["neg_cos"])]
    with tf.GradientTape() as tape:
        tape.watch(cosines)
        loss = crp.contrastive_loss(cosines[0], BOTH, ONES, cosines[1], BOTH, A4["tau"], denominator)
    found = tape.gradient(loss, cosines)
    np.testing.assert_allclose(found[0], A4[positives], **TOLERANCE)
    if negatives:
        np.testing.assert_allclose(found[1], A4[negatives], **TOLERANCE)


@pytest.mark.parametrize(("positive", "negative", "temperature", "key"), [
    (1.0, -1.0, A5["tau"], "lower_bound"), (0.0, 0.0, A5["tau"], "value_all_cos_zero"),
    (1.0, 0.0, A5["tau"], "value_pos1_neg0"), (1.0, -1.0, 1.0, "lower_bound_tau1")])
def test_golden_bounds(positive, negative, temperature, key):
    loss = crp.contrastive_loss(tf.fill([3], positive), tf.ones([3], tf.bool), tf.ones([3]),
                                tf.fill([A5["M"]], negative), tf.ones([A5["M"]], tf.bool), temperature)
    np.testing.assert_allclose(loss, A5[key], rtol=2e-5)


@given(st.integers(0, 10**6), st.sampled_from(["negatives", "infonce"]), st.sampled_from(crp.CRP_REDUCTIONS),
       st.sampled_from([0.05, 0.5, 1.0]), st.floats(0.0, 1.0))
def test_values_and_gradients_match_the_loops(seed, denominator, reduce, temperature, share):
    rng = np.random.default_rng(seed)
    exact = [rng.uniform(-1, 1, 5), rng.uniform(-1, 1, 11)]
    positive_valid, negative_valid, weights = rng.random(5) < share, rng.random(11) < share, rng.integers(0, 4, 5)

    def reference(point):
        return references.contrastive_loss(point[0], positive_valid, weights, point[1], negative_valid, temperature,
                                           denominator, reduce)

    cosines = [tf.constant(values, tf.float32) for values in exact]
    with tf.GradientTape() as tape:
        tape.watch(cosines)
        loss = crp.contrastive_loss(cosines[0], tf.constant(positive_valid), tf.constant(weights), cosines[1],
                                    tf.constant(negative_valid), temperature, denominator, reduce)
    np.testing.assert_allclose(loss, reference(exact), rtol=1e-5, atol=1e-5)
    for index, gradient in enumerate(tape.gradient(loss, cosines)):
        for place in range(len(exact[index])):
            direction = [np.zeros(5), np.zeros(11)]
            direction[index][place] = 1.0
            expected = references.directional_derivative(reference, exact, direction)
            np.testing.assert_allclose(gradient[place], expected, rtol=1e-3, atol=1e-5)


@given(st.integers(0, 10**6), st.sampled_from(crp.CRP_REDUCTIONS), st.floats(0.0, 1.0))
def test_inbatch_matches_the_loops(seed, reduce, share):
    rng = np.random.default_rng(seed)
    cosines = rng.uniform(-1, 1, (5, 5))
    positive_valid, negative_valid, weights = rng.random(5) < share, rng.random((5, 5)) < share, rng.integers(0, 4, 5)
    loss = crp.inbatch_loss(tf.constant(cosines, tf.float32), tf.constant(positive_valid), tf.constant(negative_valid),
                            tf.constant(weights), 0.3, reduce)
    expected = references.inbatch_loss(cosines, positive_valid, negative_valid, weights, 0.3, reduce)
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-6)


def test_no_valid_pair_gives_zero_and_zero_gradients():
    none = tf.constant([False, False])
    for denominator in ("negatives", "infonce"):
        for positive_valid, negative_valid in ((none, BOTH), (BOTH, none), (none, none)):
            cosines = [tf.constant(A4["pos_cos"]), tf.constant(A4["neg_cos"])]
            with tf.GradientTape() as tape:
                tape.watch(cosines)
                loss = crp.contrastive_loss(cosines[0], positive_valid, ONES, cosines[1], negative_valid, 0.1,
                                            denominator)
            assert loss.numpy() == 0
            assert all((gradient.numpy() == 0).all() for gradient in tape.gradient(loss, cosines))


def test_cosine_of_zero_vectors_is_finite():
    first, second = tf.zeros([2, 3]), tf.constant([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    with tf.GradientTape() as tape:
        tape.watch([first, second])
        value = crp.cosine(first, second)
        total = tf.reduce_sum(value)
    assert value.numpy().tolist() == [0.0, 0.0]
    assert all(np.isfinite(gradient.numpy()).all() for gradient in tape.gradient(total, [first, second]))
    assert crp.cosine(tf.ones([1, 3], tf.bfloat16), tf.ones([1, 3], tf.bfloat16)).dtype == tf.float32


# --- the whole loss ------------------------------------------------------------------------------------------------

SEED = tf.constant([3, 5], tf.int64)
FIELDS = ("cate", "brand")


def random_histories(seed, rows=7, length=5, vocabulary=50):
    rng = np.random.default_rng(seed)
    return [crp.ItemHistory({field: tf.constant(rng.integers(2, vocabulary, (rows, length))) for field in FIELDS},
                            tf.constant(rng.random((rows, length)) < 0.7)) for _ in range(2)]


def take(histories, rows):
    return [crp.ItemHistory({field: tf.gather(ids, rows) for field, ids in history.ids.items()},
                            tf.gather(history.mask, rows)) for history in histories]


class Tables:
    """One table per field; remembers what it was asked for."""

    def __init__(self, vocabulary=50):
        rng = np.random.default_rng(17)
        self.tables = {field: tf.constant(rng.normal(size=(vocabulary, 3)), tf.float32) for field in FIELDS}
        self.asked = []

    def __call__(self, ids):
        self.asked.append({field: values.numpy() for field, values in ids.items()})
        return tf.concat([tf.gather(self.tables[field], ids[field]) for field in FIELDS], axis=-1)


def loss_of(histories, users=None, weights=None, seed=SEED, **options):
    rows = histories[0].mask.shape[0]
    losses = crp.crp_loss(*histories, Tables(), tf.range(rows) if users is None else tf.constant(users),
                          tf.ones([rows], tf.int32) if weights is None else tf.constant(weights), seed,
                          **{"num_negatives": 13, **options})
    return {term: float(loss) for term, loss in losses.items()}


@pytest.mark.parametrize("denominator", crp.CRP_DENOMINATORS)
@pytest.mark.parametrize("reduce", crp.CRP_REDUCTIONS)
@pytest.mark.parametrize("mask_same_id", [True, False])
def test_terms_match_loops_over_the_sampled_pairs(denominator, reduce, mask_same_id):
    histories = random_histories(1, vocabulary=4 if mask_same_id else 50)
    users, weights = tf.constant([1, 2, 3, 3, 4, 5, 6]), tf.constant([1, 2, 1, 3, 0, 1, 2])
    losses = crp.crp_loss(*histories, Tables(), users, weights, SEED, temperature=0.3, num_negatives=13,
                          denominator=denominator, reduce=reduce, mask_same_id=mask_same_id)
    assert tuple(losses) == crp.CRP_TERMS
    for term, loss in losses.items():
        pairs = crp.sample_pairs(term, *histories, users, weights, 13, mask_same_id, SEED)
        first, second, negative_first, negative_second = (
            Tables()(ids).numpy().astype(np.float64)
            for ids in (pairs.first, pairs.second, pairs.negative_first, pairs.negative_second))
        keys = np.stack([np.stack([ids[field] for field in FIELDS], axis=1) for ids in (pairs.first, pairs.second)])
        valid = pairs.valid.numpy()
        if denominator == "inbatch":
            cosines = [[references.cosine(x, y) for y in second] for x in first]
            allowed = [[valid[j] and users[i] != users[j] and weights[j] > 0
                        and not (mask_same_id and (keys[0, i] == keys[1, j]).all())
                        for j in range(7)] for i in range(7)]
            expected = references.inbatch_loss(cosines, valid, allowed, weights.numpy(), 0.3, reduce)
        else:
            expected = references.contrastive_loss(
                [references.cosine(x, y) for x, y in zip(first, second, strict=True)], valid, weights.numpy(),
                [references.cosine(x, y) for x, y in zip(negative_first, negative_second, strict=True)],
                pairs.negative_valid.numpy(), 0.3, denominator, reduce)
        np.testing.assert_allclose(loss, expected, rtol=2e-5, atol=1e-6, err_msg=term)


@given(st.integers(0, 10**6), st.sampled_from(crp.CRP_TERMS), st.booleans())
def test_sampled_pairs_obey_masks_users_and_equal_ids(number, term, mask_same_id):
    histories = random_histories(number, vocabulary=5)
    users, weights = np.array([1, 1, 2, 3, 4, 4, 5]), np.array([1, 0, 2, 1, 1, 1, 1])
    pairs = crp.sample_pairs(term, *histories, tf.constant(users), tf.constant(weights), 31, mask_same_id,
                             tf.constant([number, 1], tf.int64))
    sides = {"pt": (0, 0), "ps": (1, 1), "pc": (0, 1)}[term]

    def owners(history, item):
        """Rows whose unmasked events hold the item."""
        same = np.all([history.ids[field].numpy() == item[field] for field in FIELDS], axis=0)
        return set(np.flatnonzero((same & history.mask.numpy()).any(axis=1)))

    def item(ids, place):
        return {field: ids[field].numpy()[place] for field in FIELDS}

    for row in range(7):
        needed = [histories[side].mask.numpy()[row].sum() for side in sides]
        enough = needed[0] >= 2 if sides[0] == sides[1] else min(needed) >= 1
        first, second = item(pairs.first, row), item(pairs.second, row)
        assert pairs.valid.numpy()[row] == (enough and weights[row] > 0 and not (mask_same_id and first == second))
        if enough:
            assert row in owners(histories[sides[0]], first) and row in owners(histories[sides[1]], second)
    for place in np.flatnonzero(pairs.negative_valid.numpy()):
        first, second = item(pairs.negative_first, place), item(pairs.negative_second, place)
        rows_a, rows_b = owners(histories[sides[0]], first), owners(histories[sides[1]], second)
        assert any(users[a] != users[b] for a in rows_a - {1} for b in rows_b - {1})
        assert not (mask_same_id and first == second)


def test_dropping_a_term_changes_no_other_and_asks_for_fewer_items():
    histories = random_histories(2)
    everything = loss_of(histories)
    for terms in (("pt",), ("ps",), ("pc",), ("pt", "ps"), ("pc", "pt")):
        assert loss_of(histories, terms=terms) == {term: everything[term] for term in terms}
    assert loss_of(histories, terms=()) == {}
    for terms, denominator, items in ((("pt", "ps"), "negatives", 2 * (2 * 7 + 2 * 13)), (("pt",), "inbatch", 2 * 7)):
        tables = Tables()
        crp.crp_loss(*histories, tables, tf.range(7), tf.ones([7], tf.int32), SEED, terms=terms, num_negatives=13,
                     denominator=denominator)
        assert [len(ids["cate"]) for ids in tables.asked] == [items]


def test_seeds_reproduce_and_differ():
    histories = random_histories(3)
    assert loss_of(histories) == loss_of(histories)
    assert loss_of(histories) != loss_of(histories, seed=tf.constant([3, 6], tf.int64))


def test_terms_draw_independently():
    history = random_histories(3)[0]
    assert len(set(loss_of([history, history]).values())) == 3


def test_rows_and_items_of_the_negatives_are_drawn_independently():
    """Four rows of four items each: every pair of row and position, and of two positions, is equally likely."""
    history = crp.ItemHistory({"cate": tf.reshape(tf.range(16), [4, 4])}, tf.ones([4, 4], tf.bool))
    pairs = crp.sample_pairs("pt", history, history, tf.range(4), tf.ones([4], tf.int32), 8000, True, SEED)
    assert pairs.negative_valid.numpy().all()
    first, second = pairs.negative_first["cate"].numpy(), pairs.negative_second["cate"].numpy()
    for cells in (first, second, 4 * (first % 4) + second % 4):
        counts = np.bincount(cells, minlength=16)
        assert ((counts - 500) ** 2 / 500).sum() < 37.70  # chi-square, 15 degrees of freedom, 99.9th percentile


@given(st.integers(0, 10**6), st.integers(1, 7))
def test_padding_changes_nothing(number, padding):
    histories = random_histories(number)
    padded = [crp.ItemHistory({field: tf.pad(ids, [[0, 0], [0, padding]], constant_values=9)
                               for field, ids in history.ids.items()}, tf.pad(history.mask, [[0, 0], [0, padding]]))
              for history in histories]
    assert loss_of(padded) == loss_of(histories)


def test_grouped_batches_have_the_negatives_of_their_single_candidates():
    histories = random_histories(4)
    weights, users = np.array([2, 1, 3, 1, 1, 2, 1]), np.array([1, 2, 3, 1, 4, 5, 6])
    rows = np.repeat(np.arange(7), weights)
    for term in crp.CRP_TERMS:
        grouped = crp.sample_pairs(term, *histories, tf.constant(users), tf.constant(weights), 31, True, SEED)
        flat = crp.sample_pairs(term, *take(histories, rows), tf.constant(users[rows]), tf.ones([len(rows)], tf.int32),
                                31, True, SEED)
        valid = flat.negative_valid.numpy()
        np.testing.assert_array_equal(grouped.negative_valid, valid)
        for field in FIELDS:
            for side in ("negative_first", "negative_second"):
                np.testing.assert_array_equal(getattr(grouped, side)[field].numpy()[valid],
                                              getattr(flat, side)[field].numpy()[valid])


@pytest.mark.parametrize("denominator", ["negatives", "inbatch"])
def test_grouped_batches_have_the_expected_loss_of_their_single_candidates(denominator):
    histories = random_histories(5)
    weights, users = np.array([2, 1, 3, 1, 1, 2, 1]), np.array([1, 2, 3, 7, 4, 5, 6])
    rows = np.repeat(np.arange(7), weights)
    options = {"terms": ("pc",), "temperature": 1.0, "denominator": denominator, "num_negatives": 29}

    def losses(histories, users, weights):
        return np.array([loss_of(histories, users, weights, tf.constant([n, 1], tf.int64), **options)["pc"]
                         for n in range(120)])

    grouped, flat = losses(histories, users, weights), losses(take(histories, rows), users[rows], np.ones_like(rows))
    error = math.sqrt(grouped.var() / len(grouped) + flat.var() / len(flat))
    assert abs(grouped.mean() - flat.mean()) < 3 * error
    assert error < 0.1


def test_rows_and_negatives_options():
    histories = random_histories(6)
    users = [1, 1, 2, 3, 3, 3, 4]
    assert loss_of(histories, users, rows="unique_user") == loss_of(histories, users, [1, 0, 1, 1, 0, 0, 1])
    assert loss_of(histories, users, [0, 1, 2, 0, 1, 1, 1], rows="positive") == loss_of(histories, users,
                                                                                       [0, 1, 2, 0, 1, 1, 1])
    assert loss_of(histories, users, negatives_by="row") == loss_of(histories)
    assert loss_of(histories, users, negatives_by="row") != loss_of(histories, users)
    assert loss_of(histories, [1] * 7) == dict.fromkeys(crp.CRP_TERMS, 0.0)


def test_two_items_are_equal_only_if_all_their_fields_are():
    mask = tf.ones([2, 2], tf.bool)
    same = crp.ItemHistory({"cate": tf.constant([[4, 4], [5, 5]]), "brand": tf.constant([[6, 6], [7, 7]])}, mask)
    near = crp.ItemHistory({"cate": tf.constant([[4, 4], [5, 5]]), "brand": tf.constant([[6, 8], [7, 9]])}, mask)

    def valid(history):
        pairs = crp.sample_pairs("pt", history, history, tf.range(2), tf.ones([2], tf.int32), 3, True, SEED)
        return pairs.valid.numpy()

    assert not valid(same).any() and valid(near).all()


@pytest.mark.parametrize("denominator", crp.CRP_DENOMINATORS)
def test_empty_histories_give_zero_loss_and_finite_gradients(denominator):
    histories = [crp.ItemHistory(history.ids, tf.zeros_like(history.mask)) for history in random_histories(7)]
    tables = Tables()
    with tf.GradientTape() as tape:
        tape.watch(tables.tables)
        losses = crp.crp_loss(*histories, tables, tf.range(7), tf.ones([7], tf.int32), SEED, num_negatives=13,
                              denominator=denominator)
        total = tf.add_n(list(losses.values()))
    assert total.numpy() == 0
    for gradient in tape.gradient(total, tables.tables).values():
        assert (tf.convert_to_tensor(gradient).numpy() == 0).all()


def test_runs_in_a_function_with_unknown_shapes():
    table = tf.random.stateless_normal([50, 3], [1, 2])

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64), tf.TensorSpec([None, None], tf.bool),
                                  tf.TensorSpec([None], tf.int64), tf.TensorSpec([None], tf.int32)])
    def loss(ids, mask, users, weights):
        history = crp.ItemHistory({"cate": ids}, mask)
        return crp.crp_loss(history, history, lambda ids: tf.gather(table, ids["cate"]), users, weights, SEED,
                            num_negatives=13, rows="unique_user")

    for rows, length in ((7, 5), (3, 11), (1, 2)):
        ids = np.random.default_rng(rows).integers(2, 50, (rows, length))
        found = loss(tf.constant(ids), tf.ones([rows, length], tf.bool), tf.range(rows, dtype=tf.int64),
                     tf.ones([rows], tf.int32))
        assert all(np.isfinite(value) for value in found.values())


@pytest.mark.parametrize(("options", "message"), [
    ({"terms": ("pt", "px")}, r"terms must be among .*got \['px'\]"),
    ({"temperature": 0.0}, r"temperature must be above 0, got 0.0"),
    ({"denominator": "all"}, r"denominator must be one of .*got 'all'"),
    ({"reduce": "sum"}, r"reduce must be one of .*got 'sum'"),
    ({"rows": "some"}, r"rows must be one of .*got 'some'"),
    ({"negatives_by": "item"}, r"negatives_by must be one of .*got 'item'"),
    ({"num_negatives": 0}, r"num_negatives must be at least 1, got 0"),
])
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        loss_of(random_histories(8), **options)


def test_inbatch_has_its_own_function():
    with pytest.raises(ValueError, match="use inbatch_loss"):
        golden_loss(denominator="inbatch")
