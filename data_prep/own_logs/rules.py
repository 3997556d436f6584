"""Conditions on a row, as a mapping file writes them: `stay_seconds >= 10`, `kind == "pv"`, `kind in ["pv", "buy"]`."""

from __future__ import annotations

import ast
import dataclasses
import operator
import re
from decimal import Decimal
from typing import Any

import ibis
import ibis.expr.types as ir

_RULE = re.compile(r"\s*(?P<column>.+?)\s*(?P<sign>==|!=|>=|<=|>|<|\bin\b)\s*(?P<value>.+?)\s*")
_SIGNS = {"==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le, ">": operator.gt,
          "<": operator.lt}
_FLOATS_END = 2**53


@dataclasses.dataclass(frozen=True)
class Rule:
    """A comparison of a column with a number, a text, or several of them.

    Attributes:
      column: its name.
      sign: ==, !=, >=, <=, >, < or in.
      value: a number or a text; a tuple of them with `in`.
    """

    column: str
    sign: str
    value: Any

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Raises ValueError where a text is no rule; the message shows one."""
        match = _RULE.fullmatch(text)
        try:
            value = ast.literal_eval(match["value"]) if match else None
        except (ValueError, SyntaxError):
            value = None
        several = isinstance(value, (list, tuple))
        parts = tuple(value) if several else (value,)
        known = parts and (all(type(part) is str for part in parts) or
                           all(type(part) in (int, float) for part in parts))
        if not match or not known or several != (match["sign"] == "in"):
            raise ValueError(f"expected a rule such as 'stay_seconds >= 10', 'kind == \"view\"' or 'kind in "
                             f"[\"view\", \"buy\"]', got {text!r}")
        return cls(match["column"], match["sign"], parts if several else value)

    @property
    def is_text(self) -> bool:
        """Whether the column is compared as text."""
        return isinstance(self.values[0], str)

    @property
    def values(self) -> tuple[Any, ...]:
        """What the column is compared with."""
        return self.value if self.sign == "in" else (self.value,)

    @property
    def needs_all_digits(self) -> bool:
        """Whether the column is compared with integers that floats do not tell apart."""
        return any(type(value) is int and abs(value) > _FLOATS_END for value in self.values)

    def is_met_by(self, number: Decimal) -> bool:
        """Whether the rule holds for a number."""
        return number in self.value if self.sign == "in" else bool(_SIGNS[self.sign](number, self.value))

    def holds(self, cell: ir.Value) -> ir.BooleanValue:
        """Whether the rule holds; a missing cell is unlike any value, and meets no other rule.

        Where the rule needs all digits, the cell says whether the number meets it.
        """
        if self.needs_all_digits:
            found = cell
        else:
            found = cell.isin(self.value) if self.sign == "in" else _SIGNS[self.sign](cell, self.value)
        return ibis.coalesce(found, self.sign == "!=")
