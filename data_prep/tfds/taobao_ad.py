"""`taobao_ad`: Tianchi data set 56."""

from __future__ import annotations

import tensorflow_datasets as tfds

from data_prep.description import DatasetDescription
from data_prep.taobao.config import TaobaoConfig, describe
from data_prep.tfds.request_groups import RequestGroups


class TaobaoAd(RequestGroups):
    """Display ads of Taobao with their users' behaviour, as request groups."""

    DATASET = "taobao"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Request groups with three histories."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    Register at https://tianchi.aliyun.com/dataset/56 and download raw_sample, ad_feature, user_profile and behavior_log
    into `manual_dir`, as .csv, .csv.gz or .tar.gz. Without them, generated logs of the same format will do:
    python -m data_prep.taobao.generate --output_dir=MANUAL_DIR"""

    def _describe(self, dataset_config: TaobaoConfig) -> DatasetDescription:
        return describe(dataset_config)
