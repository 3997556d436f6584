"""What each kind of part offers the model that composes it, and what it is given.

A part is a module `lcn_tf/<kind>/<name>.py` with `VERSION`, a frozen dataclass `Config` and `build(config)`, which
returns what its kind's protocol here describes; a head is also given the schema's labels, a table its `TableSpec`. Some
offers are optional: a lifelong model that chooses events also `Explains`, one with a loss of its own is also an
`OwnLoss`. Whoever wants to know asks `isinstance(part, Explains)`. What a layer adds by `add_loss` joins the loss.

    class Mean(tf.keras.layers.Layer):  # a LongTerm: the mean of the visible events
        def call(self, candidate, history, training=False):
            weights = tf.cast(history.mask, history.items.dtype)  # [B, C, L]
            return tf.math.divide_no_nan(weights @ history.items, tf.reduce_sum(weights, -1, keepdims=True))

Shape letters: B requests, C candidates, L events, K chosen events, H heads, D item width, D_c context width, W width of
an interest, F width of a candidate's features, U width of the tower's last layer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

from lcn_tf.schema import FeatureSchema

SearchTables = Literal["model", "objective", "own", "pretrained"]


class History(Protocol):
    """One history of a batch, embedded, as the candidates see it (`lcn_tf.embeddings.EmbeddedHistory`).

    Attributes:
      items: item embeddings `[B, L, D]`, most recent first; positions outside the mask hold arbitrary values.
      mask: bool `[B, C, L]`, True where the candidate may see the event.
      search: None, or candidates `[B, C, D]` and events `[B, L, D]` from separate search tables, without gradient.
    """

    @property
    def items(self) -> tf.Tensor: ...  # noqa: D102
    @property
    def mask(self) -> tf.Tensor: ...  # noqa: D102
    @property
    def search(self) -> tuple[tf.Tensor, tf.Tensor] | None: ...  # noqa: D102

    @property
    def views(self) -> tf.Tensor:
        """`mask`, or `[B, 1, L]` where all candidates of each request see the same events."""

    @property
    def vectors(self) -> Any:
        """Items `[B, L, D]` in a form of `lcn_tf.ops.event_forms`, for an attention."""

    @property
    def context(self) -> Any | None:
        """Context `[B, L, D_c]` or `[B, C, L, D_c]` in such a form; None if the schema has no context."""

    @property
    def context_widths(self) -> Mapping[str, int]:
        """Width of each context field by name."""

    @property
    def context_width(self) -> int:
        """D_c; 0 if the schema has no context."""

    def select(self, indices: tf.Tensor, context: bool = True) -> Any:
        """Items and context `[B, C, K, D + D_c]` of the events at `indices` `[B, C, K]`."""

    def context_at(self, indices: tf.Tensor) -> Any | None:
        """Context of the events at `indices`."""

    def events(self) -> tf.Tensor:
        """Items and context of every event for every candidate, `[B, C, L, D + D_c]` (large)."""

    def shares(self, field: str | None = None) -> tf.Tensor:
        """Bool `[B, C, L]`: which events have the candidate's value of an item field."""

    def event_ids(self) -> tf.Tensor:
        """What identifies each event, int64 `[B, L, fields + 1]`."""

    def negatives(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Items `[B, n, D]` to contrast the newest n events with, and their mask."""

    def trained_search(self) -> tuple[tf.Tensor, tf.Tensor]:
        """`search` with the gradient that it stops."""


class ShortTerm(Protocol):
    """Encoder of a short history."""

    def __call__(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, W]`; zeros, or the same for every one, for an empty history."""


class LongTerm(Protocol):
    """Model of the lifelong history.

    Attributes:
      name: first word of its loss terms' names.
    """

    name: str

    def __call__(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, W]`."""


@runtime_checkable
class Explains(Protocol):
    """A lifelong model that chooses events for a later stage."""

    def explain(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Events attended to, best first, `[B, C, K]`: `<stage>_indices`, -1 in empty slots, and `<stage>_scores`.

        The stages are `esu` of a model that searches once, `msa` and `fsa` of a pyramid.
        """

    def stage_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores over the whole history, float32 `[B, C, L]`: `gsu`, the search, and `final`, the last stage."""


@runtime_checkable
class SearchesByHead(Protocol):
    """A lifelong model whose search gives every head of its attention a list of its own.

    Attributes:
      top_k: events that the merged list keeps.
    """

    top_k: int

    def head_scores(self, candidate: tf.Tensor, history: History) -> dict[str, tf.Tensor]:
        """Scores of every head, `gsu` and `final`, float32 `[B, C, H, L]`."""


@runtime_checkable
class SearchesTables(Protocol):
    """A lifelong model whose search can read item tables apart from the model's.

    Attributes:
      search_tables: which: `model`, none but the model's; `objective`, those that an objective trains, where one does;
        `own`, those that its own loss trains; `pretrained`, those of an earlier run, frozen.
      pretrained: the checkpoints of that run, or None.
    """

    search_tables: SearchTables
    pretrained: str | None


@dataclasses.dataclass(frozen=True)
class TrainingInputs:
    """What a loss of a part's own may read beside candidates and history.

    Attributes:
      features: all that the tower reads but the lifelong interest, `[B, C, F]`.
      label: float32 `[B, C]`.
      candidate_mask: bool `[B, C]`.
    """

    features: tf.Tensor
    label: tf.Tensor
    candidate_mask: tf.Tensor


@runtime_checkable
class OwnLoss(Protocol):
    """A lifelong model that learns from a loss of its own, in training only.

    Attributes:
      own_terms: names of the terms; () where the configuration has none.
      contrasted_events: how many of a candidate's newest visible events have negatives; None for all, 0 for none.
    """

    own_terms: tuple[str, ...]
    contrasted_events: int | None

    def interest_and_losses(self, candidate: tf.Tensor, history: History, inputs: TrainingInputs, training: bool = True
                            ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The interest of a call, and each term's loss of every candidate, `[B, C]` or `[B, 1]`, weight applied.

        The model takes the mean over the real candidates of the global batch.
        """


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


@runtime_checkable
class AfterUpdate(Protocol):
    """An objective that changes state of its own after each step: a queue, a slowly moving copy of weights."""

    def after_update(self, own: LookedUp, everyone: Everyone, seed: tf.Tensor) -> None:
        """Is called once the optimiser has stepped; the rows are those of before.

        Every replica must assign the same values, to variables of `tf.VariableAggregation.ONLY_FIRST_REPLICA`.
        """


class TowerInputs(NamedTuple):
    """What a tower may read of a batch's candidates.

    Attributes:
      user: features of the user by name, `[B, C, width]`.
      candidate: item embeddings, `[B, C, D]`.
      side: features of candidate and request by name, `[B, C, width]`.
      interests: history name -> what its encoder or the lifelong model made of it, `[B, C, width]`, the lifelong last.
      scenario: int64 `[B, C]`, or None.
    """

    user: dict[str, tf.Tensor]
    candidate: tf.Tensor
    side: dict[str, tf.Tensor]
    interests: dict[str, tf.Tensor]
    scenario: tf.Tensor | None

    @property
    def concatenated(self) -> tf.Tensor:
        """All of it but the scenario, `[B, C, F + W]`."""
        return tf.concat([*self.user.values(), self.candidate, *self.side.values(), *self.interests.values()], -1)


class Tower(Protocol):
    """Network over all features and interests of a candidate."""

    def __call__(self, inputs: Any, mask: tf.Tensor, training: bool = False) -> Any:
        """`[B, C, F + W]` and `candidate_mask` -> hidden vectors `[B, C, U]`.

        One that `ReadsFields` is given `TowerInputs`. A tower of several tasks returns label -> hidden vectors.
        """


@runtime_checkable
class ReadsFields(Protocol):
    """A tower that is given `TowerInputs` instead of their concatenation, where `reads_fields` is true."""

    reads_fields: bool


class Head(Protocol):
    """From hidden vectors to logits, and what they are trained by.

    Attributes:
      labels: names of those it predicts; candidates are ranked by the first.
      terms: name of each of its losses -> its factor in the model's loss.
    """

    labels: tuple[str, ...]
    terms: Mapping[str, float]

    def __call__(self, hidden: Any) -> dict[str, tf.Tensor]:
        """What the tower returns -> label -> logit `[B, C]` float32; of a label that is given another, given that."""

    def counted(self, labels: Mapping[str, tf.Tensor], mask: tf.Tensor) -> dict[str, tf.Tensor]:
        """Term -> which candidates it is the mean over, bool or weights `[B, C]`."""

    def targets(self, logits: Mapping[str, tf.Tensor], labels: Mapping[str, tf.Tensor]
                ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Term -> label and logit, `[B, C]` each, whose cross-entropy it is."""


class TableSpec(NamedTuple):
    """Which table to build.

    Attributes:
      name: of the table.
      rows: how many ids it has.
      width: of its vectors.
      initializer: of what is trained.
      vectors: frozen content vectors of its ids, `[rows, any width]`, where the schema names a file of them.
    """

    name: str
    rows: int
    width: int
    initializer: tf.keras.initializers.Initializer
    vectors: np.ndarray | None = None


class Table(Protocol):
    """Vectors by id; a Keras layer. Each step looks its distinct ids up once."""

    def rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Ids `[...]` (integer) -> vectors `[..., width]` float32; what is differentiated where it has weights."""


@runtime_checkable
class OwnUpdate(Protocol):
    """A table whose vectors no optimiser trains: it takes the gradient of the rows that a step read."""

    def apply_gradient(self, ids: tf.Tensor, gradient: tf.Tensor) -> None:
        """Changes its state, once in each step, after the optimiser.

        Args:
          ids: int64 `[U]`, distinct ones of the global batch, the same on every replica; see `AfterUpdate` for state.
          gradient: of the loss by their vectors, float32 `[U, width]`.
        """
