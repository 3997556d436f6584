"""CL4CTR's objective against loops over rows, fields and pairs."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.pipeline import flat_rows
from lcn_tf.embeddings import EmbeddingConfig, FeatureEmbedder
from lcn_tf.objectives import cl4ctr
from tests import references_objectives
from tests.objectives.batches import LENGTHS, SCHEMA, SEED, alone, built, looked_up, sums

USER, ITEM = SCHEMA.user, (*SCHEMA.item, *SCHEMA.candidate)


def fields_of(batch):
    """`[N, F, d]` of the real candidates, row by row."""
    rows = []
    for request, place in np.argwhere(batch.mask.numpy()):
        vectors = [batch.user[feature.name][request] for feature in USER]
        vectors += [batch.reader.vectors(feature.table, feature.name)[request, place] for feature in ITEM]
        rows.append(np.stack([np.asarray(vector, np.float64) for vector in vectors]))
    return np.stack(rows)


def test_alignment_and_uniformity_equal_loops_over_pairs():
    embedder, objective = built(cl4ctr, field_weight=0.5, contrast_weight=0.0)
    fields, found = fields_of(looked_up(embedder)), sums(embedder, objective)
    alignment = references_objectives.field_alignment(fields)
    uniformity = references_objectives.field_uniformity(fields)
    assert set(found) == {"alignment", "uniformity"} and len(fields) > 15
    np.testing.assert_allclose(found["alignment"], (0.5 * len(fields) * alignment, len(fields)), rtol=2e-5)
    np.testing.assert_allclose(found["uniformity"], (0.5 * len(fields) * uniformity, len(fields)), rtol=2e-5)


def test_copies_equal_the_encoder_row_by_row():
    """Without masks and dropout both copies differ by their projectors alone."""
    embedder, objective = built(cl4ctr, field_weight=0.0, mask_rate=0.0, dropout=0.0, contrast_weight=0.3)
    weights = {}
    for number, block in enumerate(objective.blocks):
        for layer in ("query", "key", "value", "attention_output", "ffn_hidden", "ffn_output"):
            weights[f"block_{number}_{layer}_kernel"], weights[f"block_{number}_{layer}_bias"] = (
                weight.numpy().astype(float) for weight in getattr(block, layer).weights)
        for layer in ("attention_norm", "ffn_norm"):
            weights[f"block_{number}_{layer}_gamma"], weights[f"block_{number}_{layer}_beta"] = (
                weight.numpy().astype(float) for weight in getattr(block, layer).weights)
    first, second = (projector.kernel.numpy().astype(float) for projector in objective.projectors)
    fields, total = fields_of(looked_up(embedder)), 0.0
    for row in fields:
        flat = references_objectives.encode_blocks(row, np.ones(len(row), bool), weights, 3, 1).reshape(-1)
        total += np.square(flat @ first - flat @ second).sum()
    np.testing.assert_allclose(sums(embedder, objective)["contrast"], (0.3 * total, len(fields)), rtol=1e-4)


@pytest.mark.parametrize("mask", ["element", "feature", "dimension"])
def test_masks(mask):
    _, objective = built(cl4ctr, mask=mask)
    fields = tf.ones([500, len(objective.fields), objective.width])
    masked = objective._masked(fields, tf.range(500, dtype=tf.int64) * 7919).numpy()
    assert set(np.unique(masked)) == {0.0, 2.0} and abs(masked.mean() - 1.0) < 0.2
    same = {"feature": masked == masked[:, :, :1], "dimension": masked == masked[:, :1]}
    assert mask == "element" or same[mask].all()
    assert all(not equal.all() for other, equal in same.items() if other != mask)


def test_layouts_mask_and_drop_the_same():
    embedder, objective = built(cl4ctr)
    grouped, flat = sums(embedder, objective), sums(embedder, objective, flat_rows)
    for term, values in grouped.items():
        np.testing.assert_allclose(flat[term], values, rtol=1e-5)
    assert sums(*built(cl4ctr, mask_rate=0.3))["contrast"] != pytest.approx(grouped["contrast"], rel=1e-3)


def test_fields_of_other_widths_are_projected_and_one_row_is_enough():
    tf.keras.utils.set_random_seed(2)
    embedder = FeatureEmbedder(SCHEMA, LENGTHS, EmbeddingConfig(embedding_dim=4, dims=("category:3",)))
    objective = cl4ctr.build(cl4ctr.Config())
    objective.build_weights(embedder)
    batch = looked_up(embedder)
    assert list(objective.projections) == ["category"]
    one = batch.part(tf.constant(0), tf.constant(1))
    one.reader.batch["candidate_mask"] = tf.constant([[True] + [False] * (one.mask.shape[1] - 1)])
    found = objective(one, alone(objective, one), SEED)
    assert float(found["alignment"][0]) == 0.0 and all(np.isfinite(float(total)) for total, _ in found.values())


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"contrast_weight": float("nan")}, {"mask_rate": 1.0},
                                     {"dropout": -0.1}], ids=str)
def test_impossible_options(options):
    with pytest.raises(ValueError, match=f"cl4ctr.{next(iter(options))} must"):
        cl4ctr.Config(**options)
