"""`python -m data_prep.industrial --input_dir=... --output_dir=...`: industrial-style logs -> request groups."""

from data_prep import command
from data_prep.industrial.config import IndustrialConfig
from data_prep.industrial.prepare import prepare

if __name__ == "__main__":
    command.run(IndustrialConfig, prepare)
