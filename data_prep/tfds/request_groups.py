"""What the TFDS builders share: each wraps the preparation of a data set, which alone defines the data."""

from __future__ import annotations

import abc
import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from data_prep.config import PreparationConfig, lasting_settings
from data_prep.description import DatasetDescription
from data_prep.registry import DATASETS
from data_prep.writing.metadata import record_features
from lcn_tf.data.prepared_folder import preparation_facts
from lcn_tf.schema import FIRST_ID


@dataclasses.dataclass(eq=False)
class RequestGroupsConfig(tfds.core.BuilderConfig):
    """Settings of a preparation under a name, which is part of the path of the records.

    Attributes:
      settings: settings of the data set and fields of `PreparationConfig` that differ from their defaults.
    """

    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class RequestGroups(tfds.core.dataset_builder.FileReaderBuilder, skip_registration=True):
    """A data set whose records the preparation writes, with `schema.json`, vocabularies and `preparation.json`.

    Raises:
      ValueError: unknown settings, or records under the configuration's name that were prepared with others.
    """

    DATASET: ClassVar[str]  # its name in `data_prep.registry`
    BUILDER_CONFIGS: ClassVar[list[RequestGroupsConfig]] = [
        RequestGroupsConfig(name="default", description="Every setting at its default.")]
    # Nothing is downloaded. To find that out by itself, TFDS 4.9 needs importlib_resources, which it does not require.
    url_infos = None

    def __init__(self, **arguments: Any):
        super().__init__(**arguments)
        self._check_settings(preparation_facts(self.data_dir).get("settings"))

    @abc.abstractmethod
    def _describe(self, dataset_config: Any) -> DatasetDescription:
        """Roles of the columns and texts about the data set; names need not depend on the files."""

    def _info(self) -> tfds.core.DatasetInfo:
        dataset_config, preparation = self._settings()
        description = self._describe(dataset_config)
        schema = description.schema(dict.fromkeys(description.vocabulary_names, FIRST_ID), preparation)
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(record_features(schema)), **description.about)

    def _download_and_prepare(self, dl_manager: tfds.download.DownloadManager,
                              download_config: tfds.download.DownloadConfig) -> None:
        if self.info.file_format != tfds.core.FileFormat.TFRECORD:
            raise ValueError(f"{self.name}: file_format must be tfrecord, got {self.info.file_format.value}")
        for option, instead in (("max_examples_per_split", "a smaller log"), ("num_shards", "the setting 'shards'")):
            if getattr(download_config, option) is not None:
                raise ValueError(f"{self.name}: {option} is not supported; use {instead}")
        dataset_config, preparation = self._settings()
        # TFDS calls its temporary folder otherwise each time; under one name, a killed preparation can be continued.
        prepared = os.fspath(self.data_path.parent / f"prepared-{self.version}")
        DATASETS[self.DATASET].prepare(os.fspath(dl_manager.manual_dir), prepared, dataset_config, preparation)
        os.replace(prepared, self.data_dir)
        self.info.set_splits(tfds.builder_from_directory(self.data_dir).info.splits)

    def _settings(self) -> tuple[Any, PreparationConfig]:
        """The configuration as settings of the data set and of the preparation."""
        classes = (DATASETS[self.DATASET].config_class, PreparationConfig)
        names = [[field.name for field in dataclasses.fields(config_class)] for config_class in classes]
        settings = {name: tuple(value) if isinstance(value, list) else value  # JSON has no tuples
                    for name, value in self.builder_config.settings.items()}
        unknown = sorted(set(settings).difference(*names))
        if unknown:
            raise ValueError(f"{self.name}/{self.builder_config.name}: unknown settings {unknown}; there are "
                             f"{sorted(name for known in names for name in known)}")
        dataset_config, preparation = (
            config_class(**{name: settings[name] for name in known if name in settings})
            for config_class, known in zip(classes, names, strict=True))
        return dataset_config, preparation

    def _check_settings(self, prepared: Mapping[str, Any] | None) -> None:
        """Compares the configuration with what the records under its name, if any, were prepared with."""
        if prepared is None:
            return
        settings = self._settings()
        asked, default = (json.loads(json.dumps(lasting_settings(*configs)))
                          for configs in (settings, [type(config)() for config in settings]))
        made = {**default, **prepared}  # records may be older than a setting
        other = [f"{name}={made[name]!r}" for name, value in asked.items() if made[name] != value]
        if other:
            raise ValueError(f"{self.data_dir} was prepared with other settings ({', '.join(other)}): give the "
                             "configuration another name, or delete the folder")
