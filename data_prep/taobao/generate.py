"""Writes generated Taobao-format logs: `python -m data_prep.taobao.generate --output_dir=LOGS --num_users=2000`.

Every field of `GeneratorConfig` is a flag; `--help` lists them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from absl import app, flags

from command_line import dataclass_flags, flag_files
from data_prep.taobao.generator import FILES, TRUE_PROBABILITY_FILE, GeneratorConfig, generate


def define_flags() -> None:
    """Defines `--output_dir` and one flag per field of `GeneratorConfig`."""
    flags.DEFINE_string("output_dir", None, "Directory of the logs; created if missing.")
    flags.mark_flag_as_required("output_dir")
    dataclass_flags.define("", GeneratorConfig)


def main(argv: Sequence[str]) -> None:
    """Generates the logs and prints the size of each file; exits with 1 on a refusal."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {list(argv[1:])}")
    output_dir = flags.FLAGS.output_dir
    try:
        generate(output_dir, dataclass_flags.read("", GeneratorConfig))
    except ValueError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: output_dir {output_dir} cannot be written: {error}")
    for name in (*FILES, TRUE_PROBABILITY_FILE):
        path = os.path.join(output_dir, name)
        print(f"{path}  {os.path.getsize(path):,} bytes")


if __name__ == "__main__":
    define_flags()
    app.run(main, flags_parser=flag_files.parse_or_exit)
