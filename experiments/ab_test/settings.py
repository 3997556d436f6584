"""What a simulated test is asked for: arms, days, how users are divided, and whether models go on learning."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import Literal

from data_prep.config import option
from experiments.ab_test.outcomes import populations_of
from experiments.ab_test.simulation import assignment
from experiments.ab_test.simulation.arms import OraclePolicy, PopularityPolicy, RandomPolicy

POLICIES = {"random": RandomPolicy, "popularity": PopularityPolicy, "oracle": OraclePolicy}
_CFG = ".cfg"


@dataclasses.dataclass(frozen=True)
class ABTestConfig:
    """Settings of a test; help texts are those of the flags.

    Raises:
      ValueError: an arm that is none, shares that are no shares, or a number outside its range; the message names it.
    """

    arms: tuple[str, ...] = option(
        ("sim=sim.cfg", "lcn=lcn_200_50.cfg"), "name=what, at least two: an exported version of a model trained on the "
        "test's own logs (lcn=RUN/saved_model/1), a flag file of a model that is trained here (lcn=lcn_200_50.cfg), or "
        f"a policy ({', '.join(f'{name}={name}' for name in POLICIES)})")
    control: str | None = option(None, "the arm that the others are compared with; none: the first")
    shares: tuple[float, ...] = option((), "share of the users of each arm, with a sum of 1; none: equal ones")
    salt: str = option("ab_test", "of the hash that assigns users; another one mixes them anew")
    days: int = option(7, "of the test")
    seed: int = option(17, "of every draw, and of training; the same settings give the same report")
    training: Literal["frozen", "nightly"] = option(
        "frozen", "frozen: models stay as they are; nightly: those that are trained here go on, every night by the day "
        "before, of the whole traffic and, in traffic of its own, of their own users; the difference is interference")
    latency_calls: int = option(50, "calls of one request that are timed of each model on each day; 0: none")
    output_dir: str | None = option(None, "everything of the test; the same command goes on with it")

    def __post_init__(self):
        if not self.output_dir:
            raise ValueError("--output_dir is missing")
        for arm in self.arms:
            name, _, what = arm.partition("=")
            if not name.isidentifier() or not what:
                raise ValueError("arms must be like lcn=lcn_200_50.cfg, with names of letters, digits and _, got "
                                 f"{arm!r}")
            if what not in POLICIES and os.sep not in what and not what.endswith(_CFG) and not os.path.isdir(what):
                raise ValueError(f"arms: {arm}: {what} is neither a policy ({', '.join(POLICIES)}) nor a flag file "
                                 f"(NAME{_CFG}) nor the folder of an exported version")
        if len(self.names) < 2 or len(set(self.names)) < len(self.names):
            raise ValueError(f"arms must be at least two of different names, got {', '.join(self.names) or 'none'}")
        if self.control is not None and self.control not in self.names:
            raise ValueError(f"control must be one of {', '.join(self.names)}, got {self.control!r}")
        if self.shares and len(self.shares) != len(self.arms):
            raise ValueError(f"shares must be one for each of {len(self.arms)} arms, got {len(self.shares)}")
        assignment.check_shares(self.share_of)
        for name, least in (("days", 1), ("seed", 0), ("latency_calls", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.training not in ("frozen", "nightly"):
            raise ValueError(f"training must be frozen or nightly, got {self.training!r}")
        if self.nightly and self.exports:
            raise ValueError("training=nightly goes on with models that are trained here: give flag files or policies "
                             f"({', '.join(POLICIES)}), not the exports {', '.join(self.exports.values())}")
        if self.nightly and not self.trained:
            raise ValueError(f"training=nightly needs an arm that is trained here, got {', '.join(self.arms)}")

    @property
    def names(self) -> list[str]:
        """Of the arms."""
        return [arm.partition("=")[0] for arm in self.arms]

    @property
    def share_of(self) -> dict[str, float]:
        """Arm -> share of the users."""
        return dict(zip(self.names, self.shares or [1 / len(self.arms)] * len(self.arms), strict=True))

    @property
    def control_arm(self) -> str:
        """The arm that the others are compared with."""
        return self.control or self.names[0]

    @property
    def nightly(self) -> bool:
        """Whether models go on learning."""
        return self.training == "nightly"

    @property
    def populations(self) -> tuple[str, ...]:
        """Of `outcomes`."""
        return populations_of(self.names, own=self.nightly)

    @property
    def trained(self) -> dict[str, str]:
        """Arm -> flag file, of those that are trained here."""
        return {name: what for name, what in self._what.items() if what.endswith(_CFG)}

    @property
    def policies(self) -> dict[str, str]:
        """Arm -> name of its policy."""
        return {name: what for name, what in self._what.items() if what in POLICIES}

    @property
    def exports(self) -> dict[str, str]:
        """Arm -> folder of its version."""
        return {name: what for name, what in self._what.items() if what not in POLICIES and not what.endswith(_CFG)}

    @property
    def _what(self) -> dict[str, str]:
        return {name: what for name, _, what in (arm.partition("=") for arm in self.arms)}


def fingerprint(path: str) -> str:
    """Sixteen hexadecimal digits of an exported version: another graph or other weights have others.

    Raises:
      ValueError: a folder that is no export.
    """
    graph, variables = os.path.join(path, "saved_model.pb"), os.path.join(path, "variables")
    if not os.path.isfile(graph) or not os.path.isdir(variables):
        raise ValueError(f"arms: {path} is neither an exported version (no saved_model.pb) nor a flag file nor one of "
                         f"{', '.join(POLICIES)}")
    digest = hashlib.sha256()
    for file in (graph, *(os.path.join(variables, name) for name in sorted(os.listdir(variables)))):
        with open(file, "rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:16]
