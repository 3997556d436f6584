"""What lies beside the records and says what they are: the metadata of TensorFlow Datasets, and `schema.json`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lcn_tf.schema import FeatureSchema


def write_metadata(folder: str, schema: FeatureSchema, summaries: list[dict[str, dict[str, Any]]],
                   about: Mapping[str, str], splits: Sequence[str]) -> None:
    """Writes `features.json`, `dataset_info.json` and `schema.json`, once all shards of the splits are written."""
    import tensorflow_datasets as tfds

    template = tfds.core.ShardedFileTemplate(dataset_name=schema.name, data_dir=folder, filetype_suffix="tfrecord")
    tfds.folder_dataset.write_metadata(
        data_dir=folder, features=record_features(schema), filename_template=template, check_data=False,
        split_infos=[tfds.core.SplitInfo(
            name=split, shard_lengths=[summary[split]["groups"] for summary in summaries],
            num_bytes=sum(summary[split]["bytes"] for summary in summaries), filename_template=template)
            for split in splits], **about)
    with open(os.path.join(folder, "schema.json"), "w", encoding="utf-8") as file:
        file.write(schema.to_json())


def record_features(schema: FeatureSchema) -> dict[str, Any]:
    """The features of a record as TFDS describes them: a number for the user's, a list for all others."""
    import tensorflow_datasets as tfds

    one, many = tfds.features.Scalar(np.int64), tfds.features.Tensor(shape=(None,), dtype=np.int64)
    return {name: one if name in schema.user_names else many for name in schema.record_names}
