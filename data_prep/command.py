"""The command line of a data set's preparation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import app, flags

from command_line import dataclass_flags, flag_files
from data_prep.config import PreparationConfig
from data_prep.reading import accounting
from lcn_tf.data.prepared_folder import preparation_facts

# The flags belong to the module that calls `run`, so that `--help` shows them there.
flags.disclaim_key_flags()


def run(config_class: type, prepare: Callable[[str, str, Any, PreparationConfig], None],
        input_dir: str = "directory of the raw files", input_dir_required: bool = True) -> None:
    """Defines the flags, runs `prepare` and prints what became of every row; exits with 1 on a refusal.

    Args:
      config_class: the data set's own settings.
      prepare: `prepare(input_dir, output_dir, config, preparation)`.
      input_dir: help text of that flag.
      input_dir_required: whether it must be given; else `prepare` gets "" without it.
    """
    flags.DEFINE_string("input_dir", None if input_dir_required else "", input_dir, required=input_dir_required)
    flags.DEFINE_string("output_dir", None, "directory of the prepared data set, new or empty", required=True)
    for config in (config_class, PreparationConfig):
        dataclass_flags.define("", config)

    def main(arguments: Sequence[str]) -> None:
        if len(arguments) > 1:
            raise app.UsageError(f"unexpected arguments: {arguments[1:]}")
        try:
            prepare(flags.FLAGS.input_dir, flags.FLAGS.output_dir, dataclass_flags.read("", config_class),
                    dataclass_flags.read("", PreparationConfig))
        except (ValueError, OSError) as error:  # InputError is a ValueError, OutputError an OSError
            sys.exit(f"error: {' '.join(str(error).splitlines())}")
        print(report(preparation_facts(flags.FLAGS.output_dir)))

    app.run(main, flags_parser=flag_files.parse_or_exit)


def report(record: Mapping[str, Any]) -> str:
    """Row accounting and splits of a `preparation.json` as text."""
    lines = [accounting.format_table(record["rows"]), ""]
    for split, entry in record["splits"].items():
        lines.append(f"{split:10}  {entry['first_day']} to {entry['last_day']}  {entry['impressions']:,} impressions "
                     f"in {entry['groups']:,} groups of {entry['users']:,} users, "
                     f"click rate {entry['click_rate']:.2%}, entropy {entry['entropy']:.4f}")
        lines.extend(f"{'':10}  {name.replace('_', ' ')} rate {label['rate']:.2%}, entropy {label['entropy']:.4f}"
                     for name, label in entry.get("labels", {}).items())
    return "\n".join(lines)
