"""`python -m data_prep.inspect DATA_DIR`: prints and plots what a folder of prepared records holds.

Works on every folder that training reads, whoever prepared it. Each split is read once, in bounded memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from absl import app, flags

from command_line import flag_files
from data_prep.inspect.decoded_group import describe_group
from data_prep.inspect.plots import write_plots
from data_prep.inspect.report import disagreements, format_report
from data_prep.inspect.split_statistics import measure_split
from lcn_tf.data.prepared_folder import preparation_facts
from lcn_tf.data.record_files import RecordFiles

_PLOT_DIR = flags.DEFINE_string("plot_dir", None, "folder of the PNG files; default: DATA_DIR/inspection")
_UTC_OFFSET_HOURS = flags.DEFINE_float(
    "utc_offset_hours", None, "time zone of the days; default: that of preparation.json, else UTC", -24, 24)


def inspect(data_dir: str, plot_dir: str | None, utc_offset_hours: float | None) -> None:
    """Prints and plots; see the flags.

    Raises:
      ValueError, OSError: what is wrong with the folder, its records or `plot_dir`.
    """
    files, facts = RecordFiles.open(data_dir), preparation_facts(data_dir)
    utc_offset = int(facts.get("utc_offset", 0) if utc_offset_hours is None else utc_offset_hours * 3600)
    zone = f"UTC{utc_offset / 3600:+g}" if utc_offset else "UTC"
    plot_dir = plot_dir or os.path.join(data_dir, "inspection")
    os.makedirs(plot_dir, exist_ok=True)
    statistics = {split: measure_split(files, split, utc_offset) for split in files.splits}
    print(f"{files.schema.name} in {data_dir}, schema {files.schema.fingerprint}\n")
    print(format_report(statistics, zone), *disagreements(statistics, facts), sep="\n")
    shown = list(files.splits)[-1]
    print(f"\none request group of the {shown} split, times in {zone}\n  ", end="")
    print(describe_group(files, shown, utc_offset).replace("\n", "\n  "), "", sep="\n")
    print(*write_plots(statistics, zone, plot_dir), sep="\n")


def main(arguments: Sequence[str]) -> None:
    """Inspects the folder of the command line; exits with 1 and one line on a refusal."""
    if len(arguments) != 2:
        raise app.UsageError(f"expected one DATA_DIR, got {list(arguments[1:])}")
    try:
        inspect(arguments[1], _PLOT_DIR.value, _UTC_OFFSET_HOURS.value)
    except (ValueError, OSError) as error:  # RecordError and InputError are ValueErrors
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    app.run(main, flags_parser=flag_files.parse_or_exit)
