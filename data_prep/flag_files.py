"""Flag files, read before flags are parsed: UTF-8 with or without a byte order mark, and errors that name the line.

absl reads flag files too, but in the encoding of the terminal, and its errors do not say where a flag was found.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence

from absl import flags

_NAMES = ("--flagfile", "-flagfile")


@dataclasses.dataclass(frozen=True)
class Argument:
    """An argument, and the file and line that it is from, or nothing for the command line."""

    text: str
    origin: str = ""


def expand(arguments: Sequence[str], find: Callable[[str], str] = os.path.expanduser) -> list[Argument]:
    """Puts the lines of flag files in the place of `--flagfile=NAME` and `--flagfile NAME`, files within files too.

    Args:
      arguments: of a command line, without the program.
      find: name -> path.

    Raises:
      FileNotFoundError: a file does not exist.
      flags.Error: a file that cannot be read, that includes itself, or with a line that is no flag and no comment.
    """
    expanded: list[Argument] = []
    rest = iter(arguments)
    for text in rest:
        if text == "--":
            return [*expanded, Argument(text), *map(Argument, rest)]
        if text in _NAMES:
            text = f"{text}={next(rest, '')}"
        expanded += _included(Argument(text), find, ())
    return expanded


def parse(program: str, arguments: Sequence[Argument], flag_values: flags.FlagValues = flags.FLAGS) -> list[str]:
    """Parses arguments; returns the program and what is no flag.

    Raises:
      flags.Error: an unknown flag or value; the message names the file and line that it is from.
    """
    try:
        return flag_values([program, *(argument.text for argument in arguments)])
    except flags.Error as error:
        alone = _error(program, [], flag_values)  # of flags that must be given
        for argument in arguments:
            if argument.origin and str(error) == _error(program, [argument.text], flag_values) != alone:
                raise flags.Error(f"{argument.origin}: {error}") from error
        raise


def parse_or_exit(argv: Sequence[str]) -> list[str]:
    """The `flags_parser` of a command: what is wrong with its flags is said in one line."""
    try:
        return parse(argv[0], expand(argv[1:]))
    except (flags.Error, OSError) as error:
        sys.exit(f"error: {error}")


def _error(program: str, arguments: list[str], flag_values: flags.FlagValues) -> str:
    try:
        flag_values([program, *arguments])
    except flags.Error as error:
        return str(error)
    return ""


def _included(argument: Argument, find: Callable[[str], str], within: tuple[str, ...]) -> list[Argument]:
    """The argument itself, or the lines of the file that it names; `within` are the files that include it."""
    name, separator, value = argument.text.partition("=")
    if name not in _NAMES or not separator:
        return [argument]
    where = f"{argument.origin}: " if argument.origin else ""
    try:
        path = find(value.strip())
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{where}{error}") from error
    except OSError as error:
        raise flags.Error(f"{where}--flagfile={value} cannot be read: {error}") from error
    if os.path.realpath(path) in within:
        raise flags.Error(f"{where}--flagfile={value}: the file includes itself")
    return [found for argument in _lines(path, content)
            for found in _included(argument, find, (*within, os.path.realpath(path)))]


def _lines(path: str, content: bytes) -> list[Argument]:
    """The flags of a file; comments may be in any encoding."""
    found = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        line, origin = line.strip(), f"{path}, line {number}"
        if not line or line.startswith((b"#", b"//")):
            continue
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise flags.Error(f"{origin}: expected UTF-8 text, got {line!r}") from error
        if not text.startswith("-"):
            raise flags.Error(f"{origin}: expected --name=value or # a comment, got {text!r}")
        found.append(Argument(text, origin))
    return found
