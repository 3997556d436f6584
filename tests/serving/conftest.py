"""One small LCN with CRP's defaults and an optimiser, exported once for all tests of serving."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from lcn_tf.data import pipeline, records
from lcn_tf.data.pipeline import DataConfig, RecordFiles
from lcn_tf.embeddings import EmbeddingConfig
from lcn_tf.long_term import lap
from lcn_tf.models import CTRModel, ModelConfig, build_model
from lcn_tf.schema import FeatureSchema
from lcn_tf.serving.export import export_model
from tests import synthetic

DATA = DataConfig(short_length=5, lifelong_length=17)  # the records hold 5, 7 and 23 events
LAP = lap.Config(msa_top_k=7, fsa_top_k=3, attention_dim=12)


def small_model(schema: FeatureSchema, configs: Mapping[tuple[str, str], Any] | None = None, **parts: Any) -> CTRModel:
    """A model with random weights large enough that candidates differ."""
    tf.keras.utils.set_random_seed(11)
    configs = {("long_term", "lap"): LAP, **(configs or {})}
    lengths = DATA.lengths_of(schema)
    model = build_model(schema, lengths, ModelConfig(**parts), configs, EmbeddingConfig(embedding_dim=5),
                        catalogue=lambda: synthetic.catalogue(schema))
    model.build_weights()
    for variable in model.embedder.variables:
        variable.assign(variable * 3.0)
    return model


def live_probability(model: CTRModel, groups: Sequence[synthetic.Group]) -> np.ndarray:
    """What the model says in training's own batches, `[G, C]`, 0 at padded candidates."""
    serialized = tf.constant([records.encode(model.embedder.schema, group) for group in groups])
    batch = pipeline.grouped_rows(model.embedder.schema, serialized, model.embedder.lengths)
    probability = 1 / (1 + np.exp(-model(batch, training=False).numpy().astype(np.float64)))
    return np.where(batch["candidate_mask"], probability, 0)


@dataclasses.dataclass(frozen=True)
class Exported:
    """A model, the data set it was exported with, and its export loaded again."""

    model: CTRModel
    files: RecordFiles
    path: pathlib.Path
    loaded: Any

    def serve(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """Outputs of a signature of the export."""
        outputs = self.loaded.signatures[signature](**{name: tf.constant(values) for name, values in inputs.items()})
        return {name: values.numpy() for name, values in outputs.items()}


@pytest.fixture(scope="session")
def record_files(tmp_path_factory) -> RecordFiles:
    folder = tmp_path_factory.mktemp("data")
    synthetic.write_records(folder, offsets=True)
    return RecordFiles.open(str(folder))


@pytest.fixture(scope="session")
def exported(record_files, tmp_path_factory) -> Exported:
    model = small_model(record_files.schema)
    model.compile(optimizer=tf.keras.optimizers.Adam())
    model.optimizer.build(model.trainable_variables)
    path = export_model(model, str(tmp_path_factory.mktemp("run") / "saved_model"), record_files, DATA)
    return Exported(model, record_files, pathlib.Path(path), tf.saved_model.load(path))
