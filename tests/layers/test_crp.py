"""CRP of a batch: which pairs are drawn, and what the terms make of them."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from lcn_tf.layers import crp
from tests import references

SEED = tf.constant([3, 5], tf.int64)
FIELDS = ("cate", "brand")
CANDIDATES = tf.constant([[1, 0], [1, 1], [0, 1], [1, 1], [0, 0], [1, 0], [1, 1]]) > 0  # of seven requests


def random_histories(seed, rows=7, length=5, vocabulary=50, offsets=False):
    """Two histories of `rows` requests; with `offsets`, their two candidates see windows of three events."""
    rng = np.random.default_rng(seed)
    histories = [crp.ItemHistory({field: tf.constant(rng.integers(2, vocabulary, (rows, length))) for field in FIELDS},
                                 tf.constant(rng.random((rows, length)) < 0.7)) for _ in range(2)]
    if not offsets:
        return histories
    return [history._replace(offset=tf.constant(rng.integers(0, length, (rows, 2))), length=3) for history in histories]


def single_candidates(histories, candidate_mask):
    """The requests of one candidate that say the same, their histories cut as the candidate sees them."""
    cut = []
    for history in histories:
        rows = []
        for request, candidate in np.argwhere(candidate_mask.numpy()):
            offset = 0 if history.offset is None else int(history.offset[request, candidate])
            stop = None if history.length is None else offset + history.length
            rows.append([np.pad(values[request].numpy()[offset:stop], [0, 9])[:5]
                         for values in (*history.ids.values(), history.mask)])
        *ids, mask = (tf.constant(np.array(column)) for column in zip(*rows, strict=True))
        cut.append(crp.ItemHistory(dict(zip(FIELDS, ids, strict=True)), mask))
    return cut


class Tables:
    """One table per field; remembers what it was asked for."""

    def __init__(self, vocabulary=50):
        rng = np.random.default_rng(17)
        self.tables = {field: tf.constant(rng.normal(size=(vocabulary, 3)), tf.float32) for field in FIELDS}
        self.asked = []

    def __call__(self, ids):
        self.asked.append({field: values.numpy() for field, values in ids.items()})
        return tf.concat([tf.gather(self.tables[field], ids[field]) for field in FIELDS], axis=-1)


def loss_of(histories, users=None, candidates=None, seed=SEED, **options):
    rows = histories[0].mask.shape[0]
    losses = crp.crp_loss(*histories, Tables(), tf.range(rows) if users is None else tf.constant(users),
                          tf.ones([rows, 1], tf.bool) if candidates is None else tf.constant(candidates), seed,
                          **{"num_negatives": 13, **options})
    return {term: float(loss) for term, loss in losses.items()}


@pytest.mark.parametrize("denominator", crp.CRP_DENOMINATORS)
@pytest.mark.parametrize("reduce", crp.CRP_REDUCTIONS)
@pytest.mark.parametrize("mask_same_id", [True, False])
def test_terms_match_loops_over_the_sampled_pairs(denominator, reduce, mask_same_id):
    histories = random_histories(1, vocabulary=4 if mask_same_id else 50, offsets=True)
    users = np.array([1, 2, 3, 3, 4, 5, 6])
    keys = tf.constant(np.stack([users, users], axis=1))
    users = keys.numpy()[CANDIDATES.numpy()]  # [N]
    losses = crp.crp_loss(*histories, Tables(), keys[:, 0], CANDIDATES, SEED, temperature=0.3, num_negatives=13,
                          denominator=denominator, reduce=reduce, mask_same_id=mask_same_id)
    assert tuple(losses) == crp.CRP_TERMS
    for term, loss in losses.items():
        pairs = crp.sample_pairs(term, *histories, keys, CANDIDATES, 13, mask_same_id, SEED)
        first, second, negative_first, negative_second = (
            Tables()(ids).numpy().astype(np.float64)
            for ids in (pairs.first, pairs.second, pairs.negative_first, pairs.negative_second))
        items = np.stack([np.stack([ids[field] for field in FIELDS], axis=1) for ids in (pairs.first, pairs.second)])
        valid = pairs.valid.numpy()
        if denominator == "inbatch":
            cosines = [[references.cosine(x, y) for y in second] for x in first]
            allowed = [[valid[j] and users[i] != users[j] and not (mask_same_id and (items[0, i] == items[1, j]).all())
                        for j in range(len(users))] for i in range(len(users))]
            expected = references.inbatch_loss(cosines, valid, allowed, 0.3, reduce)
        else:
            expected = references.contrastive_loss(
                [references.cosine(x, y) for x, y in zip(first, second, strict=True)], valid,
                [references.cosine(x, y) for x, y in zip(negative_first, negative_second, strict=True)],
                pairs.negative_valid.numpy(), 0.3, denominator, reduce)
        np.testing.assert_allclose(loss, expected, rtol=2e-5, atol=1e-6, err_msg=term)


@given(st.integers(0, 10**6), st.sampled_from(crp.CRP_TERMS), st.booleans())
def test_sampled_pairs_obey_windows_users_and_equal_ids(number, term, mask_same_id):
    histories = random_histories(number, vocabulary=5, offsets=True)
    users = np.array([1, 1, 2, 3, 4, 4, 5])
    keys = tf.constant(np.stack([users, users], axis=1))
    pairs = crp.sample_pairs(term, *histories, keys, CANDIDATES, 31, mask_same_id, tf.constant([number, 1], tf.int64))
    sides = {"pt": (0, 0), "ps": (1, 1), "pc": (0, 1)}[term]
    users = keys.numpy()[CANDIDATES.numpy()]  # [N]
    singles = single_candidates(histories, CANDIDATES)  # what each candidate sees, cut by a plain loop

    def owners(history, item):
        """Candidates that see the item."""
        same = np.all([history.ids[field].numpy() == item[field] for field in FIELDS], axis=0)
        return set(np.flatnonzero((same & history.mask.numpy()).any(axis=1)))

    def item(ids, place):
        return {field: ids[field].numpy()[place] for field in FIELDS}

    assert pairs.valid.shape == (len(users),)
    for row in range(len(users)):
        needed = [singles[side].mask.numpy()[row].sum() for side in sides]
        enough = needed[0] >= 2 if sides[0] == sides[1] else min(needed) >= 1
        first, second = item(pairs.first, row), item(pairs.second, row)
        assert pairs.valid.numpy()[row] == (enough and not (mask_same_id and first == second))
        if enough:
            assert row in owners(singles[sides[0]], first) and row in owners(singles[sides[1]], second)
    for place in np.flatnonzero(pairs.negative_valid.numpy()):
        first, second = item(pairs.negative_first, place), item(pairs.negative_second, place)
        rows_a, rows_b = owners(singles[sides[0]], first), owners(singles[sides[1]], second)
        assert any(users[a] != users[b] for a in rows_a for b in rows_b)
        assert not (mask_same_id and first == second)


def test_dropping_a_term_changes_no_other_and_asks_for_fewer_items():
    histories = random_histories(2)
    everything = loss_of(histories)
    for terms in (("pt",), ("ps",), ("pc",), ("pt", "ps"), ("pc", "pt")):
        assert loss_of(histories, terms=terms) == {term: everything[term] for term in terms}
    assert loss_of(histories, terms=()) == {}
    for terms, denominator, items in ((("pt", "ps"), "negatives", 2 * (2 * 7 + 2 * 13)), (("pt",), "inbatch", 2 * 7)):
        tables = Tables()
        crp.crp_loss(*histories, tables, tf.range(7), tf.ones([7, 1], tf.bool), SEED, terms=terms, num_negatives=13,
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
    pairs = crp.sample_pairs("pt", history, history, tf.range(4)[:, tf.newaxis], tf.ones([4, 1], tf.bool), 8000, True,
                             SEED)
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


@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize("options", [
    {}, {"denominator": "inbatch"}, {"rows": "unique_user"}, {"negatives_by": "row"}, {"reduce": "batch_mean"},
    {"chunk_size": 5},
], ids=str)
def test_requests_have_the_pairs_and_the_loss_of_their_single_candidates(offsets, options):
    histories = random_histories(4, offsets=offsets)
    singles = single_candidates(histories, CANDIDATES)
    users = np.array([1, 2, 3, 1, 4, 5, 6])
    keys = np.stack([users, users], axis=1)
    single_keys = keys[CANDIDATES.numpy()]
    together = loss_of(histories, users, CANDIDATES, **options)
    assert together == loss_of(singles, single_keys, **options)
    assert all(together.values())
    for term in crp.CRP_TERMS:
        grouped = crp.sample_pairs(term, *histories, tf.constant(keys), CANDIDATES, 31, True, SEED)
        flat = crp.sample_pairs(term, *singles, tf.constant(single_keys[:, np.newaxis]),
                                tf.ones([len(single_keys), 1], tf.bool), 31, True, SEED)
        for sides, check in ((("first", "second"), "valid"),
                             (("negative_first", "negative_second"), "negative_valid")):
            valid = getattr(flat, check).numpy()
            np.testing.assert_array_equal(getattr(grouped, check), valid)
            for side in sides:
                for field in FIELDS:
                    np.testing.assert_array_equal(getattr(grouped, side)[field].numpy()[valid],
                                                  getattr(flat, side)[field].numpy()[valid])


def test_hidden_events_change_nothing():
    histories = random_histories(9, offsets=True)
    hidden = []
    for history in histories:
        start, position = history.offset[:, :, tf.newaxis], tf.range(5, dtype=tf.int64)
        seen = (position >= start) & (position < start + 3) & CANDIDATES[:, :, tf.newaxis]
        seen = tf.reduce_any(seen, axis=1)  # [B, S]
        assert not np.all(seen)
        hidden.append(history._replace(ids={field: tf.where(seen, ids, 1) for field, ids in history.ids.items()}))
    assert loss_of(hidden, candidates=CANDIDATES) == loss_of(histories, candidates=CANDIDATES)


def test_rows_and_negatives_options():
    histories = random_histories(6)
    users = [1, 1, 2, 3, 3, 3, 4]
    first = np.array([[True], [False], [True], [True], [False], [False], [True]])
    assert loss_of(histories, users, rows="unique_user") == loss_of(histories, users, first)
    assert loss_of(histories, users, first, rows="positive") == loss_of(histories, users, first)
    assert loss_of(histories, users, negatives_by="row") == loss_of(histories)
    assert loss_of(histories, users, negatives_by="row") != loss_of(histories, users)
    assert loss_of(histories, [1] * 7) == dict.fromkeys(crp.CRP_TERMS, 0.0)


def test_two_items_are_equal_only_if_all_their_fields_are():
    mask = tf.ones([2, 2], tf.bool)
    same = crp.ItemHistory({"cate": tf.constant([[4, 4], [5, 5]]), "brand": tf.constant([[6, 6], [7, 7]])}, mask)
    near = crp.ItemHistory({"cate": tf.constant([[4, 4], [5, 5]]), "brand": tf.constant([[6, 8], [7, 9]])}, mask)

    def valid(history):
        pairs = crp.sample_pairs("pt", history, history, tf.range(2)[:, tf.newaxis], tf.ones([2, 1], tf.bool), 3, True,
                                 SEED)
        return pairs.valid.numpy()

    assert not valid(same).any() and valid(near).all()


@pytest.mark.parametrize("denominator", crp.CRP_DENOMINATORS)
@pytest.mark.parametrize("lacking", ["events", "candidates"])
@pytest.mark.parametrize("chunk_size", [8192, 5])
def test_nothing_to_pair_gives_zero_loss_and_finite_gradients(denominator, lacking, chunk_size):
    histories, candidates = random_histories(7), tf.fill([7, 2], lacking != "candidates")
    if lacking == "events":
        histories = [history._replace(mask=tf.zeros_like(history.mask)) for history in histories]
    tables = Tables()
    with tf.GradientTape() as tape:
        tape.watch(tables.tables)
        losses = crp.crp_loss(*histories, tables, tf.range(7), candidates, SEED, num_negatives=13,
                              denominator=denominator, chunk_size=chunk_size)
        total = tf.add_n(list(losses.values()))
    assert total.numpy() == 0
    for gradient in tape.gradient(total, tables.tables).values():
        assert (tf.convert_to_tensor(gradient).numpy() == 0).all()


@pytest.mark.parametrize("chunk_size", [8192, 5])
def test_runs_in_a_function_with_unknown_shapes(chunk_size):
    table = tf.random.stateless_normal([50, 3], [1, 2])

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64), tf.TensorSpec([None, None], tf.bool),
                                  tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, None], tf.bool),
                                  tf.TensorSpec([None, None], tf.int64)])
    def loss(ids, mask, users, candidates, offset):
        history = crp.ItemHistory({"cate": ids}, mask, offset, 2)
        return crp.crp_loss(history, history, lambda ids: tf.gather(table, ids["cate"]), users, candidates, SEED,
                            num_negatives=13, rows="unique_user", chunk_size=chunk_size)

    for rows, length in ((7, 5), (3, 11), (1, 2)):
        ids = np.random.default_rng(rows).integers(2, 50, (rows, length))
        found = loss(tf.constant(ids), tf.ones([rows, length], tf.bool), tf.range(rows, dtype=tf.int64),
                     tf.ones([rows, 3], tf.bool), tf.zeros([rows, 3], tf.int64))
        assert all(np.isfinite(value) for value in found.values())


def losses_and_gradients(histories, tables, **options):
    users = tf.constant([1, 2, 3, 3, 3, 1, 4])  # many negatives join a user with itself and are not valid
    with tf.GradientTape() as tape:
        tape.watch(tables.tables)
        losses = crp.crp_loss(*histories, tables, users, CANDIDATES, SEED, **options)
        total = tf.add_n([weight * loss for weight, loss in zip((1.0, 2.0, 3.0), losses.values(), strict=True)])
    gradients = tape.gradient(total, tables.tables)
    return losses, {field: tf.convert_to_tensor(gradient) for field, gradient in gradients.items()}


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.sampled_from(["negatives", "infonce"]), st.sampled_from(crp.CRP_REDUCTIONS),
       st.sampled_from([4, 50]), st.sampled_from([(13, 1), (13, 12), (12, 4), (301, 7), (301, 300)]))
def test_chunks_change_neither_losses_nor_gradients(number, denominator, reduce, vocabulary, negatives):
    histories, (num_negatives, chunk_size) = random_histories(number, vocabulary=vocabulary, offsets=True), negatives
    options = {"num_negatives": num_negatives, "denominator": denominator, "reduce": reduce, "temperature": 0.3}
    expected, expected_gradients = losses_and_gradients(histories, Tables(), **options)
    found, gradients = losses_and_gradients(histories, Tables(), chunk_size=chunk_size, **options)
    assert tuple(found) == tuple(expected)
    for term, loss in expected.items():
        np.testing.assert_allclose(found[term], loss, rtol=1e-5, atol=1e-5, err_msg=term)
    for field, gradient in expected_gradients.items():
        np.testing.assert_allclose(gradients[field], gradient, rtol=1e-5, atol=1e-5, err_msg=field)


def test_up_to_a_chunk_of_negatives_are_taken_at_once_and_more_ask_for_each_item_once():
    histories = random_histories(2)
    at_once, chunked = Tables(), Tables()
    for tables, chunk_size in ((at_once, 13), (chunked, 12)):
        crp.crp_loss(*histories, tables, tf.range(7), tf.ones([7, 1], tf.bool), SEED, num_negatives=13,
                     chunk_size=chunk_size)
    (many,), (few,) = ([list(zip(*(ids[field] for field in FIELDS), strict=True)) for ids in tables.asked]
                       for tables in (at_once, chunked))
    assert len(many) == 3 * 2 * (7 + 13) and len(few) == len(set(few)) and set(few) == set(many)


@pytest.mark.parametrize(("options", "message"), [
    ({"terms": ("pt", "px")}, r"terms must be among .*got \['px'\]"),
    ({"temperature": 0.0}, r"temperature must be above 0, got 0.0"),
    ({"denominator": "all"}, r"denominator must be one of .*got 'all'"),
    ({"reduce": "sum"}, r"reduce must be one of .*got 'sum'"),
    ({"rows": "some"}, r"rows must be one of .*got 'some'"),
    ({"negatives_by": "item"}, r"negatives_by must be one of .*got 'item'"),
    ({"num_negatives": 0}, r"num_negatives must be at least 1, got 0"),
    ({"chunk_size": 0}, r"chunk_size must be at least 1, got 0"),
])
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        loss_of(random_histories(8), **options)
