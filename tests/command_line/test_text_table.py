"""Columns of text are aligned."""

from command_line.text_table import align


def test_columns_are_aligned_and_lines_have_no_trailing_spaces():
    rows = [("name", "kind", "rows"), ("a", "left", "1,000"), ("longer", "", "")]
    assert align(rows) == ["name    kind   rows", "a       left  1,000", "longer"]
    assert align(rows, left=2)[1] == "a       left  1,000" and align([("x", "1"), ("y", "10")]) == ["x   1", "y  10"]
    assert align([("x", "1"), ("y", "10")], left=2) == ["x  1", "y  10"] and align([]) == []
