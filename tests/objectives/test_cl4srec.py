"""CL4SRec's objective against a loop over rows and views."""

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data.pipeline import flat_rows
from lcn_tf.embeddings.sequence_rows import items_of, sequence_rows
from lcn_tf.objectives import cl4srec
from lcn_tf.ops.pair_sampling import fold_seed
from lcn_tf.ops.sequence_views import draw_operators, draw_view
from tests import references
from tests.objectives.batches import SEED, built, looked_up, sums


@pytest.mark.parametrize("options", [
    {}, {"similarity": "cosine", "temperature": 0.2}, {"operators": "independent", "crop": 0.3, "mask": 0.8},
    {"history": "both_separately"}, {"history": "source", "reorder": 1.0}], ids=str)
def test_equals_a_loop_over_rows(options):
    embedder, objective = built(cl4srec, **options)
    batch, config = looked_up(embedder), objective.config
    rows = sequence_rows(batch, config.history)
    total = count = 0.0
    for number, sequence in enumerate(rows.sequences):
        ids = tf.pad(rows.row_ids, [[0, 0], [0, 1]], constant_values=number)
        items, kept = items_of(batch, sequence), [int(real.sum()) > 1 for real in sequence.mask.numpy()]
        views = []
        for place, operator in enumerate(draw_operators(ids, fold_seed(SEED, 0), config.operators == "distinct"), 1):
            view = draw_view(sequence.mask, operator, ids, fold_seed(SEED, place), config.crop, config.mask,
                             config.reorder)
            encoded = []
            for row in range(len(kept)):
                order = view.places[row].numpy()
                states = objective.encoder(
                    items.numpy()[row, order][np.newaxis], mask=view.mask[row:row + 1],
                    hidden=view.hidden[row:row + 1], domain=sequence.domain.numpy()[row, order][np.newaxis])
                state = np.asarray(states[0, 0], np.float64)
                encoded.append(state / np.linalg.norm(state) if config.similarity == "cosine" and kept[row] else state)
            views.append(encoded)
        users, weights = rows.user.numpy(), rows.weight.numpy().astype(float)
        for row in np.flatnonzero(kept):
            for own, partner in (views, views[::-1]):
                logits, factors = [own[row] @ partner[row]], [1.0]
                for other in np.flatnonzero(kept):
                    if users[other] != users[row]:
                        logits += [own[row] @ view[other] for view in views]
                        factors += [weights[other]] * 2
                scaled = np.array(logits) / config.temperature + np.log(factors)
                total += weights[row] / 2 * (references.log_sum_exp(scaled) - scaled[0])
            count += weights[row]
    assert count > 9
    np.testing.assert_allclose(sums(embedder, objective)["views"], (total, count), rtol=2e-5)


def test_layouts_alter_and_drop_the_same():
    embedder, objective = built(cl4srec, dropout=0.3)
    dropped = sums(embedder, objective)["views"]
    np.testing.assert_allclose(sums(embedder, objective, flat_rows)["views"], dropped, rtol=1e-5)
    assert sums(*built(cl4srec))["views"][0] != pytest.approx(dropped[0], rel=1e-3)


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"crop": 0.0}, {"mask": 1.5}, {"reorder": float("nan")},
                                     {"temperature": 0.0}], ids=str)
def test_impossible_options(options):
    with pytest.raises(ValueError, match=f"cl4srec.{next(iter(options))} must"):
        cl4srec.Config(**options)
