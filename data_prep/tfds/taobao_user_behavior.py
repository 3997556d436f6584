"""`taobao_user_behavior`: Tianchi data set 649."""

from __future__ import annotations

import tensorflow_datasets as tfds

from data_prep.description import DatasetDescription
from data_prep.tfds.request_groups import RequestGroups
from data_prep.userbehavior.config import UserBehaviorConfig, describe


class TaobaoUserBehavior(RequestGroups):
    """Page views of Taobao as clicks, with sampled negatives, as request groups."""

    DATASET = "userbehavior"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Request groups with three histories."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    Register at https://tianchi.aliyun.com/dataset/649 and download UserBehavior.csv into `manual_dir`, as .csv, .csv.gz
    or .tar.gz."""

    def _describe(self, dataset_config: UserBehaviorConfig) -> DatasetDescription:
        return describe(dataset_config)
