"""Writes a model as a SavedModel that TF Serving can rank with.

| in `export_dir/<version>/`                | what                                                                   |
|-------------------------------------------|------------------------------------------------------------------------|
| `saved_model.pb`, `variables/`            | the signatures and the weights that inference reads, nothing else      |
| `assets.extra/README.md`                  | how to build requests, and what the answers' warnings mean             |
| `assets.extra/schema.json`                | the same for programs: features and tables                             |
| `assets.extra/vocabularies/`              | raw value of every id, where the prepared data has them                |
| `assets.extra/tf_serving_warmup_requests` | see `lcn_tf.serving.warmup`                                            |
| `assets.extra/verification.npz`           | recorded requests and the model's answers, for `lcn_tf.serving.verify` |

Shape letters: G requests, C candidates.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.special import expit

from lcn_tf.data.pipeline import DataConfig, RecordFiles
from lcn_tf.data.prepared_folder import VOCABULARIES
from lcn_tf.models import CTRModel
from lcn_tf.serving.recorded_requests import RecordedRequests, requests_from_records
from lcn_tf.serving.request_guide import request_guide
from lcn_tf.serving.signatures import build_signatures, probability_name
from lcn_tf.serving.user_state import build_state_signatures, state_warmup_logs
from lcn_tf.serving.verify import VERIFICATION_PATH
from lcn_tf.serving.vocabularies import export_vocabularies
from lcn_tf.serving.warmup import warmup_logs, write_warmup

RECORDS = 8  # of the test split, for warm-up and verification
REQUESTS = 32  # that these make at most


def export_model(model: CTRModel, export_dir: str, files: RecordFiles, data: DataConfig, split: str = "test",
                 version: int | None = None, vocabularies: str | None = None) -> str:
    """Writes the next version of a model; a reader sees it whole or not at all.

    Args:
      model: with its weights built; it may live on several replicas.
      export_dir: folder of versions, created if need be.
      files: the data set, of which a split provides warm-up and verification requests.
      data: lengths of the histories the model was trained on.
      split: which.
      version: None for 1 + the largest that is present.
      vocabularies: folder of a text file `<table>.txt` for each vocabulary; None for that of the data set, if it has
        one.

    Returns:
      Path of the version: `export_dir/<version>`.

    Raises:
      FileExistsError: there is such a version.
      ValueError: the data set's schema or the lengths are not the model's.
    """
    schema = model.embedder.schema
    if files.schema != schema:
        raise ValueError(f"files: expected the model's schema ({schema.name!r}, {schema.fingerprint}), got that of "
                         f"{files.data_dir} ({files.schema.name!r}, {files.schema.fingerprint})")
    if data.lengths_of(schema) != model.embedder.lengths:
        raise ValueError(f"data: expected the model's history lengths {model.embedder.lengths}, got "
                         f"{data.lengths_of(schema)}")
    recorded = requests_from_records(files, split, data, RECORDS, REQUESTS)
    signatures = build_signatures(model)
    module = tf.Module(name="click_model")
    of_state = build_state_signatures(model)
    with_state = {**signatures, **of_state}
    module.inference_weights = weights_read(model.variables, with_state.values())

    os.makedirs(export_dir, exist_ok=True)
    version = version or next_version(export_dir)
    path = os.path.join(export_dir, str(version))
    if os.path.exists(path):
        raise FileExistsError(f"{path} exists already")
    partial = os.path.join(export_dir, f".{version}.partial")  # not a number: TF Serving does not look into it
    shutil.rmtree(partial, ignore_errors=True)
    tf.saved_model.save(module, partial, signatures=with_state)
    extra = os.path.join(partial, "assets.extra")
    os.makedirs(extra)
    with open(os.path.join(extra, "schema.json"), "w", encoding="utf-8") as file:
        file.write(schema.to_json())
    fingerprint = export_vocabularies(vocabularies or os.path.join(files.data_dir, VOCABULARIES), extra)
    with open(os.path.join(extra, "README.md"), "w", encoding="utf-8") as file:
        file.write(request_guide(schema, model.embedder.lengths, tuple(with_state), fingerprint))
    write_warmup(partial, [*warmup_logs(schema.name, signatures, recorded),
                           *state_warmup_logs(schema.name, of_state, recorded.tensors)])
    _write_verification(os.path.join(partial, VERIFICATION_PATH), model, recorded)
    os.rename(partial, path)
    return path


def next_version(export_dir: str) -> int:
    """One more than the largest number among the folder's entries."""
    return 1 + max((int(name) for name in os.listdir(export_dir) if name.isdecimal()), default=0)


def weights_read(variables: Iterable[tf.Variable], functions: Iterable[Any]) -> list[tf.Variable]:
    """Those variables that a concrete function reads; a variable with replicas counts when any replica is read."""
    captured = {id(tensor) for function in functions for tensor in function.captured_inputs}
    strategy = tf.distribute.get_strategy()
    return [variable for variable in variables if any(
        id(replica.handle) in captured for replica in strategy.experimental_local_results(variable))]


def predict(model: CTRModel, recorded: RecordedRequests) -> dict[str, np.ndarray]:
    """The live model's probabilities `[G, C]` float32 by output, scored impression by impression as in training."""
    with tf.device("CPU:0"):  # where verification runs
        logits = model(recorded.impressions, training=False, returns="logits")
    return {probability_name(model, label): recorded.arrange(expit(logit[:, 0].numpy().astype(np.float64)).astype(
        np.float32)) for label, logit in logits.items()}


def _write_verification(path: str, model: CTRModel, recorded: RecordedRequests) -> None:
    arrays: dict[str, Any] = {f"request/{name}": values for name, values in recorded.tensors.items()}
    arrays["examples_bytes"] = np.frombuffer(b"".join(recorded.examples), np.uint8)
    arrays["examples_lengths"] = np.array([len(example) for example in recorded.examples])
    arrays.update(predict(model, recorded))
    arrays["candidate_mask"] = recorded.arrange(np.ones(len(recorded.position), bool))
    np.savez_compressed(path, **arrays)
