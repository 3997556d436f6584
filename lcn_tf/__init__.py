"""Lifelong Cross Network (LCN, KDD 2024) for TensorFlow: cross-domain lifelong sequential modelling."""

import os
import sys

__version__ = "0.1.0"

# tensorflow-recommenders needs Keras 2; a process that has already loaded Keras 3 keeps it (layers still work).
if "keras" not in sys.modules:
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
