"""What encoders and lifelong models of a history offer, and are given."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import tensorflow as tf

from lcn_tf.schema import FeatureSchema

SearchTables = Literal["model", "objective", "own", "pretrained"]


class History(Protocol):
    """One history of a batch, embedded, as the candidates see it (`lcn_tf.embeddings.EmbeddedHistory`).

    Attributes:
      items: item embeddings `[B, L, D]`, most recent first; positions outside the mask hold arbitrary values.
      mask: bool `[B, C, L]`, True where the candidate may see the event.
      search: None, or candidates `[B, C, D]` and events `[B, L, D]` from separate search tables, without gradient.
      longest: L at most, in batches of any size.
      common_mask: bool `[B, L]`, the mask of every candidate, where all of each request see the same events; None where
        that is not known.
    """

    @property
    def longest(self) -> int: ...  # noqa: D102
    @property
    def common_mask(self) -> tf.Tensor | None: ...  # noqa: D102
    @property
    def items(self) -> tf.Tensor: ...  # noqa: D102
    @property
    def mask(self) -> tf.Tensor: ...  # noqa: D102
    @property
    def search(self) -> tuple[tf.Tensor, tf.Tensor] | None: ...  # noqa: D102

    @property
    def timestamps(self) -> tf.Tensor:
        """Seconds UTC of the events, int64 `[B, L]`; anything at padding."""

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
    def stored_context(self) -> Any | None:
        """What of `context` does not depend on the candidates' moments, `[B, L, ...]`; None if there is nothing."""

    def time_gap(self, timestamps: tf.Tensor) -> Any | None:
        """The rest of `context`, of events at `timestamps [B, L]`, `[B, 1 or C, L, ...]`; None if there is none."""

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


@runtime_checkable
class ReadsOthers(Protocol):
    """A short-term encoder that reads other histories of the batch beside its own."""

    def other_histories(self, schema: FeatureSchema, history: str) -> tuple[str, ...]:
        """Names of those that it reads where it encodes `history`, () where none.

        Raises:
          ValueError: the schema lacks one; the message says what to do.
        """

    def __call__(self, candidate: tf.Tensor, history: History, others: Mapping[str, History], training: bool = False
                 ) -> tf.Tensor:
        """As a `ShortTerm`, given those histories by name."""


@runtime_checkable
class ReadsExtra(Protocol):
    """The `Config` of a part that reads extra histories, which records are parsed for and requests hold then alone."""

    def extra_histories(self, schema: FeatureSchema) -> tuple[str, ...]:
        """Names of the histories of the kind "extra" that it reads.

        Raises:
          ValueError: the schema lacks one; the message says what to do.
        """


class LongTerm(Protocol):
    """Model of the lifelong history.

    Attributes:
      name: first word of its loss terms' names.
    """

    name: str

    def __call__(self, candidate: tf.Tensor, history: History, training: bool = False) -> tf.Tensor:
        """Candidates `[B, C, D]` -> interest `[B, C, W]`."""


@runtime_checkable
class KeepsState(Protocol):
    """A lifelong model that can do before ranking what depends on the user's history alone.

    Attributes:
      keeps_state: whether this configuration does.
    """

    keeps_state: bool

    def state_of(self, history: History) -> dict[str, tf.Tensor]:
        """Name -> what is kept of each request's history, `[B, ...]`; the history has a `common_mask`.

        Nothing of it depends on a moment. `events`, int32 `[B]`, counts the events that it is of.
        """

    def from_state(self, candidate: tf.Tensor, state: Mapping[str, tf.Tensor], history: History) -> tf.Tensor:
        """The interest of a call with the history that the state is of.

        Args:
          candidate: `[B, C, D]`.
          state: of `state_of`.
          history: one without events, that knows the candidates' moments and how events are read.
        """


@runtime_checkable
class UpdatesState(Protocol):
    """One that `KeepsState`, and whose state follows from the one before, new events, and events that are gone."""

    def updated(self, state: Mapping[str, tf.Tensor], new: History, gone: History) -> dict[str, tf.Tensor]:
        """The state of the new events, most recent first, before those of `state` without the oldest, `gone`.

        Both histories have a `common_mask`.
        """


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
