"""`python -m data_prep.content_vectors DATA --table=author --vectors=FILE.npz`: frozen vectors for a table's ids.

The file (`.npz` or `.parquet`) has `ids`, raw values as the log has them, and `vectors`, a row of numbers for each.
They are put in the order of the table's ids, into `DATA/vectors/`, and `schema.json` names them. The records stay as
they are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import app, flags

from command_line import flag_files
from data_prep.content_vectors.table_vectors import add_vectors

_TABLE = flags.DEFINE_string("table", None, "table of the schema whose ids get vectors", required=True)
_VECTORS = flags.DEFINE_string(
    "vectors", None, "NumPy file (.npz) with ids [n], integers or strings, and vectors [n, width], floats; or a "
    "Parquet file with these columns",
    required=True)


def main(arguments: Sequence[str]) -> None:
    """Adds the vectors of the command line; exits with 1 and one line on a refusal."""
    if len(arguments) != 2:
        raise app.UsageError(f"expected one DATA, got {list(arguments[1:])}")
    try:
        added = add_vectors(arguments[1], _TABLE.value, _VECTORS.value)
    except (ValueError, OSError) as error:  # InputError is a ValueError
        sys.exit(f"error: {' '.join(str(error).splitlines())}")
    print(f"{added.known:,} of {added.ids:,} ids of the vocabulary of {_TABLE.value} have a vector "
          f"({added.known / added.ids:.1%}), of {added.width:,} numbers, in {added.path}")
    if added.unused:
        print(f"vectors of values that the vocabulary does not have: {added.unused:,}")


if __name__ == "__main__":
    app.run(main, flags_parser=flag_files.parse_or_exit)
