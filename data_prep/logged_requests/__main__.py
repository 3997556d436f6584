"""`python -m data_prep.logged_requests --requests=FILE --labels=LABELS.csv --data_dir=DATA --output_dir=OUT`.

Requests that a server logged become records, with the labels that a file gives their candidates: nothing is prepared.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import app, flags

from command_line import flag_files
from data_prep.command import report
from data_prep.logged_requests.labelled_records import write_records
from lcn_tf.data.prepared_folder import preparation_facts

_REQUESTS = flags.DEFINE_string(
    "requests", None, "TFRecords of tensorflow.serving.PredictionLog, as TensorFlow Serving logs them", required=True)
_LABELS = flags.DEFINE_string(
    "labels", None, "CSV or Parquet with request (its number in the file of requests, a user's each, from 1), "
    "candidate (from 1) and a column for each label of the schema; candidates without a row are left out",
    required=True)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "prepared data of the model that was asked: its schema, vocabularies, time zone", required=True)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "new or empty directory of the records", required=True)


def main(arguments: Sequence[str]) -> None:
    """Writes the records; exits with 1 and one line on a refusal."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments: {arguments[1:]}")
    try:
        write_records(_REQUESTS.value, _LABELS.value, _DATA_DIR.value, _OUTPUT_DIR.value)
    except (ValueError, OSError) as error:  # InputError is a ValueError, OutputError an OSError
        sys.exit(f"error: {' '.join(str(error).splitlines())}")
    print(report(preparation_facts(_OUTPUT_DIR.value)))


if __name__ == "__main__":
    app.run(main, flags_parser=flag_files.parse_or_exit)
