"""Anybody's logs -> request groups.

    python -m data_prep.own_logs suggest FILES > logs.toml        # a draft of the mapping file
    python -m data_prep.own_logs --mapping=logs.toml --output_dir=DATA
"""

import sys

from data_prep import command
from data_prep.errors import InputError
from data_prep.own_logs.config import OwnLogsConfig
from data_prep.own_logs.prepare import prepare
from data_prep.own_logs.suggest import suggest

if __name__ == "__main__":
    if sys.argv[1:2] == ["suggest"]:
        if not sys.argv[2:]:
            sys.exit("usage: python -m data_prep.own_logs suggest FILES > logs.toml")
        try:
            print(suggest(sys.argv[2:]), end="")
        except InputError as error:
            sys.exit(f"error: {error}")
    else:
        command.run(OwnLogsConfig, prepare, "folder from which the mapping names files; none: that of the mapping file",
                    input_dir_required=False)
