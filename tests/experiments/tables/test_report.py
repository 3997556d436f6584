"""What the files of a table say."""

import csv
import dataclasses
import math

import numpy as np
import pytest

from experiments.settings import Configuration
from experiments.tables import choice, figure_5, report, resamples, slices, sweep
from experiments.tables.comparison import compare
from experiments.tables.rows import CHOICES, FIGURE_5, Row, Table
from experiments.tables.store import Store
from lcn_tf.metrics import detectable_difference
from lcn_tf.models import ModelConfig
from lcn_tf.models.versions import part_versions

from .finished_runs import add, configuration, finished, planned

ROWS = (Row("plain", "a.cfg"), Row("better", "b.cfg", "plain", 0.7, 0.6), Row("later", "c.cfg", "plain"))
TABLE = Table("table_7", "Table 7", ROWS)
CONSISTENCY = {"value": 0.75, "random_baseline": 0.1, "chance_corrected": 0.7222, "rows": 1099, "excluded_rows": 1,
               "per_head": 1.0}


def table(folder, rows=ROWS, seeds=(1, 2)):
    store = Store(str(folder))
    for row, auc in zip(rows[:2], (0.6, 0.65), strict=True):
        for seed in seeds:
            add(store, row.cfg, seed, auc + seed / 100, consistency=CONSISTENCY)
    return compare([planned(row) for row in rows], store, seeds)


def test_markdown_and_csv_hold_every_row(tmp_path):
    text = report.write_table(str(tmp_path), TABLE, table(tmp_path), "the command")
    assert (tmp_path / "table_7.md").read_text() == text
    assert "# Table 7\n\n```sh\nthe command\n```" in text
    assert "| better | 0.6650 ± 0.0071 | 0.5650 ± 0.0071 | 0.3000 ± 0.0000 | +0.0500 [" in text
    assert "| 0.550 ± 0.024 | 0.7000 / 0.6000 | 1.5 | 4,321 | 2 |" in text
    assert "| later | " in text and "1,234 impressions" in text and "0123456789ab-dirty" in text
    with open(tmp_path / "table_7.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == ["plain", "better", "later"]
    assert float(rows[1]["auc"]) == 0.665 and round(float(rows[1]["delta_auc"]), 6) == 0.05
    assert rows[2]["auc"] == "" and rows[2]["seeds"] == "0" and rows[0]["delta_auc"] == ""


def test_what_labels_of_a_single_class_leave_undefined_is_told(tmp_path):
    store = Store(str(tmp_path))
    for cfg in ("a.cfg", "b.cfg"):
        for seed in (1, 2):
            run = finished(cfg, seed, 0.6)
            for name in ("model", "item popularity", "oracle"):
                run["metrics"]["test"][name].update(auc=None, gauc=None)
            store.add(run, resamples.pack([[math.nan] * 4] * 2), configuration(cfg))
    lines = compare([planned(row) for row in ROWS[:2]], store, (1, 2))
    assert math.isnan(lines[1].comparison.p_value) and math.isnan(lines[1].attainable_share.mean)
    text = report.write_table(str(tmp_path), TABLE, lines, "the command")
    assert "| better | undefined | undefined | 0.3000 ± 0.0000 | undefined | undefined | plain |  |" in text
    assert "AUC of item popularity undefined and of the true probabilities undefined." in text
    figure = figure_5.write(str(tmp_path), FIGURE_5, lines, "the command")
    assert "| better |  |  |  |  | undefined | undefined |  | 2 |" in figure


def test_older_rows_and_several_versions_of_tensorflow_are_told(tmp_path):
    store = Store(str(tmp_path))
    for cfg, tensorflow in (("a.cfg", "2.21.0"), ("b.cfg", "2.22.0")):
        add(store, cfg, 1, 0.6, tensorflow=tensorflow)
    text = report.markdown(TABLE, compare([planned(ROWS[0], version=2), planned(ROWS[1])], store, (1,)), "command")
    assert "| plain [older: long_term/lap 1] | 0.6000 |" in text and "| plain [older: long_term/lap 1] |  |" in text
    assert "Rows marked as older are of" in text and "TensorFlow: 2.21.0 (1 runs), 2.22.0 (1 runs)." in text


def test_rows_with_runs_worse_than_the_base_rate_are_marked(tmp_path):
    store, codes = Store(str(tmp_path)), resamples.pack([[0.6] * 4] * 2)
    for cfg, logloss in (("a.cfg", 0.3), ("b.cfg", 0.385)):
        for seed in (1, 2):
            run = finished(cfg, seed, 0.6)
            rows = run["metrics"]["test"]
            rows["model"] = {**rows["model"], "logloss": logloss + seed / 100}  # 0.405 in b's second run
            store.add(run, codes, configuration(cfg))
    add(store, "c.cfg", 1, 0.6)
    undefined = finished("c.cfg", 2, 0.6)
    undefined["metrics"]["test"]["base rate"]["logloss"] = None
    store.add(undefined, codes, configuration("c.cfg"))
    lines = compare([planned(row) for row in ROWS], store, (1, 2))
    text = report.markdown(TABLE, lines, "the command")
    assert "| 0.3150 ± 0.0071 |" in text and "| 0.4000 ± 0.0071 † |" in text and text.count("†") == 2
    assert "\n\n† Runs whose log loss is worse than the base rate's: better (test 1 of 2).\n\nTest split:" in text
    lines[1].runs[1]["metrics"]["validation"]["model"] |= {"logloss": 0.5}
    assert "better (validation 1 of 2, test 1 of 2)" in report.markdown(TABLE, lines, "the command")


def test_a_choice_shows_the_validation_day_alone(tmp_path):
    lines = table(tmp_path)
    for line in lines:
        for run in line.runs.values():
            run["metrics"]["test"] = {"model": {"auc": 0.123, "gauc": 0.123, "logloss": 0.123}}
    text = choice.write(str(tmp_path), CHOICES["level_norm"], lines, "the command")
    assert "| plain | 0.6150 ± 0.0071 | 0.5150 ± 0.0071 | 0.3000 ± 0.0000 | 0.4000 ± 0.0000 | 2 |" in text
    assert "| later |  |  |  |  | 0 |" in text and "0.123" not in text
    with open(tmp_path / "choice_level_norm.csv", newline="") as file:
        assert [row["validation_auc"] for row in csv.DictReader(file)][2] == ""


def test_slices_have_a_cell_per_row_and_slice(tmp_path):
    slices.write(str(tmp_path), "table_7", "Table 7: towers", table(tmp_path))
    text = (tmp_path / "table_7_slices.md").read_text()
    assert text.startswith("# Table 7: towers, by history length\n") and "(table_7.md)" in text
    assert "| 0 (617 impressions, 20 users) | 1-9 (617 impressions, 20 users) |" in text
    assert text.count("| better | 0.6650 ± 0.0071 / undefined |") == 2 and "later" not in text
    with open(tmp_path / "table_7_slices.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 2 * 2 * 2


def test_figure_5_shows_consistency_and_what_selection_costs(tmp_path):
    rows = (Row("all", "a.cfg"), Row("LCN-50-50", "b.cfg", "all"))
    text = figure_5.write(str(tmp_path), FIGURE_5, table(tmp_path, rows), "the command")
    assert "| LCN-50-50 | 0.750 ± 0.000 | 0.100 ± 0.000 | 0.722 ± 0.000 | 1,099 | 0.6650 ± 0.0071 | -0.0500 [" in text
    assert "-0.0500] | < 0.001 | 2 |" in text
    assert "LCN-50-50: 1.000 ± 0.000 within each head." in text and "Commits: 0123456789ab-dirty." in text
    assert (tmp_path / "figure_5.png").read_bytes().startswith(b"\x89PNG")
    assert "0.7222" in (tmp_path / "figure_5.csv").read_text()


def test_a_table_with_seeds_says_what_it_can_tell(tmp_path):
    store, rng = Store(str(tmp_path)), np.random.default_rng(2)
    for row, auc in zip(ROWS, (0.6, 0.65, 0.61), strict=True):
        for seed in (1, 2, 3):
            found = auc + rng.normal(scale=0.01)
            add(store, row.cfg, seed, found, codes=resamples.pack(found + rng.normal(scale=0.004, size=[2, 50])))
    seeds, rows = (1, 2, 3), [planned(row) for row in ROWS]
    by_users, by_both = (compare(rows, store, seeds, both) for both in (False, True))
    widths = [[line.comparison.auc.high - line.comparison.auc.low for line in lines[1:]]
              for lines in (by_users, by_both)]
    assert all(both > users for users, both in zip(*widths, strict=True))
    one, both = by_users[1].comparison, by_both[1].comparison
    assert min(one.user_error, one.seed_error) > 0.001
    assert one.p_value < both.p_value and (one.user_error, one.seed_error) == pytest.approx(
        (both.user_error, both.seed_error))
    assert both.seed_p_value == one.seed_p_value == pytest.approx(one.p_value / 2)  # which is corrected for two rows
    text = report.markdown(dataclasses.replace(TABLE, with_seeds=True), by_both, "the command")
    assert "| p | p, seeds alone |" in text and "seeds alone" not in report.markdown(TABLE, by_users, "the command")
    assert report.record(by_both[1], with_seeds=True)["p_value_seeds_alone"] == one.seed_p_value
    told = [detectable_difference(line.comparison.seed_error, 3, common_error=line.comparison.user_error)
            for line in by_both[1:]]
    assert f"tell a difference in AUC of {np.mean(told):.4f} from none" in text and "among 2 comp" in text
    assert text.index("With 80 %") < text.index("| plain |")
    assert "With 80 %" not in report.markdown(TABLE, by_users, "the command")


def test_chosen_options_stand_beside_their_rows(tmp_path):
    rows = (ROWS[0], dataclasses.replace(ROWS[1], trials=(("--crp.weight=1",), ("--crp.weight=2",))), ROWS[2])
    tried, lines = Table("table_7", "Table 7", rows), table(tmp_path, rows)
    assert "options" not in report.markdown(tried, lines, "the command")
    assert "| crp.weight=2 |" in report.markdown(tried, lines, "the command", report.Beside(
        {"better": ("--crp.weight=2",)}))


def test_costs_of_training_stand_beside_rows_of_lcn_with_one_objective(tmp_path):
    rows = (ROWS[0], dataclasses.replace(ROWS[1], trials=((),)), ROWS[2])
    lines, costs = table(tmp_path, rows), report.Beside(step_cost={"crp": 1.234})
    parts = part_versions(ModelConfig())
    planned = dataclasses.replace(lines[1].planned, configuration=Configuration(parts, {}))
    lines[1] = dataclasses.replace(lines[1], planned=planned)
    text = report.markdown(Table("table_7", "Table 7", rows, with_seeds=True), lines, "the command", costs)
    assert "| 1.23 | 1.00 |" in text and text.count("1.23") == 1
    other = dataclasses.replace(planned, configuration=Configuration(parts, {"lap.msa_top_k": "500"}))
    lines[1] = dataclasses.replace(lines[1], planned=other)
    assert "1.23" not in report.markdown(Table("table_7", "Table 7", rows, with_seeds=True), lines, "command", costs)
    other = dataclasses.replace(planned, configuration=Configuration({**parts, "tables/alpt": 1}, {}))
    lines[1] = dataclasses.replace(lines[1], planned=other)  # a part with a cost of its own
    assert "1.23" not in report.markdown(Table("table_7", "Table 7", rows, with_seeds=True), lines, "command", costs)


def test_rows_are_compared_by_the_label_that_chooses_the_epoch(tmp_path):
    store, rows = Store(str(tmp_path)), [planned(row) for row in ROWS[:2]]
    settings = {"train.monitor": "long_stay_auc"}
    rows = [dataclasses.replace(row, configuration=Configuration({}, {"cfg": row.row.cfg, **settings})) for row in rows]
    for row, auc in zip(rows, (0.7, 0.8), strict=True):
        for seed in (1, 2, 3):
            run = finished(row.row.cfg, seed, 0.5 + auc / 100)
            run["configuration"] = row.configuration.id
            run["metrics"]["test"]["model"] |= {"long_stay_auc": auc + seed**2 / 1e4 * auc, "long_stay_gauc": None}
            store.add(run, resamples.pack(np.full([2, 5], auc)), row.configuration)
    lines = compare(rows, store, (1, 2, 3), with_seeds=True)
    assert lines[1].comparison.auc.difference == pytest.approx(0.1, abs=1e-3) and lines[1].comparison.p_value < 0.001
    text = report.markdown(dataclasses.replace(TABLE, with_seeds=True), lines, "the command")
    assert "| ΔAUC of long_stay [95 %] |" in text and "ΔAUC of long_stay, p" not in text and "ΔAUC [" not in text
    assert "a difference in AUC of long_stay of 0.000" in text


def test_a_sweep_is_drawn_by_its_values(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(sweep.pyplot.Axes, "errorbar", lambda axes, x, y, yerr, **_: drawn.update(x=x, y=y, yerr=yerr))
    monkeypatch.setattr(sweep.pyplot.Axes, "legend", lambda axes: None)
    rows = (ROWS[0], Row("1", "b.cfg", "plain", flags=("--crp.weight=0.5",)),
            Row("2", "c.cfg", "plain", flags=("--crp.weight=2",)))
    sweep.draw(str(tmp_path), Table("sweep_crp.weight", "a title", rows), table(tmp_path, rows))
    assert (drawn["x"], [round(value, 4) for value in drawn["y"]]) == ([0.5], [0.665]) and drawn["yerr"][0] > 0
    assert (tmp_path / "sweep_crp.weight.png").stat().st_size > 1_000
