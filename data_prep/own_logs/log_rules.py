"""Why rows of the logs of a mapping are not used."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import ibis.expr.types as ir

from data_prep.own_logs.mapping import Domain
from data_prep.own_logs.rules import Rule
from data_prep.own_logs.tables import ON_ITEMS, Table, rule_column
from data_prep.reading.drop_rules import DropRule, not_positive, of_1970

YEAR_2100 = 4_102_444_800  # units other than seconds lie beyond it


def row_rules(table: Table, rows: ir.Table, shown: int, utc_offset: int) -> list[DropRule]:
    """Why a row is of no use whoever its user is: its time, its domain, a rule of the mapping.

    Args:
      table: of the mapping.
      rows: its rows, with `timestamp` and `domain` (null for rows of neither).
      shown: a time of the impressions, of whichever table; 0 where theirs is a clock of its own.
      utc_offset: seconds to add to UTC for the dates in messages.
    """
    small = [dataclasses.replace(rule, expected=f"{rule.expected}; see time_unit")
             for rule in of_1970(rows.timestamp, "second", shown, utc_offset)]
    late = DropRule("time after 2099", rows.timestamp >= YEAR_2100, "second",
                    "a time before the year 2100 (see time_unit)", utc_offset=utc_offset)
    return [not_positive(rows.timestamp, "second"), *small, late, _unknown_domain(table, rows),
            *unmet(table, rows, table.spec.where)]


def unmet(table: Table, rows: ir.Table, texts: Sequence[str]) -> list[DropRule]:
    """Rows that do not meet rules of the mapping."""
    rules = [(text, Rule.parse(text)) for text in texts]
    return [DropRule(f"not {text}", ~rule.holds(rows[rule_column(rule)]), _shown(table, rule_column(rule)), text,
                     ordinary=True) for text, rule in rules]


def without_item(table: Table, rows: ir.Table, column: str) -> DropRule:
    """Rows that do not say what was clicked."""
    return DropRule("without item", rows[column].isnull(), _shown(table, column), "an item", ordinary=True)


def repeats(rows: ir.Table) -> DropRule:
    """Rows with `repeated`."""
    return DropRule("repeats an earlier row", rows.repeated, "user", "a row only once", ordinary=True)


def not_target(table: Table, rows: ir.Table, ordinary: bool = False) -> DropRule:
    """Rows of the source domain, where impressions are made of the target's."""
    return DropRule("of the source domain", rows.domain == "source", _shown(table, table.domain_column),
                    "the target domain", ordinary=ordinary)


def _unknown_domain(table: Table, rows: ir.Table) -> DropRule:
    domain, expected = table.spec.domain, "a domain"
    if isinstance(domain, Domain):
        expected = f"one of {', '.join((*domain.target, *domain.source))}" if domain.source else "a value"
    return DropRule("unknown domain", rows.domain.isnull(), _shown(table, table.domain_column), expected)


def _shown(table: Table, column: str) -> str:
    """A column of the table itself whose cell tells about a row: items' columns are not in its files."""
    if column in table.wanted:
        return column
    return ON_ITEMS if ON_ITEMS in table.wanted else "user"
