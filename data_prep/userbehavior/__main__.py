"""`python -m data_prep.userbehavior --input_dir=... --output_dir=...`: Taobao's UserBehavior log -> request groups."""

from data_prep import command
from data_prep.userbehavior.config import UserBehaviorConfig
from data_prep.userbehavior.prepare import prepare

if __name__ == "__main__":
    command.run(UserBehaviorConfig, prepare)
