"""Settings of the graph step: which events are edges, how vectors pass along them, how they are trained."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from data_prep.config import option


@dataclasses.dataclass(frozen=True)
class GraphConfig:
    """What is not given by CIGF (Guo et al., WWW 2023) or its authors' code is said in `docs/systems.md`.

    Raises:
      ValueError: a value outside its range; the message names the setting.
    """

    behaviour: str | None = option(
        None, "context feature whose values are the behaviours (btag: looked at, put into the cart ...); none: events "
        "of each domain are one behaviour")
    clicks: bool = option(
        True, "whether clicked candidates of the training records are the last behaviour, that of the target")
    output: Literal["target", "all"] = option(
        "target", "vectors of the last behaviour, or those of all side by side")
    width: int = option(16, "numbers of a behaviour's vector")
    hops: int = option(2, "how far a vector travels")
    normalisation: Literal["left", "symmetric"] = option(
        "left", "of the adjacency A with degrees D: D^-1 A, or D^-1/2 A D^-1/2")
    steps: int = option(400, "training steps, each over the whole graph")
    samples: int = option(10_240, "pairs of a positive and a negative item of a user, for each behaviour and step")
    learning_rate: float = option(0.01, "of Adam; times 0.96 after every 40 steps")
    l2: float = option(1e-4, "penalty: this times half the mean square norm of the initial vectors of a step's pairs")
    seed: int = option(1, "of initial vectors and pairs")

    def __post_init__(self):
        for name in ("width", "hops", "steps", "samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name, words in (("output", ("target", "all")), ("normalisation", ("left", "symmetric"))):
            if getattr(self, name) not in words:
                raise ValueError(f"{name} must be {' or '.join(words)}, got {getattr(self, name)!r}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be a positive number, got {self.learning_rate}")
        if not 0 <= self.l2 < math.inf:
            raise ValueError(f"l2 must be a number of at least 0, got {self.l2}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
