"""Commands: training runs, the paper's tables and figures, benchmarks. Nothing in `lcn_tf` imports from here."""

import lcn_tf  # noqa: F401  (chooses Keras and products before TensorFlow is loaded)
