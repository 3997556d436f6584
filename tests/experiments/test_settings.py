"""What a setting was before there was a flag for it never changes, so that finished runs stay what they are."""

import dataclasses
import json

from experiments import flags, settings
from tests import golden_settings


def test_no_default_changed_in_silence():
    golden, now = golden_settings.stored(), settings.before()
    changed = [f"{name} was {golden[name]}, is {now[name]}" for name in golden.keys() & now.keys()
               if golden[name] != now[name]]
    assert not changed, (f"{'; '.join(changed)}: a changed default keeps the old one as `before` in its metadata, or "
                         "finished runs would be taken for what they are not")
    assert golden.keys() == now.keys(), "settings came or went: `make golden`"


def test_only_what_differs_from_before_decides(monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Options:
        new: str = dataclasses.field(default="fast", metadata={"help": "-", "before": "slow"})
        old: int = dataclasses.field(default=3, metadata={"help": "-"})
        memory: int = dataclasses.field(default=1, metadata={"help": "-", "changes_result": False})

    monkeypatch.setattr(settings, "DECIDING_GROUPS", {"group": Options})
    settings.before.cache_clear()
    try:
        assert settings.deciding({"group.old": "3", "group.memory": "7"}) == {}  # a run older than `new`
        assert settings.deciding({"group.new": "slow", "group.old": "3", "group.memory": "1"}) == {}
        assert settings.deciding({"group.new": "fast", "group.old": "4", "data_dir": "x"}) == {
            "group.new": "fast", "group.old": "4"}
    finally:
        settings.before.cache_clear()


def test_a_configuration_holds_versions_and_no_paths():
    if "dataset" not in flags.FLAGS:
        flags.define()
    flags.parse(["run", "--flagfile=sim_crp.cfg", "--workdir=w", "--train.seed=3", "--crp.weight=0.2"])
    found = settings.Configuration.of(flags.read())
    assert found.parts.keys() == {"core", "long_term/sim", "short_term/din", "towers/mlp", "objectives/crp",
                                  "heads/click"}
    assert found.settings["crp.weight"] == "0.2" and found.settings["model.long_term"] == "sim"
    assert not {"workdir", "train.seed", "dataset"} & found.settings.keys()
    assert json.loads(json.dumps(found.settings)) == found.settings
