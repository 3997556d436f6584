"""The items of a data set's training days, each once: what a loss draws from that needs items beside those of a batch.

Preparation writes `catalogue.npz` beside the records: int64 arrays `[N]`, `id of <feature>` for every item feature,
`domain`, the place of the item's domain in `FeatureSchema.domains`, and `count`, its impressions on the training
days and events before their end. No two items are alike in domain and all features.
"""

from __future__ import annotations

import dataclasses
import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from lcn_tf.schema import PADDING_ID, FeatureSchema

CATALOGUE = "catalogue.npz"
_DOMAIN, _COUNT, _ID = "domain", "count", "id of {}"


@dataclasses.dataclass(frozen=True, eq=False)
class Catalogue:
    """Items of all domains.

    Attributes:
      ids: item feature -> id of each item, int64 `[N]`.
      domain: place of each item's domain in `FeatureSchema.domains`, int64 `[N]`.
      count: impressions of each item on the training days and its events before their end, int64 `[N]`.
    """

    ids: Mapping[str, np.ndarray]
    domain: np.ndarray
    count: np.ndarray

    def write(self, folder: str) -> None:
        """Writes the file."""
        arrays: dict[str, Any] = {_DOMAIN: self.domain, _COUNT: self.count}
        arrays |= {_ID.format(name): ids for name, ids in self.ids.items()}
        np.savez_compressed(os.path.join(folder, CATALOGUE), **arrays)

    @classmethod
    def read(cls, folder: str, schema: FeatureSchema) -> Catalogue:
        """Reads the file's features that the schema has; items that these do not tell apart become one.

        Raises:
          FileNotFoundError: there is none, as in a folder that was prepared before there were catalogues.
          ValueError: no catalogue of the schema; the message names file, field and value.
        """
        path = os.path.join(folder, CATALOGUE)
        if not os.path.exists(path):
            raise FileNotFoundError(f"{path} is missing: this data set was prepared without a list of its items; "
                                    f"prepare it again, into another folder or once {folder} is removed")
        names = [_COUNT, _DOMAIN, *(_ID.format(feature.name) for feature in schema.item)]
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in names if name in arrays}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{path}: expected arrays of ids, as numpy.savez writes them: {error}") from error
        columns = [_checked(path, found, name) for name in names]
        sizes = {name: len(column) for name, column in zip(names, columns, strict=True)}
        if len(set(sizes.values())) > 1 or not columns[0].size:
            raise ValueError(f"{path}: expected arrays of one length, at least 1, got {sizes}")
        ends = [2**63 - 1, len(schema.domains), *(schema.tables[feature.table] for feature in schema.item)]
        for name, column, end in zip(names, columns, ends, strict=True):
            first = 0 if name == _DOMAIN else PADDING_ID + 1  # counts start at 1, too
            wrong = (column < first) | (column >= end)
            if wrong.any():
                place = int(np.argmax(wrong))
                raise ValueError(f"{path}: {name!r} of item {place} must be at least {first} and below {end}, got "
                                 f"{column[place]}")
        (domain, *ids), places = np.unique(np.stack(columns[1:]), axis=1, return_inverse=True)
        counts = np.zeros(len(domain), np.int64)
        np.add.at(counts, places.ravel(), columns[0])
        return cls({feature.name: column for feature, column in zip(schema.item, ids, strict=True)}, domain, counts)


def _checked(path: str, arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"{path}: nothing is called {name!r} in it: the file is of another schema")
    column = arrays[name]
    if column.ndim != 1 or not np.issubdtype(column.dtype, np.integer):
        raise ValueError(f"{path}: {name!r} must be integers [N], got {column.dtype} {list(column.shape)}")
    return column.astype(np.int64)
