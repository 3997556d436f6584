"""`industrial`: logs of a video platform with live rooms."""

from __future__ import annotations

import tensorflow_datasets as tfds

from data_prep.description import DatasetDescription
from data_prep.industrial.config import IndustrialConfig, describe
from data_prep.tfds.request_groups import RequestGroups


class Industrial(RequestGroups):
    """Live rooms shown to users of a video platform, as request groups."""

    DATASET = "industrial"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Request groups with three histories."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    Put impressions.csv (with row_set=source: video_impressions.csv), events.csv and users.csv into `manual_dir`;
    data_prep/industrial/README.md describes them. No such log is public; this generates one:
    python -m data_prep.industrial.generate --output_dir=MANUAL_DIR
    Files with a column scenario or feedback are not for this builder: prepare them with data_prep.industrial, and read
    the records with tfds.builder_from_directory."""

    def _describe(self, dataset_config: IndustrialConfig) -> DatasetDescription:
        return describe(dataset_config)
