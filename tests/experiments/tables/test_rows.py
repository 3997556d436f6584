"""Every lifelong model is in a table, every row can be read, and the same run has the same flags in every table."""

import re

import pytest

from experiments import flags
from experiments.tables.rows import CHOICES, FIGURE_5, SWEEPS, TABLES, Row, Table
from lcn_tf.models import registry

EVERY = [*TABLES.values(), FIGURE_5, *SWEEPS.values()]


def experiment(row):
    flags.parse(["experiments.run", f"--flagfile={row.cfg}", *row.flags])
    return flags.read()


def test_every_lifelong_model_is_in_table_2():
    compared = {experiment(row).groups["model"].long_term for row in TABLES["2"].rows}
    assert compared == set(registry.components("long_term"))


def test_every_row_can_be_read_and_rows_of_a_table_differ():
    for table in [*EVERY, *CHOICES.values()]:
        settings = [experiment(row).settings() for row in table.rows]
        assert all(one != other for index, one in enumerate(settings) for other in settings[:index]), table.key


def test_rows_differ_in_the_lifelong_model_and_its_objective_alone():
    """The rest is the same for all: embeddings, short encoders, tower, optimiser and budget."""
    for table in EVERY:
        rows = [row for row in table.rows if row.cfg != "lcn_single_domain.cfg"]  # other data
        prefixes = tuple(f"{flags.prefix_of('long_term', name)}." for name in registry.components("long_term"))
        objectives = tuple(f"{name}." for name in registry.components("objectives"))
        own = ("model.long_term", "model.objectives", *objectives, *prefixes)
        shared = [{name: value for name, value in experiment(row).settings().items() if not name.startswith(own)}
                  for row in rows]
        assert all(settings == shared[0] for settings in shared), table.key


def test_every_last_stage_of_table_2_reads_context_unless_its_row_says_otherwise():
    """A model that reads items alone loses to one that reads more, not to one that searches better."""
    for row in TABLES["2"].rows:
        settings = experiment(row).settings()
        found = {name: value for name, value in settings.items() if name.endswith(".context")}
        model = flags.prefix_of("long_term", experiment(row).groups["model"].long_term)
        if f"{model}.context" in found:
            assert found[f"{model}.context"] == str("as published" not in row.name), row.name


def test_a_cfg_starts_with_its_command_its_duration_and_what_to_expect():
    for row in (row for table in EVERY for row in table.rows):
        head = (flags.CONFIGS / row.cfg).read_text().split("\n--")[0]
        command = f"#   python -m experiments.run --flagfile={re.escape(row.cfg)}"
        assert re.search(rf"{command} .*\n# .*\d minutes?, test AUC 0\.\d+", head), row.cfg


def test_a_sweep_holds_the_default_and_the_grid_of_the_paper():
    default = experiment(Row("default", "lcn_200_50.cfg")).settings()
    for flag, values in (("crp.weight", 8), ("crp.num_negatives", 6), ("crp.temperature", 5)):
        settings = [experiment(row).settings() for row in SWEEPS[flag].rows]
        assert default in settings and len(settings) == values + 1


def test_a_row_cannot_be_compared_with_one_outside_its_table():
    with pytest.raises(ValueError, match="table_9: rows must have different names and be compared with one another"):
        Table("table_9", "", (Row("one", "sim.cfg", "two"),))
