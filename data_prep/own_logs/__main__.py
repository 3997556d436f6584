"""`python -m data_prep.own_logs --mapping=logs.toml --output_dir=...`: anybody's logs -> request groups."""

from data_prep import command
from data_prep.own_logs.config import OwnLogsConfig
from data_prep.own_logs.prepare import prepare

if __name__ == "__main__":
    command.run(OwnLogsConfig, prepare, "folder from which the mapping names files; none: that of the mapping file",
                input_dir_required=False)
