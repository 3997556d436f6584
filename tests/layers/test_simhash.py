import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from lcn_tf.layers import HashPooling, SimHash, masked_top_k
from lcn_tf.layers.simhash import hamming_distances, signatures
from tests import references, references_baselines
from tests.layers.batches import TOLERANCE, assert_matches_reference, float64, gradients, random_batch

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "baselines.json").read_text())
ETA, SDIM, SHARED = GOLDEN["vectors"]["eta"], GOLDEN["vectors"]["sdim"], GOLDEN["fixture"]["shared"]
CANDIDATE, EVENTS = tf.constant([[SHARED["e_v"]]]), tf.constant([SHARED["E"]])


def hash_of(projection, num_bits):
    layer = SimHash(num_bits)
    layer(CANDIDATE)
    layer.projection.assign(np.array(projection, np.float32))
    return layer


def test_golden_hashes_and_distances():
    layer = hash_of(ETA["H"], 3)
    assert layer(CANDIDATE)[0, 0].numpy().tolist() == ETA["sign_target"]
    assert layer(EVENTS)[0].numpy().tolist() == ETA["sign_seq"]  # the second bit of event 3 projects to exactly 0
    distances = hamming_distances(layer(CANDIDATE), layer(EVENTS))
    assert distances[0, 0].numpy().tolist() == ETA["hamming"] == ETA["hamming_from_dot"]
    order = masked_top_k(-distances, tf.ones([1, 4], tf.bool), 4)[0][0, 0].numpy().tolist()
    assert order == GOLDEN["fixture"]["eta"]["rank_all_most_recent_first"]
    best = masked_top_k(-distances, tf.constant([SHARED["mask1110"]]), 2)[0][0, 0].numpy().tolist()
    assert best == ETA["top2_mask1110"]
    assert int(signatures(layer(CANDIDATE), 3)[0, 0, 0]) == ETA["bits_target_lsb_first"]
    assert signatures(layer(EVENTS), 3)[0, :, 0].numpy().tolist() == ETA["bits_seq"]


def pooling_of(projection, num_hashes, hash_bits):
    layer = HashPooling(num_hashes, hash_bits)
    layer(CANDIDATE, EVENTS, mask=tf.ones([1, 4], tf.bool))
    layer.simhash.projection.assign(np.array(projection, np.float32))
    return layer


def test_golden_collisions_and_interest():
    layer, mask = pooling_of(SDIM["H"], 2, 2), tf.constant([SHARED["mask1110"]])
    collisions = layer.collisions(CANDIDATE, EVENTS, mask)[0, 0].numpy()
    assert collisions.tolist() == [SDIM["collide_group0_mask1110"], SDIM["collide_group1_mask1110"]]
    np.testing.assert_allclose(layer(CANDIDATE, EVENTS, mask=mask)[0, 0], SDIM["sdim_out"], **TOLERANCE)
    alone = pooling_of(np.array(SDIM["H"])[:, 2:], 1, 2)
    assert alone(CANDIDATE, EVENTS, mask=mask)[0, 0].numpy().tolist() == SDIM["l2_group1_empty_is_zero"]


@pytest.mark.parametrize("hash_bits", [1, 2, 3])
def test_golden_collision_probability_and_its_frequency(hash_bits):
    golden = SDIM[f"collision_prob_tau{hash_bits}"]
    expected = [references_baselines.collision_probability(cosine, hash_bits) for cosine in SDIM["cos_to_target"]]
    np.testing.assert_allclose(expected, golden, **TOLERANCE)
    hashes = 4001
    layer = HashPooling(hashes, hash_bits, seed=3)
    found = tf.cast(layer.collisions(CANDIDATE, EVENTS, tf.ones([1, 4], tf.bool)), tf.float32)
    error = np.sqrt(np.multiply(golden, 1 - np.array(golden)) / hashes)
    assert np.all(np.abs(tf.reduce_mean(found, 2)[0, 0] - golden) < 4 * error)


def test_distances_have_the_expected_share_of_the_bits():
    layer = SimHash(4001, seed=5)
    share = hamming_distances(layer(CANDIDATE), layer(EVENTS))[0, 0] / 4001
    expected = 1 - np.array([references_baselines.collision_probability(cosine, 1) for cosine in SDIM["cos_to_target"]])
    assert np.all(np.abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / 4001))


@given(st.integers(0, 10**6), st.booleans(), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(1, 7))
def test_pooling_matches_the_loops(seed, per_candidate, num_hashes, hash_bits, candidates, length):
    batch = random_batch(seed, candidates=candidates, length=length, per_candidate=per_candidate)
    layer = HashPooling(num_hashes, hash_bits, seed=seed)
    mask = tf.constant(batch.mask)
    layer(batch.candidate, tf.constant(batch.history), mask=mask)

    def reference(candidate, history):
        return references.per_candidate(references_baselines.sdim, candidate, history, batch.mask,
                                        float64(layer.simhash.projection), hash_bits)

    assert_matches_reference(lambda candidate, history: layer(candidate, history, mask=mask), reference,
                             [batch.candidate, batch.history], seed)


def test_no_gradient_reaches_the_candidate():
    batch = random_batch(3)
    layer = HashPooling(5, 1)
    _, (candidate, history) = gradients(
        lambda *inputs: layer(*inputs, mask=tf.constant(batch.mask)), [batch.candidate, batch.history])
    assert not candidate.any() and history.any() and not layer.trainable_variables


def test_the_projection_is_a_saved_weight_that_follows_the_seed_alone():
    batch = random_batch(4)
    first, again, other = (SimHash(7, seed) for seed in (1, 1, 2))
    values = [layer(batch.history).numpy() for layer in (first, again, other)]
    assert (values[0] == values[1]).all() and (values[0] != values[2]).any()
    assert len(first.weights) == 1 and not first.trainable_variables
    np.testing.assert_array_equal(first.projection, again.projection)




@pytest.mark.parametrize("make, message", [
    (lambda: SimHash(0), "num_bits must be at least 1, got 0"),
    (lambda: HashPooling(0, 3), "num_hashes must be at least 1, got 0"),
    (lambda: HashPooling(2, 0), "hash_bits must be between 1 and 31, got 0"),
    (lambda: HashPooling(2, 32), "hash_bits must be between 1 and 31, got 32"),
])
def test_impossible_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
