"""Writes generated industrial-style logs: `python -m data_prep.industrial.generate --output_dir=LOGS --preset=small`.

`--num_users` makes them larger or smaller; `--help` lists every flag.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from absl import app, flags

from command_line import dataclass_flags, flag_files
from data_prep.industrial.generator import files_of, generate
from data_prep.industrial.generator_config import GeneratorConfig


def define_flags() -> None:
    """Defines `--output_dir`, `--workers` and one flag per field of `GeneratorConfig`."""
    flags.DEFINE_string("output_dir", None, "directory of the logs; created if missing", required=True)
    flags.DEFINE_integer("workers", None, "processes; by default one for each processor", lower_bound=1)
    dataclass_flags.define("", GeneratorConfig)


def main(argv: Sequence[str]) -> None:
    """Generates the logs and prints the size of each file; exits with 1 on a refusal."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {list(argv[1:])}")
    output_dir = flags.FLAGS.output_dir
    try:
        config = dataclass_flags.read("", GeneratorConfig)
        generate(output_dir, config, flags.FLAGS.workers)
    except ValueError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: output_dir {output_dir} cannot be written: {error}")
    for name in files_of(config):
        path = os.path.join(output_dir, name)
        print(f"{path}  {os.path.getsize(path):,} bytes")


if __name__ == "__main__":
    define_flags()
    app.run(main, flags_parser=flag_files.parse_or_exit)
