"""The share of the attainable AUC, and the table of slices."""

import math

from experiments.summary import attainable_share, format_slices


def test_share_of_the_attainable_auc():
    assert math.isclose(attainable_share(0.65, 0.8), 0.5)
    assert attainable_share(0.5, 0.8) == 0
    assert math.isnan(attainable_share(0.51, 0.5))  # nothing to attain


def test_slices_are_rows_in_a_fixed_order():
    row = {"slice": "5-12", "auc": 0.61234, "gauc": None, "click_rate": 0.25, "impressions": 12_345.0, "users": 678.0}
    target = [{**row, "slice": "0"}, row]
    lines = format_slices({"test": {"source_length": [row], "target_length": target}}).splitlines()
    assert [line.split()[1:3] for line in lines[2:]] == [["target", "0"], ["target", "5-12"], ["source", "5-12"]]
    assert lines[-1].split() == ["test", "source", "5-12", "0.6123", "undefined", "0.2500", "12,345", "678"]
