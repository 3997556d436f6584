"""What towers and heads offer, and are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import tensorflow as tf

from lcn_tf.schema_entries import Label


class TowerSpec(NamedTuple):
    """What a tower is built for.

    Attributes:
      labels: of the schema, the one that candidates are ranked by first.
      scenarios: how many ids the feature of the scenario has, 0 (padding) and 1 (out of vocabulary) among them; None
        where the schema has no scenario.
    """

    labels: tuple[Label, ...]
    scenarios: int | None

    def scenarios_for(self, tower: str) -> int:
        """How many scenario ids there are, for a tower that cannot do without.

        Args:
          tower: its name.

        Raises:
          ValueError: the schema has no scenario.
        """
        if self.scenarios is None:
            raise ValueError(f"model.tower={tower} needs to know the scenario of an impression, but the schema has "
                             "none: name the request feature that tells surfaces or markets apart, with data.scenario, "
                             "or with scenario in the mapping of own logs")
        return self.scenarios


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
    def fields(self) -> list[tf.Tensor]:
        """All of it but the scenario, `[B, C, width]` each."""
        return [*self.user.values(), self.candidate, *self.side.values(), *self.interests.values()]

    @property
    def concatenated(self) -> tf.Tensor:
        """All of it but the scenario, `[B, C, F + W]`."""
        return tf.concat(self.fields, -1)


class Tower(Protocol):
    """Network over all features and interests of a candidate."""

    def __call__(self, inputs: Any, mask: tf.Tensor, training: bool = False) -> Any:
        """`[B, C, F + W]` and `candidate_mask` -> hidden vectors `[B, C, U]`.

        One that `ReadsFields` is given `TowerInputs`. A tower of several tasks returns label -> hidden vectors.
        """


@runtime_checkable
class ReadsFields(Protocol):
    """A tower that is given `TowerInputs` instead of their concatenation, where `reads_fields` is true.

    A head where it is true is called with them, too: `head(hidden, inputs)`.
    """

    reads_fields: bool


@runtime_checkable
class SharesLastLayer(Protocol):
    """A tower that knows the last layer which all labels share; of another one, all weights count as that layer."""

    @property
    def last_shared(self) -> Sequence[tf.Variable]:
        """Its weights, once they are built; [] where labels share nothing in the tower."""


class Head(Protocol):
    """From hidden vectors to logits, and what they are trained by.

    Attributes:
      labels: names of those it predicts; candidates are ranked by the first.
      terms: name of each of its losses -> its factor in the model's loss.
    """

    labels: tuple[str, ...]
    terms: Mapping[str, float]

    def __call__(self, hidden: Any, inputs: Any = None) -> dict[str, tf.Tensor]:
        """What the tower returns -> label -> logit `[B, C]` float32; of a label that is given another, given that.

        The tower returns hidden vectors `[B, C, U]`, or label -> hidden vectors. `inputs`, the `TowerInputs`, is given
        to a head that `ReadsFields` alone; others need not take it.
        """

    def counted(self, labels: Mapping[str, tf.Tensor], mask: tf.Tensor) -> dict[str, tf.Tensor]:
        """Term -> which candidates it is the mean over, bool or weights `[B, C]`."""

    def targets(self, logits: Mapping[str, tf.Tensor], labels: Mapping[str, tf.Tensor]
                ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Term -> label and logit, `[B, C]` each, whose cross-entropy it is."""
