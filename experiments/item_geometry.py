"""How items lie in an embedding table, by domain and category, and whether what users join across domains is close.

A picture of t-SNE is no measure: neighbours of the same category, silhouettes and the AUC of pairs are. An item's
vector is that of its id alone, the item feature with the most rows: a category's own vector in it would say what it is.
Shapes: N items, D width, P pairs.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

from lcn_tf.data.catalogue import Catalogue
from lcn_tf.data.record_chunks import read_chunks
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.metrics import exact_auc
from lcn_tf.schema import FIRST_ID, FeatureSchema

_CATEGORIES, _ITEMS = 20, 100  # of a domain, and of a category
_NEIGHBOURS = 10
_COMPONENTS, _PERPLEXITY, _SEED = 50, 30, 0
_PAIRS = 20_000  # held-out ones that are looked at


@dataclasses.dataclass(frozen=True, eq=False)
class Items:
    """Items of the most frequent categories of each domain.

    Attributes:
      id: int64 `[N]`, of the item feature with the most rows.
      category: int64 `[N]`, of the one with the fewest.
      domain: int64 `[N]`, place of the domain in `FeatureSchema.domains`.
    """

    id: np.ndarray
    category: np.ndarray
    domain: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """Items of the two domains: of one user on the test days, or of any two.

    Attributes:
      target, source: ids, int64 `[P]`.
      joined: int64 `[P]`, 1 where the user who clicked the target item had the source event before, 0 where the event
        is anybody's.
    """

    target: np.ndarray
    source: np.ndarray
    joined: np.ndarray


def identity_and_category(schema: FeatureSchema) -> tuple[str, str]:
    """Item features whose tables have the most and the fewest rows.

    Raises:
      ValueError: items have a single feature.
    """
    if len(schema.item) < 2:
        raise ValueError(f"items of {schema.name} have no feature beside {schema.item[0].name!r} to tell categories by")
    by_rows = sorted(schema.item, key=lambda feature: schema.tables[feature.table])
    return by_rows[-1].name, by_rows[0].name


def frequent_items(catalogue: Catalogue, schema: FeatureSchema) -> Items:
    """In each domain the 20 most frequent categories of two items or more, and the 100 most frequent items of each.

    What is as frequent is in the order of its ids. An item with several categories has that of the smallest id.
    """
    identity, category = (catalogue.ids[name] for name in identity_and_category(schema))
    found = []
    for domain in range(len(schema.domains)):
        chosen = (catalogue.domain == domain) & (identity >= FIRST_ID) & (category >= FIRST_ID)
        items: dict[int, tuple[int, int]] = {}  # id -> its category and count
        for number, value, count in sorted(zip(identity[chosen], category[chosen], catalogue.count[chosen],
                                               strict=True)):
            of_item = items.get(number, (value, 0))
            items[number] = of_item[0], of_item[1] + count
        of_category: dict[int, list[tuple[int, int]]] = {}  # category -> less its count, id of each item
        for number, (value, count) in items.items():
            of_category.setdefault(value, []).append((-count, number))
        ranked = sorted((sum(count for count, _ in of_value), value) for value, of_value in of_category.items()
                        if len(of_value) > 1)
        found += [(number, value, domain) for _, value in ranked[:_CATEGORIES]
                  for _, number in sorted(of_category[value])[:_ITEMS]]
    ids, categories, domains = np.array(found, np.int64).reshape(-1, 3).T
    return Items(ids, categories, domains)


def held_out_pairs(files: RecordFiles) -> Pairs:
    """Clicked items of the test split with what their users' short source histories held, and with others' events.

    Each pair has a counterpart: the same clicked item with an event that is drawn from those of all pairs.
    """
    schema = files.schema
    name, _ = identity_and_category(schema)
    history = next(key for key in schema.short if schema.histories[key].domain == schema.source)
    length, found = schema.histories[history].length, []
    for path in files.paths_of("test"):
        for chunk in read_chunks(schema, path):
            lists = [chunk[key] for key in (name, schema.label_keys[0], f"{history}_offset", f"{history}_{name}")]
            for record in range(len(lists[0].lengths)):
                items, labels, offsets, events = (values.of(record) for values in lists)
                found += [(item, event) for item, label, offset in zip(items, labels, offsets, strict=True) if label
                          for event in events[offset:offset + length] if min(item, event) >= FIRST_ID]
    pairs = np.array(found, np.int64).reshape(-1, 2)
    rng = np.random.default_rng(_SEED)
    if len(pairs) > _PAIRS:
        pairs = pairs[np.sort(rng.choice(len(pairs), _PAIRS, replace=False))]
    targets, sources = pairs.T
    others = rng.permutation(sources)
    return Pairs(np.tile(targets, 2), np.concatenate([sources, others]), np.repeat([1, 0], len(pairs)))


def neighbour_purity(vectors: np.ndarray, category: np.ndarray) -> float:
    """How many of each item's 10 nearest items, by cosine, are of its category, over how many can be; mean over items.

    A category of fewer than 11 items has fewer than 10 others. NaN with fewer than 11 items in all.
    """
    if len(vectors) <= _NEIGHBOURS:
        return math.nan
    nearest = NearestNeighbors(n_neighbors=_NEIGHBOURS + 1, metric="cosine").fit(vectors)
    places = nearest.kneighbors(vectors, return_distance=False)
    others = [[place for place in row if place != number][:_NEIGHBOURS] for number, row in enumerate(places)]
    found = np.sum(category[np.array(others)] == category[:, np.newaxis], axis=1)
    _, place, size = np.unique(category, return_inverse=True, return_counts=True)
    return float(np.mean(found / np.clip(size[place] - 1, 1, _NEIGHBOURS)))


def silhouette(vectors: np.ndarray, category: np.ndarray) -> float:
    """Mean silhouette of the items by category, of cosine distances; NaN with fewer than two categories."""
    if not 1 < len(np.unique(category)) < len(category):
        return math.nan
    return float(silhouette_score(vectors, category, metric="cosine"))


def pair_auc(pairs: Pairs, target: np.ndarray, source: np.ndarray) -> float:
    """AUC by which cosines tell joined pairs from others; vectors are `[P, D]`. NaN without a pair."""
    if not len(pairs.joined):
        return math.nan
    cosines = np.sum(_units(target) * _units(source), axis=1)
    return exact_auc(pairs.joined, cosines)


def plane(vectors: np.ndarray) -> np.ndarray:
    """Coordinates `[N, 2]` float32 by t-SNE of the unit vectors' first 50 principal components; the seed is fixed."""
    components = min(_COMPONENTS, *vectors.shape)
    reduced = PCA(components, svd_solver="full").fit_transform(_units(vectors))
    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=_SEED, n_jobs=1).fit_transform(reduced)


def _units(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(vectors.dtype).tiny)
