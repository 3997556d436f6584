"""Lifelong Cross Network (LCN, KDD 2024) for TensorFlow: cross-domain lifelong sequential modelling.

`import lcn_tf` loads nothing else, not even TensorFlow, and comes before TensorFlow: models need Keras 2, which it asks
for (layers work with either). What it offers is loaded when it is first used:

| name                                                        | what                                               |
|-------------------------------------------------------------|----------------------------------------------------|
| `layers`                                                    | LAP, CRP's loss and other layers for any model     |
| `Feature`, `FeatureSchema`, `schema`                        | which features records and batches have            |
| `build_model`, `ModelConfig`, `EmbeddingConfig`, `CTRModel` | a model composed of components; more in `models`   |
| `contracts`                                                 | what a component of one's own offers               |
| `data`                                                      | record files, batches                              |
| `training`, `optimizers`                                    | the loop, strategies, predictions; row-sparse Adam |
| `metrics`                                                   | AUC, GAUC, calibration, tests of differences       |
| `serving`                                                   | export as SavedModel, verification                 |
| `embeddings`                                                | tables and look-ups, for a model composed by hand  |
"""

import os
import sys
from typing import TYPE_CHECKING

from lcn_tf import lazy_names

__version__ = "0.1.0"

# tensorflow-recommenders needs Keras 2; a process that has already loaded Keras 3 keeps it (layers still work).
if "keras" not in sys.modules:
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

# TensorFlow chooses oneDNN's products by itself on processors with AVX-512 alone. Its own round otherwise for a request
# than for a candidate, and where equal events tie, a search then keeps others in training than in serving.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__all__ = [
    "CTRModel",
    "EmbeddingConfig",
    "Feature",
    "FeatureSchema",
    "ModelConfig",
    "build_model",
    "contracts",
    "data",
    "embeddings",
    "layers",
    "metrics",
    "models",
    "optimizers",
    "schema",
    "serving",
    "training",
]

if TYPE_CHECKING:
    from lcn_tf import contracts, data, embeddings, layers, metrics, models, optimizers, schema, serving, training
    from lcn_tf.embeddings import EmbeddingConfig
    from lcn_tf.models import CTRModel, ModelConfig, build_model
    from lcn_tf.schema import Feature, FeatureSchema
else:  # type checkers would take any name for one that `__getattr__` knows
    __getattr__, __dir__ = lazy_names.offer(__name__, __all__, {
        "CTRModel": "lcn_tf.models",
        "EmbeddingConfig": "lcn_tf.embeddings",
        "Feature": "lcn_tf.schema",
        "FeatureSchema": "lcn_tf.schema",
        "ModelConfig": "lcn_tf.models",
        "build_model": "lcn_tf.models",
    })
