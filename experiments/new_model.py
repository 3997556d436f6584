"""The model that the flags of an experiment compose."""

from __future__ import annotations

from experiments.flags import Experiment
from lcn_tf.data.record_files import RecordFiles
from lcn_tf.models import CTRModel, build_model


def new_model(experiment: Experiment, files: RecordFiles) -> CTRModel:
    """Composes the model of an experiment for the records that it reads (`prepared_data.files_of`).

    Raises:
      ValueError: what `build_model` refuses.
    """
    groups = experiment.groups
    return build_model(files.schema, groups["data"].lengths_of(files.schema), groups["model"], experiment.components,
                       groups["embeddings"], groups["train"].seed, files.vectors(), files.catalogue, groups["balance"])
