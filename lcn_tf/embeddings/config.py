"""How ids become vectors: widths, initial values and penalties of the tables."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from typing import Literal

import tensorflow as tf

_INITIALIZERS = {
    "glorot_uniform": lambda width: tf.keras.initializers.GlorotUniform(),
    "uniform_0.05": lambda width: tf.keras.initializers.RandomUniform(-0.05, 0.05),
    "unit_normal": lambda width: tf.keras.initializers.RandomNormal(stddev=width**-0.5),
}


@dataclasses.dataclass(frozen=True)
class EmbeddingConfig:
    """How ids become vectors."""

    embedding_dim: int = dataclasses.field(
        default=64, metadata={"help": "width of every feature's embedding, unless embeddings.dims says otherwise"})
    initializer: Literal["glorot_uniform", "uniform_0.05", "unit_normal"] = dataclasses.field(
        default="glorot_uniform", metadata={"help": "initial tables: the paper's Xavier, uniform in +-0.05, or normal "
                                                    "with rows of norm 1 on average"})
    exclude: tuple[str, ...] = dataclasses.field(
        default=(), metadata={"help": "user, candidate and request features that the model does not read"})
    l2: float = dataclasses.field(
        default=0.0, metadata={"help": "L2 penalty on the rows that a batch reads: this times half the sum of their "
                                       "squares, each distinct row of the global batch once"})
    dims: tuple[str, ...] = dataclasses.field(
        default=(), metadata={"help": "widths of single tables, like author:32,category:8; an item is as wide as its "
                                      "features together"})
    per_domain: tuple[str, ...] = dataclasses.field(
        default=(), metadata={"help": "tables of item features that keep rows of their own for each domain, comma "
                                      "separated: the same brand bought and watched then has two embeddings; others "
                                      "are shared"})

    def __post_init__(self):
        if self.embedding_dim < 1:
            raise ValueError(f"embeddings.embedding_dim must be at least 1, got {self.embedding_dim}")
        if self.initializer not in _INITIALIZERS:
            raise ValueError(f"embeddings.initializer must be one of {', '.join(_INITIALIZERS)}, got "
                             f"{self.initializer!r}")
        if not 0 <= self.l2 < math.inf:
            raise ValueError(f"embeddings.l2 must be a number of at least 0, got {self.l2}")
        tables = [entry.rpartition(":")[0] for entry in self.dims]
        for entry, table in zip(self.dims, tables, strict=True):
            width = entry.rpartition(":")[2].strip()
            if not table or not width.isdecimal() or int(width) < 1 or tables.count(table) > 1:
                raise ValueError("embeddings.dims must give each table one width of at least 1, like author:32, got "
                                 f"{','.join(self.dims)!r}")

    def width(self, table: str) -> int:
        """Width of a table."""
        return {name: int(width) for name, _, width in (entry.rpartition(":") for entry in self.dims)
                }.get(table, self.embedding_dim)

    def initializer_of(self, table: str) -> tf.keras.initializers.Initializer:
        """Initial values of a table."""
        return _INITIALIZERS[self.initializer](self.width(table))

    def check(self, tables: Collection[str], item_tables: Collection[str]) -> None:
        """Compares the tables that are named with those of a schema and those of its item features.

        Raises:
          ValueError: one that is not known.
        """
        named = [entry.rpartition(":")[0] for entry in self.dims]
        for option, names, known in (("dims", named, tables), ("per_domain", self.per_domain, item_tables)):
            if unknown := sorted(set(names) - set(known)):
                raise ValueError(f"embeddings.{option} names {', '.join(unknown)}; known: {', '.join(sorted(known))}")
