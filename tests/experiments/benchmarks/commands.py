"""Runs a benchmark's command in this process, which has TensorFlow loaded already."""

import contextlib
import io
from types import ModuleType

from absl import flags

FLAGS = flags.FLAGS


def run(benchmark: ModuleType, *arguments: str) -> str:
    """What `main` prints for the arguments; the message of bad input is that of the `SystemExit` it raises."""
    for name in FLAGS:
        FLAGS[name].unparse()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        benchmark.main(FLAGS([benchmark.__name__, *arguments]))
    return printed.getvalue()
