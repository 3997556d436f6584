"""What auxiliary losses offer, and are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

from lcn_tf.contracts.histories import History
from lcn_tf.schema import FeatureSchema


class LookedUp(Protocol):
    """One batch, each of its tables looked up once (`lcn_tf.embeddings.LookedUp`).

    Attributes:
      batch: tensors by name, as in the table of `lcn_tf.schema`.
      reader: vectors of ids by the names of their tensors (`lcn_tf.embeddings.row_reader.RowReader`).
      lengths: history name -> number of events a candidate sees.
    """

    @property
    def batch(self) -> Mapping[str, tf.Tensor]: ...  # noqa: D102
    @property
    def reader(self) -> Any: ...  # noqa: D102
    @property
    def lengths(self) -> Mapping[str, int]: ...  # noqa: D102

    @property
    def candidate(self) -> tf.Tensor:
        """Item embeddings of the candidates, `[B, C, D]`."""

    def history(self, name: str) -> History:
        """A history as the candidates see it."""

    def visible(self, history: str) -> tf.Tensor:
        """Which events of a history each candidate may see, bool `[B, C, L]`."""

    @property
    def labels(self) -> Mapping[str, tf.Tensor]:
        """Labels by name, float32 `[B, C]`."""

    @property
    def mask(self) -> tf.Tensor:
        """Which candidates are real, bool `[B, C]`."""

    @property
    def scenario(self) -> tf.Tensor | None:
        """Scenario of each impression, int64 `[B, C]`, or None."""


class Everyone(NamedTuple):
    """The batch of all replicas, as far as objectives read it.

    Attributes:
      looked_up: the tensors that `Objective.reads` names, in the order of the global batch.
      begin: int32 scalar, requests of the replicas before this one: where its own begin.
      own_rows: what `ComparesRows.own_rows` returned on this replica.
      rows: the same of all replicas, one after the other.
    """

    looked_up: LookedUp
    begin: tf.Tensor
    own_rows: Mapping[str, tf.Tensor] = {}
    rows: Mapping[str, tf.Tensor] = {}


class Objective(Protocol):
    """An auxiliary loss, in training only.

    Its variables are its state, in checkpoints and never in exports. Anchors are a replica's own rows, negatives may be
    everyone's; sums and counts are added up, so that the value does not depend on the number of replicas.

    Attributes:
      weight: factor of all terms in the model's loss; 0 turns the objective off.
      terms: names of the values that a call returns.
      separate_tables: whether it trains search tables apart from the model's, for a lifelong model that reads them.
      per_replica: whether everyone is each replica by itself.
    """

    weight: float
    terms: tuple[str, ...]
    separate_tables: bool
    per_replica: bool

    def reads(self, schema: FeatureSchema) -> tuple[str, ...]:
        """Names of the batch tensors that a call reads of everyone.

        Raises:
          ValueError: the schema lacks what the objective needs.
        """

    def build_weights(self, embedder: Any) -> None:
        """Creates its weights, if it has any."""

    def __call__(self, own: LookedUp, everyone: Everyone, seed: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Term -> sum over the replica's own rows and how many count, float32 scalars; the loss is sum / count.

        `weight` is not applied. `seed`, int64 `[2]`, differs by objective and step and decides every draw.
        """


@runtime_checkable
class ComparesRows(Protocol):
    """An objective that compares what it computes of its rows with everyone's."""

    def own_rows(self, own: LookedUp, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the replicas exchange, `[N, ...]` float32 or integers, any N; `seed` as in the call that follows."""


@runtime_checkable
class ReadsItems(Protocol):
    """An objective that reads items beside the batch's; `own.reader.item_keys(ROWS_OF + its name)` finds them."""

    def rows_read(self, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Item feature -> row in its table, int64, alike in shape; `seed` as in a call."""


class Catalogue(Protocol):
    """Items, each once (`lcn_tf.data.catalogue.Catalogue`).

    Attributes:
      ids: item feature -> id of each item, int64 `[N]`.
      domain: place of each item's domain in `FeatureSchema.domains`, int64 `[N]`.
    """

    @property
    def ids(self) -> Mapping[str, np.ndarray]: ...  # noqa: D102
    @property
    def domain(self) -> np.ndarray: ...  # noqa: D102


@runtime_checkable
class ReadsCatalogue(Protocol):
    """An objective that draws from all items of the training days."""

    def use_catalogue(self, catalogue: Catalogue) -> None:
        """Is called before `build_weights`."""


@runtime_checkable
class AfterUpdate(Protocol):
    """An objective that changes state of its own after each step: a queue, a slowly moving copy of weights."""

    def after_update(self, own: LookedUp, everyone: Everyone, seed: tf.Tensor) -> None:
        """Is called once the optimiser has stepped; the rows are those of before.

        Every replica must assign the same values, to variables of `tf.VariableAggregation.ONLY_FIRST_REPLICA`.
        """
