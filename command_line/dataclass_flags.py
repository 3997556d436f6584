"""Command-line flags made from the fields of a frozen dataclass, and the dataclass made from the flags.

The dataclass stays the one place for names, defaults and help texts: every field has a default and, in
`field(metadata={"help": ...})`, a help text. Types come from the annotations:

| annotation                                    | text on the command line                        |
|-----------------------------------------------|-------------------------------------------------|
| `bool`                                        | `--name`, `--noname`, `--name=true`             |
| `int`, `float`, `str`                         | the value; neither NaN nor infinite             |
| `Optional[...]` or `... | None` of any other  | the value; `none` or nothing means None         |
| `int | Literal["all"]`, also with `| None`    | the number, or the word                         |
| `tuple[int, ...]`, `tuple[float, ...]`        | comma separated; nothing means `()`             |
| `tuple[str, ...]`                             | likewise; these are names, each at most once    |
| `Literal["a", "b"]`                           | one of the values; an error lists them          |

`assignments` is the way back to a flag file. It writes None as `none`, which `FlagValues.flags_into_string` leaves out,
so that a default other than None would return when the file is read.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Collection
from typing import Any, TypeVar

from absl import flags

Config = TypeVar("Config")

# The flags belong to the module that calls `define`, so that `--help` shows them there.
flags.disclaim_key_flags()

_NONE_TEXT = "none"
_NUMBERS = {int: "an integer", float: "a number"}


class _FieldParser(flags.ArgumentParser):
    """Turns text into a value of one annotation; values that are not text (defaults) pass through."""

    def __init__(self, annotation: Any):
        self.annotation = annotation
        self.syntactic_help = _expected(annotation)

    def parse(self, argument: Any) -> Any:
        if not isinstance(argument, str):
            return argument
        return _value(self.annotation, argument)

    def flag_type(self) -> str:
        return self.syntactic_help


class _FieldSerializer(flags.ArgumentSerializer):
    """The inverse of `_FieldParser`."""

    def serialize(self, value: Any) -> str:
        return text_of(value)


def define(prefix: str, config_class: type, flag_values: flags.FlagValues = flags.FLAGS,
           without: Collection[str] = ()) -> None:
    """Defines one flag per field of `config_class`.

    Args:
      prefix: flags are called `--{prefix}.{field}`, or `--{field}` when it is empty.
      config_class: dataclass with a default and a help text for every field.
      flag_values: where the flags are registered.
      without: fields that get no flag; `read` leaves them at their defaults.

    Raises:
      ValueError: a field without default or help text, or of a type that has no text form.
    """
    annotations = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        if field.name in without:
            continue
        where = f"{config_class.__name__}.{field.name}"
        annotation = annotations[field.name]
        help_text = field.metadata.get("help")
        if not help_text:
            raise ValueError(f"{where}: expected a help text in the field's metadata, got {help_text!r}")
        if not _expected(annotation):
            raise ValueError(f"{where}: expected a type that flags can carry, got {annotation}")
        name, default = _flag_name(prefix, field.name), _default(field, where)
        if annotation is bool:
            flags.DEFINE_bool(name, default, help_text, flag_values=flag_values)
            continue
        flags.DEFINE(_FieldParser(annotation), name, default, help_text, flag_values, _FieldSerializer())


def read(prefix: str, config_class: type[Config], flag_values: flags.FlagValues = flags.FLAGS) -> Config:
    """The dataclass with the values of the parsed flags.

    Raises:
      ValueError: whatever the dataclass refuses in `__post_init__`.
    """
    names = [field.name for field in dataclasses.fields(config_class)]  # type: ignore[arg-type]
    return config_class(**{name: flag_values[_flag_name(prefix, name)].value for name in names
                           if _flag_name(prefix, name) in flag_values})


def assignments(prefix: str, config: Any, without: Collection[str] = ()) -> list[str]:
    """The lines of a flag file that give `config` back: `--{prefix}.{field}=value`, None as `none`."""
    return [f"--{_flag_name(prefix, field.name)}={text_of(getattr(config, field.name))}"
            for field in dataclasses.fields(config) if field.name not in without]


def text_of(value: Any) -> str:
    """A value as a flag file has it."""
    if value is None:
        return _NONE_TEXT
    if isinstance(value, (tuple, list)):
        return ",".join(str(part) for part in value)
    return str(value)


def _flag_name(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _default(field: dataclasses.Field, where: str) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    raise ValueError(f"{where}: expected a default, got none")


def _members(annotation: Any) -> tuple[Any, tuple[Any, ...], bool]:
    """Of `type | Literal[words] | None`: the type, the words, and whether None is allowed."""
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation, (), False
    arguments = typing.get_args(annotation)
    parts = [part for part in arguments if part is not type(None)]
    literals = [part for part in parts if typing.get_origin(part) is typing.Literal] if len(parts) == 2 else []
    others = [part for part in parts if part not in literals]
    words = tuple(word for literal in literals for word in typing.get_args(literal))
    return others[0] if len(others) == 1 else None, words, type(None) in arguments


def _expected(annotation: Any) -> str:
    """Describes the text of an annotation; empty when there is none."""
    inner, words, optional = _members(annotation)
    if inner is not annotation:
        described = "" if inner is bool else _expected(inner)
        return described and " or ".join([described, *map(repr, (*words, *([_NONE_TEXT] if optional else [])))])
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal and all(isinstance(value, str) for value in arguments):
        return f"one of {', '.join(arguments)}"
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis and arguments[0] in (int, float, str):
        return f"comma-separated list of {arguments[0].__name__}"
    return {bool: "true or false", str: "a text", **_NUMBERS}.get(annotation, "")


def _value(annotation: Any, text: str) -> Any:
    inner, words, optional = _members(annotation)
    if optional and text.strip().lower() in ("", _NONE_TEXT):
        return None
    if inner is not annotation:
        return text if text in words else _value(inner, text)
    if typing.get_origin(annotation) is tuple:
        element = typing.get_args(annotation)[0]
        values = tuple(_value(element, part.strip()) for part in text.split(",")) if text.strip() else ()
        repeated = [value for value in values if values.count(value) > 1] if element is str else []
        if repeated:
            raise ValueError(f"expected every name once, got {repeated[0]!r} more often in {text!r}")
        return values
    if typing.get_origin(annotation) is typing.Literal:
        if text not in typing.get_args(annotation):
            raise ValueError(f"expected {_expected(annotation)}, got {text!r}")
        return text
    if annotation in _NUMBERS:
        try:
            number = annotation(text)
        except ValueError:
            raise ValueError(f"expected {_NUMBERS[annotation]}, got {text!r}") from None
        if not math.isfinite(number):
            raise ValueError(f"expected a finite number, got {text!r}")
        return number
    return text
