"""`python -m data_prep.tfds taobao_ad --manual_dir=LOGS`: `tfds build`, with its arguments, for the builders here.

The command `tfds` itself starts only where apache-beam and mlcroissant are installed (tensorflow/datasets issue 5463),
which it does not need for this.
"""

from absl import app
from tensorflow_datasets.scripts.cli import build, cli_utils

import data_prep.tfds  # noqa: F401  (registers the builders)

if __name__ == "__main__":
    app.run(build.Args.execute, flags_parser=cli_utils.make_flags_parser(build.Args, "Prepares data sets as TFDS does"))
