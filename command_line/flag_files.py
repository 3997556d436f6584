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


def find_file(name: str) -> str:
    """Path of a flag file.

    Raises:
      FileNotFoundError: it does not exist.
    """
    path = os.path.expanduser(name)
    if not os.path.exists(path):
        raise FileNotFoundError(f"--flagfile={name}: no such file")
    return path


def expand(arguments: Sequence[str], find: Callable[[str], str] = find_file) -> list[Argument]:
    """Puts the lines of flag files in the place of `--flagfile=NAME` and `--flagfile NAME`, files within files too.

    A name within a file is that of a file beside it, if there is one: what a file includes does not depend on the
    working directory. Of two lines with the same flag the later one counts, wherever they are.

    Args:
      arguments: of a command line, without the program.
      find: name -> path, for the command line and for names that are not beside the file that includes them; raises
        FileNotFoundError.

    Raises:
      FileNotFoundError: a file does not exist; the message names the file and line that it is included from.
      flags.Error: a file that cannot be read, a circle of files, or a line that is no flag and no comment.
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
    """The argument itself, or the lines of the file that it names; `within` are the files that it is in, outermost
    first."""
    option, separator, value = argument.text.partition("=")
    if option not in _NAMES or not separator:
        return [argument]
    name, where = value.strip(), f"{argument.origin}: " if argument.origin else ""
    beside = os.path.join(os.path.dirname(within[-1]), os.path.expanduser(name)) if within else ""
    try:
        path = beside if os.path.isfile(beside) else find(name)
        circle = next((within[index:] for index, file in enumerate(within) if os.path.samefile(file, path)), ())
        if circle:
            raise flags.Error(f"{where}--flagfile={name}: a circle of flag files, {' includes '.join([*circle, path])}")
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{where}{error}") from error
    except OSError as error:
        raise flags.Error(f"{where}--flagfile={name} cannot be read: {error.strerror}") from error
    return [found for argument in _lines(path, content) for found in _included(argument, find, (*within, path))]


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
