"""Flags from dataclasses: every kind of field, its errors, and the way through a flag file."""

import dataclasses
from typing import Literal

import pytest
from absl import flags

from command_line import dataclass_flags


def option(default, text="help of the field"):
    return dataclasses.field(default=default, metadata={"help": text})


@dataclasses.dataclass(frozen=True)
class Example:
    enabled: bool = option(True)
    count: int = option(7)
    rate: float = option(0.5)
    name: str = option("a")
    top_k: int | None = option(200)
    kept: int | Literal["all"] | None = option(5)
    size: int | Literal["all"] = option("all")
    note: str | None = option(None)
    limit: float | None = option(None)
    units: tuple[int, ...] = option((3, 2))
    terms: tuple[str, ...] = option(("pt", "ps"))
    weights: tuple[float, ...] = option(())
    mode: Literal["request", "day"] = option("request")

    def __post_init__(self):
        if self.count < 0:
            raise ValueError(f"count must not be negative, got {self.count}")


def parse(*arguments, prefix="x", config_class=Example):
    values = flags.FlagValues()
    dataclass_flags.define(prefix, config_class, values)
    values(["program", *arguments])
    return values


def read(*arguments, prefix="x"):
    return dataclass_flags.read(prefix, Example, parse(*arguments, prefix=prefix))


@pytest.mark.parametrize("argument, message", [
    ("--x.rate=nan", "expected a finite number, got 'nan'"), ("--x.rate=-inf", "expected a finite number, got '-inf'"),
    ("--x.rate=1e999", "expected a finite number, got '1e999'"), ("--x.limit=NaN", "expected a finite number"),
    ("--x.weights=1,inf", "expected a finite number, got 'inf'"),
    ("--x.terms=pt,ps,pt", "expected every name once, got 'pt' more often in 'pt,ps,pt'"),
    ("--x.terms=pt, pt", "expected every name once")])
def test_what_is_no_number_and_what_is_named_twice_are_refused(argument, message):
    with pytest.raises(flags.IllegalFlagValueError, match=message):
        read(argument)


def test_numbers_may_repeat():
    assert read("--x.units=8,8").units == (8, 8)


def test_defaults_are_those_of_the_dataclass():
    assert read() == Example()
    assert read(prefix="") == Example()


@pytest.mark.parametrize(("argument", "field", "expected"), [
    ("--x.enabled=false", "enabled", False),
    ("--nox.enabled", "enabled", False),
    ("--x.count=11", "count", 11),
    ("--x.rate=1e-3", "rate", 1e-3),
    ("--x.name=", "name", ""),
    ("--x.name=none", "name", "none"),
    ("--x.top_k=none", "top_k", None),
    ("--x.top_k=None", "top_k", None),
    ("--x.top_k=", "top_k", None),
    ("--x.top_k=50", "top_k", 50),
    ("--x.kept=all", "kept", "all"),
    ("--x.kept=7", "kept", 7),
    ("--x.kept=none", "kept", None),
    ("--x.size=3", "size", 3),
    ("--x.note=word", "note", "word"),
    ("--x.limit=2", "limit", 2.0),
    ("--x.units=256, 128", "units", (256, 128)),
    ("--x.units=", "units", ()),
    ("--x.terms=ps", "terms", ("ps",)),
    ("--x.weights=1,0.5", "weights", (1.0, 0.5)),
    ("--x.mode=day", "mode", "day"),
])
def test_one_flag_changes_one_field(argument, field, expected):
    config = read(argument)
    assert config == dataclasses.replace(Example(), **{field: expected})
    assert type(getattr(config, field)) is type(expected)


def test_empty_prefix_gives_bare_names():
    assert read("--count=3", prefix="").count == 3


@pytest.mark.parametrize(("argument", "words"), [
    ("--x.mode=week", ["x.mode", "week", "request", "day"]),
    ("--x.count=1.5", ["x.count", "1.5", "integer"]),
    ("--x.rate=fast", ["x.rate", "fast", "number"]),
    ("--x.units=3,b", ["x.units", "'b'", "integer"]),
    ("--x.top_k=some", ["x.top_k", "some", "integer"]),
    ("--x.kept=every", ["x.kept", "every", "integer"]),
    ("--x.size=none", ["x.size", "none", "integer"]),
    ("--x.unknown=1", ["x.unknown"]),
])
def test_bad_text_names_flag_and_value(argument, words):
    with pytest.raises(flags.Error) as error:
        parse(argument)
    for word in words:
        assert word in str(error.value)


def test_validation_of_the_dataclass_reaches_the_caller():
    with pytest.raises(ValueError, match="count must not be negative, got -2"):
        read("--x.count=-2")


def test_a_flag_file_brings_every_value_back(tmp_path):
    values = parse(
        "--x.top_k=none", "--x.kept=all", "--x.units=5", "--nox.enabled", "--x.mode=day", "--x.weights=0.25,1",
        "--x.name=b c")
    path = tmp_path / "flags.cfg"
    config = dataclass_flags.read("x", Example, values)
    path.write_text("\n".join(dataclass_flags.assignments("x", config)))
    assert config != Example()
    assert dataclass_flags.read("x", Example, parse(f"--flagfile={path}")) == config


def test_help_text_is_shown():
    shown = parse().get_help()
    assert "help of the field" in shown and "an integer or 'all' or 'none'" in shown


def without_default():
    @dataclasses.dataclass
    class Bad:
        field: int = dataclasses.field(metadata={"help": "text"})
    return Bad


def without_help():
    @dataclasses.dataclass
    class Bad:
        field: int = 3
    return Bad


def without_text_form():
    @dataclasses.dataclass
    class Bad:
        field: dict = dataclasses.field(default_factory=dict, metadata={"help": "text"})
    return Bad


@pytest.mark.parametrize(("make", "word"), [
    (without_default, "default"), (without_help, "help"), (without_text_form, "dict")])
def test_dataclasses_that_cannot_become_flags_are_refused(make, word):
    with pytest.raises(ValueError, match=word) as error:
        parse(config_class=make())
    assert "Bad.field" in str(error.value)
