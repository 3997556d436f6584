"""Measures of an embedding table against plain loops, and which items and pairs they are of."""

import math

import numpy as np
import pytest

from experiments import item_geometry
from lcn_tf.data.catalogue import Catalogue
from lcn_tf.data.record_files import RecordFiles
from tests import synthetic

RNG = np.random.default_rng(7)
VECTORS, CATEGORY = RNG.normal(size=(40, 6)).astype(np.float32), np.sort(RNG.integers(3, size=40))
CATEGORY[:4] = 3  # too few for ten neighbours
VECTORS += 2 * np.eye(6, dtype=np.float32)[CATEGORY]


def cosine(one, other):
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_purity_and_silhouette_equal_loops():
    shares, widths = [], []
    for i, vector in enumerate(VECTORS):
        others = sorted((j for j in range(40) if j != i), key=lambda j: -cosine(vector, VECTORS[j]))
        shares.append(sum(CATEGORY[j] == CATEGORY[i] for j in others[:10]) / (3 if CATEGORY[i] == 3 else 10))
        mean = [np.mean([1 - cosine(vector, VECTORS[j]) for j in others if CATEGORY[j] == c]) for c in range(4)]
        own, other = mean[CATEGORY[i]], min(mean[c] for c in range(4) if c != CATEGORY[i])
        widths.append((other - own) / max(own, other))
    assert item_geometry.neighbour_purity(VECTORS, CATEGORY) == pytest.approx(np.mean(shares))
    assert item_geometry.silhouette(VECTORS, CATEGORY) == pytest.approx(np.mean(widths), abs=1e-5)


def test_what_cannot_be_measured_is_undefined():
    none = item_geometry.Pairs(*np.zeros((3, 0), np.int64))
    assert math.isnan(item_geometry.neighbour_purity(VECTORS[:10], CATEGORY[:10]))
    assert math.isnan(item_geometry.silhouette(VECTORS, np.zeros(40)))
    assert math.isnan(item_geometry.pair_auc(none, VECTORS[:0], VECTORS[:0]))


def test_the_plane_is_the_same_every_time_and_scale_does_not_matter():
    first = item_geometry.plane(VECTORS)
    assert first.shape == (40, 2) and np.isfinite(first).all()
    np.testing.assert_array_equal(item_geometry.plane(VECTORS), first)
    np.testing.assert_allclose(item_geometry.plane(4 * VECTORS), first, rtol=1e-3, atol=1e-3)


def test_frequent_items_of_each_domain():
    """Categories 2, 3 ... are ever rarer in the target domain and ever more frequent in the source domain."""
    rows = [(domain, item, category, 10 * (100 - category if domain == 0 else category) + item % 7)
            for domain in (0, 1) for category in range(2, 30)
            for item in range(300 * category + domain, 300 * category + (250 if category == 9 else 4), 2)]
    rows += [(0, 1, 2, 10**6), (0, 9_000, 1, 10**6), (0, 60, 31, 10**6)]  # ids without a name, a category of one item
    domain, item, category, count = np.array(rows).T
    schema = synthetic.make_schema()
    catalogue = Catalogue({"item_id": item, "category": category}, domain, count)
    found = item_geometry.frequent_items(catalogue, schema)
    assert set(found.category[found.domain == 0]) == set(range(2, 22))
    assert set(found.category[found.domain == 1]) == {*range(11, 30), 9}  # of many items
    assert 1 not in found.id and np.sum((found.category == 2) & (found.domain == 0)) == 2
    of_nine = [(-(number % 7), number) for number in range(2_701, 2_950, 2)]
    assert found.id[(found.category == 9) & (found.domain == 1)].tolist() == [
        number for _, number in sorted(of_nine)[:100]]


def test_an_item_of_several_categories_is_there_once():
    ids, categories = np.array([5, 5, 6]), np.array([4, 3, 3])
    found = item_geometry.frequent_items(Catalogue({"item_id": ids, "category": categories}, np.zeros(3, int),
                                                   np.array([2, 1, 2])), synthetic.make_schema())
    assert found.id.tolist() == [5, 6] and found.category.tolist() == [3, 3]


def test_pairs_are_those_of_clicks_and_what_was_seen_before(tmp_path):
    groups = synthetic.write_records(tmp_path, offsets=True)["test"]
    schema = RecordFiles.open(str(tmp_path)).schema
    expected = sorted((item, event) for group in groups
                      for item, label, offset in zip(group["item_id"], group["label"], group["short_source_offset"],
                                                     strict=True)
                      for event in group["short_source_item_id"][offset:offset + schema.lengths["short_source"]]
                      if label and item > 1 and event > 1)
    pairs = item_geometry.held_out_pairs(RecordFiles.open(str(tmp_path)))
    joined = pairs.joined == 1
    assert sorted(zip(pairs.target[joined], pairs.source[joined], strict=True)) == expected and len(expected) > 30
    assert pairs.target[~joined].tolist() == pairs.target[joined].tolist()
    assert sorted(pairs.source[~joined]) == sorted(pairs.source[joined])
    table = np.eye(61, dtype=np.float32)  # an item is near itself alone
    same = (pairs.target == pairs.source).astype(float)
    share = item_geometry.pair_auc(pairs, table[pairs.target], table[pairs.source])
    assert share == pytest.approx(0.5 + (same[joined].mean() - same[~joined].mean()) / 2)
