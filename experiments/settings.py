"""Which settings of a run decide its numbers, and what holds for finished runs that are older than a setting.

A finished run is known by the settings in which it differs from what the code did *before there was a flag* for each.
So a new option costs no result, and a changed default is told from the old one: the field of a default that changed
says `metadata={"before": <old default>}`, and one that changes no result says `metadata={"changes_result": False}`.
What decides the data (data set, preparation, generator) is in the fingerprint of the records instead.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

from command_line import dataclass_flags
from experiments.flags import DECIDING_GROUPS, DRAWS, Experiment, prefix_of
from lcn_tf import canonical_json
from lcn_tf.models import registry
from lcn_tf.models.versions import part_versions


@dataclasses.dataclass(frozen=True)
class Configuration:
    """What a run's numbers depend on beside data and seed.

    Attributes:
      parts: "<kind>/<name>" of every part -> its VERSION.
      settings: flag -> text, as `deciding` returns.
    """

    parts: Mapping[str, int]
    settings: Mapping[str, str]

    @classmethod
    def of(cls, experiment: Experiment) -> Configuration:
        """Of an experiment and the code as it is."""
        return cls(part_versions(experiment.groups["model"]), deciding(experiment.settings()))

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits that differ where the configuration differs."""
        return canonical_json.digest({"parts": dict(self.parts), "settings": dict(self.settings)})


@functools.cache
def before() -> dict[str, str]:
    """Flag -> text of what the code did before there was the flag, for every setting that may change a result."""
    groups = [(prefix, config_class) for prefix, config_class in DECIDING_GROUPS.items()]
    groups += [(prefix_of(kind, name), registry.component(kind, name).Config)
               for kind in registry.KINDS for name in registry.components(kind)]
    return {f"{prefix}.{field.name}": dataclass_flags.text_of(field.metadata.get("before", field.default))
            for prefix, config_class in groups for field in dataclasses.fields(config_class)
            if field.name not in DRAWS and field.metadata.get("changes_result", True)}


def deciding(settings: Mapping[str, str]) -> dict[str, str]:
    """Of all settings of a run (`Experiment.settings`), those that decide its numbers and are not as before."""
    known = before()
    return {name: text for name, text in sorted(settings.items()) if name in known and text != known[name]}
