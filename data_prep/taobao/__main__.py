"""`python -m data_prep.taobao --input_dir=... --output_dir=...`: the four Taobao files -> request groups."""

from data_prep import command
from data_prep.taobao.config import TaobaoConfig
from data_prep.taobao.prepare import prepare

if __name__ == "__main__":
    command.run(TaobaoConfig, prepare)
