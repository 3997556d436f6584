import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.ops import masking
from tests import references


def test_masked_top_k_does_not_let_padding_beat_negative_scores():
    scores = tf.constant([[[-3.0, -1.0, -2.0, 9.0, -5.0]]])
    mask = tf.constant([[True, False, True, False, True]])
    indices, kept = masking.masked_top_k(scores, mask, 4)
    assert indices.numpy()[0, 0, :3].tolist() == [2, 0, 4]
    assert kept.numpy()[0, 0].tolist() == [True, True, True, False]


def test_masked_top_k_keeps_real_events_below_the_masked_score():
    scores = tf.constant([[[5.0, -1e12, 7.0]]])
    indices, kept = masking.masked_top_k(scores, tf.constant([[False, True, False]]), 1)
    assert indices.numpy().tolist() == [[[1]]]
    assert kept.numpy().all()


def test_ties_go_to_the_more_recent_event():
    scores = tf.constant([[[1.0, 2.0, 1.0, 2.0, 2.0]]])
    indices, _ = masking.masked_top_k(scores, tf.constant([[True, True, True, False, True]]), 4)
    assert indices.numpy()[0, 0].tolist() == [1, 4, 0, 2]


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 12), st.booleans())
def test_the_mask_of_the_best_is_of_those_that_are_kept_where_scores_tie_too(seed, length, k, per_candidate):
    rng = np.random.default_rng(seed)
    scores = tf.constant(rng.integers(-1, 2, (2, 3, length)), tf.float32)
    mask = tf.constant(rng.random((2, 3, length) if per_candidate else (2, length)) < 0.7)
    indices, kept = (value.numpy() for value in masking.masked_top_k(scores, mask, k))
    expected = np.zeros((2, 3, length), bool)
    for place in np.ndindex(indices.shape):
        expected[(*place[:2], indices[place])] |= kept[place]
    assert masking.best_mask(scores, mask, k).numpy().tolist() == expected.tolist()


def test_masked_top_k_is_clipped_to_an_unknown_length():
    @tf.function(input_signature=[tf.TensorSpec([None, None, None]), tf.TensorSpec([None, None], tf.bool)])
    def kept_shape(scores, mask):
        indices, kept = masking.masked_top_k(scores, mask, 5)
        return tf.shape(indices), tf.shape(kept)

    for length, expected in ((3, 3), (5, 5), (7, 5)):
        shapes = kept_shape(tf.zeros([2, 3, length]), tf.ones([2, length], tf.bool))
        assert [shape.numpy().tolist() for shape in shapes] == [[2, 3, expected]] * 2


@given(st.integers(0, 10**6), st.integers(1, 9), st.booleans())
def test_masked_top_k_matches_sorting(seed, k, per_candidate):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 3, (2, 3, 7)).astype(np.float32)  # few values: many ties
    mask = rng.random((2, 3, 7) if per_candidate else (2, 7)) < 0.5
    for ordered in (True, False):
        indices, kept = (tensor.numpy() for tensor in masking.masked_top_k(
            tf.constant(scores), tf.constant(mask), k, ordered))
        assert indices.dtype == np.int32 and indices.shape == kept.shape == (2, 3, min(k, 7))
        for b in range(2):
            for c in range(3):
                found = indices[b, c][kept[b, c]].tolist()
                expected = references.top_k(scores[b, c], mask[b, c] if per_candidate else mask[b], k)
                assert found == expected if ordered else sorted(found) == sorted(expected)


@given(st.integers(0, 10**6), st.integers(1, 60), st.sampled_from([1, 15, 16, 17, 97, 331]), st.booleans(),
       st.sampled_from(["ties", "normal", "the sample misses the best", "the sample holds the best"]))
def test_screening_changes_no_choice(seed, k, length, ordered, law):
    rng = np.random.default_rng(seed)
    shape = (2, 3, length)
    scores = (rng.integers(-3, 3, shape) if law == "ties" else rng.normal(size=shape)).astype(np.float32)
    if law.startswith("the sample"):
        sampled = np.arange(length) % masking.SCREEN_STRIDE == 0
        scores += np.where(sampled, -9, 9) if law.endswith("misses the best") else np.where(sampled, 9, -9)
    mask = rng.random((2, length)) < rng.choice([0.1, 0.9])
    mask[1] &= rng.random() < 0.7
    graph = tf.function(lambda scores, mask: masking.screened_top_k(scores, mask, k, ordered), input_signature=[
        tf.TensorSpec([None, None, None]), tf.TensorSpec([None, None], tf.bool)])
    (found, kept), (expected, real) = graph(scores, mask), masking.masked_top_k(scores, mask, k)
    np.testing.assert_array_equal(np.sum(kept, -1), np.sum(real, -1))
    chosen, wanted = (np.where(where, indices, length) for indices, where in ((found, kept), (expected, real)))
    np.testing.assert_array_equal(*((chosen, wanted) if ordered else (np.sort(chosen), np.sort(wanted))))


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16, tf.float16])
def test_masked_softmax_is_float32_and_zero_where_masked(dtype):
    logits = tf.cast(tf.constant([[100.0, -4.0, 2.0], [1.0, 2.0, 3.0]]), dtype)
    mask = tf.constant([[False, True, True], [False, False, False]])
    scores = masking.masked_softmax(logits, mask)
    assert scores.dtype == tf.float32
    expected = [references.softmax(row, valid) for row, valid in zip(tf.cast(logits, tf.float32).numpy(), mask.numpy(),
                                                                     strict=True)]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_masked_softmax_of_an_empty_row_has_zero_gradient():
    logits = tf.constant([[1.0, 2.0], [3.0, -4.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_sum(masking.masked_softmax(logits, tf.constant([[True, True], [False, False]])) * [1.0, 5.0])
    gradient = tape.gradient(total, logits).numpy()
    assert np.isfinite(gradient).all() and (gradient[1] == 0).all() and (gradient[0] != 0).all()


def test_mask_scores_blocks_gradients():
    scores = tf.constant([[[1.0, 2.0]]])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        masked = masking.mask_scores(scores, tf.constant([[[True, False]]]))
        total = tf.reduce_sum(masked)
    assert masked.numpy().tolist() == [[[1.0, masking.MASKED_SCORE]]]
    assert tape.gradient(total, scores).numpy().tolist() == [[[1.0, 0.0]]]


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"k must be at least 1, got 0"):
        masking.masked_top_k(tf.zeros([1, 1, 3]), tf.ones([1, 3], tf.bool), 0)
    with pytest.raises(ValueError, match=r"mask must be .*got shape \(3,\)"):
        masking.expand_mask(tf.ones([3], tf.bool))
