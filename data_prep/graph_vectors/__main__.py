"""`python -m data_prep.graph_vectors DATA --table=author`: frozen vectors of items and users from the training records.

The records' events and clicks are edges between users and items, by behaviour; vectors pass along them and are trained
to rank what a user did before what the user did not (CIGF, Guo et al., WWW 2023). They go into `DATA/vectors/`, and
`schema.json` names them. The records stay as they are. `--model.tables=author:pretrained` reads them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import app, flags

from command_line import dataclass_flags, flag_files
from data_prep.graph_vectors.config import GraphConfig
from data_prep.graph_vectors.graph_step import add_graph_vectors

_TABLE = flags.DEFINE_string("table", None, "table of an item feature: its ids are the items", required=True)
_USER_TABLE = flags.DEFINE_string("user_table", None, "table of a user feature that gets vectors, too")
dataclass_flags.define("", GraphConfig)


def main(arguments: Sequence[str]) -> None:
    """Adds the vectors of the command line; exits with 1 and one line on a refusal."""
    if len(arguments) != 2:
        raise app.UsageError(f"expected one DATA, got {list(arguments[1:])}")
    try:
        written = add_graph_vectors(arguments[1], _TABLE.value, _USER_TABLE.value,
                                    dataclass_flags.read("", GraphConfig), lambda line: print(line, flush=True))
    except (ValueError, OSError) as error:  # InputError and RecordError are ValueErrors
        sys.exit(f"error: {' '.join(str(error).splitlines())}")
    for table, of in written.items():
        print(f"{of.known:,} of {of.ids:,} ids of {table} have a vector ({of.known / max(of.ids, 1):.1%}), of "
              f"{of.width:,} numbers, in {of.path}")


if __name__ == "__main__":
    app.run(main, flags_parser=flag_files.parse_or_exit)
