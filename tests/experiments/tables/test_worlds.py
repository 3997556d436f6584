"""The tables of worlds and systems have rows that can be read and differ, on the same records."""

import pytest

from data_prep.industrial.generator_config import WORLDS as PRESETS
from experiments import flags
from experiments.tables import worlds
from experiments.tables.__main__ import main
from experiments.tables.systems import FURTHER


@pytest.mark.parametrize("key", [*worlds.WORLDS, *FURTHER])
def test_rows_can_be_read_and_differ(key):
    table, preset = (FURTHER[key], "small") if key in FURTHER else (worlds.table_of(key), key)
    settings = []
    for row in table.rows:
        unexpected = flags.parse(["experiments.run", f"--flagfile={row.cfg}", "--dataset=industrial",
                                  f"--industrial_generator.preset={preset}", *row.flags])[1:]
        assert not unexpected
        settings.append(flags.read().settings())
    assert all(one != other for index, one in enumerate(settings) for other in settings[:index])
    assert all(row.against is None if row is table.rows[0] else row.against for row in table.rows)
    data = [{name: value for name, value in one.items() if name.startswith(("prep.", "industrial"))}
            for one in settings]
    assert all(one == data[0] for one in data)  # the same records, so that rows can be compared


def test_epochs_are_chosen_by_what_a_world_is_about():
    for preset, table in worlds.WORLDS.items():
        monitors = {flag for row in table.rows for flag in row.flags if flag.startswith("--train.monitor=")}
        assert monitors == ({"--train.monitor=long_stay_auc"} if preset == "cascade" else set())
        assert preset != "cascade" or all("--train.monitor=long_stay_auc" in row.flags for row in table.rows)


def test_worlds_are_those_of_the_generator():
    assert list(worlds.WORLDS) == [*PRESETS, "joined_by_user", "joined_by_order"]
    assert len({table.key for table in worlds.WORLDS.values()}) == len(worlds.WORLDS)


@pytest.mark.parametrize("preset", [[], ["--preset=small"]])
def test_another_preset_is_refused(monkeypatch, preset):
    monkeypatch.setattr(flags, "define", lambda: None)  # once in a process
    with pytest.raises(SystemExit, match="--table=worlds needs a --preset that is a world, one of scenarios,"):
        main(["--table=worlds", *preset])
