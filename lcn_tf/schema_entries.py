"""What a schema lists: features, histories and labels."""

from __future__ import annotations

import dataclasses
from typing import Literal

TARGET = "target"  # the domain of the candidates
UNCLICKED = "unclicked_target"  # name of the history of candidates that were shown and not clicked, where there is one
HistoryKind = Literal["short", "lifelong", "extra"]


@dataclasses.dataclass(frozen=True)
class Feature:
    """A categorical feature.

    Attributes:
      name: key in records and batches (history features are prefixed with the history's name there).
      table: embedding table whose rows the ids index; features of one table share ids and weights.
    """

    name: str
    table: str


@dataclasses.dataclass(frozen=True)
class HistorySpec:
    """A history of every user.

    Attributes:
      domain: whose items its events are: "target", that of the candidates, or another.
      length: longest history in the records.
      kind: "short" ones are read by the short-term encoders and by CRP, the one that is "lifelong" by the lifelong
        model; "extra" ones are there for parts that ask for them by name.
      context: names of the context features that are stored with its events; None for all.
    """

    domain: str
    length: int
    kind: HistoryKind
    context: tuple[str, ...] | None = None

    def __post_init__(self):
        if self.context is not None:
            object.__setattr__(self, "context", tuple(self.context))


@dataclasses.dataclass(frozen=True)
class Label:
    """What is predicted of a candidate, 0 or 1.

    Attributes:
      name: what heads, metrics and exports call it.
      key: of its tensor in records and batches; its name where none is given.
      given: the label without which it says nothing: a long stay given a click. Then it is 0 where that one is.
    """

    name: str
    key: str = ""
    given: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "key", self.key or self.name)


CLICK = Label("click", "label")


def usual_histories(short: int = 24, lifelong: int = 500) -> dict[str, HistorySpec]:
    """The paper's three histories: short ones of both domains, and the lifelong one of the source domain.

    Args:
      short: events of each short history.
      lifelong: events of the lifelong history.
    """
    return {"short_target": HistorySpec(TARGET, short, "short"), "short_source": HistorySpec("source", short, "short"),
            "lifelong_source": HistorySpec("source", lifelong, "lifelong")}
