"""The share of the attainable AUC, the table of slices, and the line about consistency."""

import math

from experiments.printed_metrics import attainable_share, format_consistency, format_slices, format_table, other_labels


def test_share_of_the_attainable_auc():
    assert math.isclose(attainable_share(0.65, 0.8), 0.5)
    assert attainable_share(0.5, 0.8) == 0
    assert math.isnan(attainable_share(0.51, 0.5))  # nothing to attain


def test_a_log_loss_worse_than_the_base_rates_is_pointed_out_in_its_split():
    row = {"auc": 0.6, "gauc": 0.6, "logloss": 0.5, "calibration_ratio": 1.0}
    model = {**row, "impressions": 100.0, "click_rate": 0.2, "gauc_impression_coverage": 1.0}

    def lines(validation, test):
        return format_table("lap", {
            split: {"model": {**model, "logloss": logloss}, "base rate": row}
            for split, logloss in (("validation", validation), ("test", test))}).splitlines()

    assert not [line for line in lines(0.5, None) if "worse" in line]
    table = lines(0.49, 0.51)
    (place,) = (number for number, line in enumerate(table) if "log loss worse than the base rate's" in line)
    assert place > [line.startswith("test") for line in table].index(True)


def test_every_label_has_a_line_below_the_models():
    row = {"auc": 0.6, "gauc": 0.5, "logloss": 0.4, "calibration_ratio": 1.0}
    model = {**row, "impressions": 100.0, "click_rate": 0.2, "gauc_impression_coverage": 1.0,
             **{f"long_stay_{name}": value + 0.01 for name, value in row.items()},
             **{f"long_stay_joint_{name}": value + 0.02 for name, value in row.items()}}
    assert other_labels(model) == ["long_stay", "long_stay_joint"]
    lines = format_table("lap", {"test": {"model": model, "base rate": row}}).splitlines()
    assert [line.split()[1:] for line in lines[2:6]] == [
        ["lap", "0.6000", "0.5000", "0.4000", "1.0000"], ["long_stay", "0.6100", "0.5100", "0.4100", "1.0100"],
        ["long_stay,", "joint", "0.6200", "0.5200", "0.4200", "1.0200"], lines[5].split()[1:]]


def test_slices_are_rows_in_a_fixed_order():
    row = {"slice": "5-12", "auc": 0.61234, "gauc": None, "click_rate": 0.25, "impressions": 12_345.0, "users": 678.0}
    target = [{**row, "slice": "0"}, row]
    lines = format_slices({"test": {"source_length": [row], "target_length": target}}).splitlines()
    assert [line.split()[1:3] for line in lines[2:]] == [["target", "0"], ["target", "5-12"], ["source", "5-12"]]
    assert lines[-1].split() == ["test", "source", "5-12", "0.6123", "undefined", "0.2500", "12,345", "678"]


def test_one_line_about_consistency():
    facts = {"value": 0.6, "random_baseline": 0.2, "chance_corrected": 0.5, "rows": 1200, "excluded_rows": 34,
             "top_k": 50, "per_head": None}
    none = dict.fromkeys(facts) | {"rows": 0, "excluded_rows": 7, "top_k": 50}
    assert format_consistency({"test": {**facts, "per_head": 1.0}, "validation": facts}) == (
        "Consistency of the best 50: validation 0.6000, 0.5000 corrected for chance (1,200 of 1,234 impressions); "
        "test 0.6000, 0.5000 corrected for chance, 1.0000 per head (1,200 of 1,234 impressions)")
    assert "validation undefined" in format_consistency({"validation": none, "test": facts})
    assert "does not apply" in format_consistency(None)
