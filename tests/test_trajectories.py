"""20 steps of every composition give the golden numbers, until a VERSION says otherwise."""

import copy
import pathlib

import pytest

from lcn_tf.models import registry
from tests import trajectories

COMPOSITIONS = trajectories.compositions()
CHANGELOG = pathlib.Path(__file__).resolve().parent.parent / "CHANGELOG.md"


@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda composition: composition.name)
def test_trajectories_are_the_golden_ones(composition):
    golden = trajectories.golden_of(composition, trajectories.stored())
    parts = ", ".join(f"{part} {version}" for part, version in composition.configuration.parts.items())
    if golden is None:
        pytest.fail(f"no golden numbers of these versions ({parts}) and settings: `make golden` computes them")
    changed = trajectories.differences(golden, trajectories.compute(composition))
    assert not changed, (f"{'; '.join(changed)}. Raise the VERSION of the part that computes something else now, one "
                         f"of {parts}; say why in CHANGELOG.md; then `make golden`, which narrows the part down")


def test_every_part_is_in_a_trajectory():
    parts = {part for composition in COMPOSITIONS for part in composition.configuration.parts}
    known = {f"{kind}/{name}" for kind in registry.KINDS for name in registry.components(kind)}
    assert known - {"tables/dense"} | {"core"} == parts  # dense tables are of the core
    assert {composition.name for composition in COMPOSITIONS} == trajectories.stored().keys()


def test_the_changelog_says_why_a_version_was_raised():
    text = CHANGELOG.read_text(encoding="utf-8")
    versions = {part: version for composition in COMPOSITIONS
                for part, version in composition.configuration.parts.items()}
    unexplained = [f"`{part}` {version}" for part, version in versions.items()
                   if version > 1 and f"`{part}` {version}" not in text]
    assert not unexplained, f"CHANGELOG.md does not mention {unexplained}"


def test_a_change_is_found_and_pinned_to_its_part():
    golden = trajectories.stored()["eta.cfg grouped"]
    changed = copy.deepcopy(golden)
    changed["losses"]["loss"][13] *= 1.001
    (line,) = trajectories.differences(golden, changed)
    assert line.startswith("loss of step 14 was")
    changed = [item.name for item in COMPOSITIONS if "long_term/eta" in item.configuration.parts]
    assert trajectories.suspects(changed, {item.name for item in COMPOSITIONS} - set(changed)) == ["long_term/eta"]
