"""`movielens_cross_domain`: MovieLens ratings, one genre as the target domain."""

from __future__ import annotations

import tensorflow_datasets as tfds

from data_prep.description import DatasetDescription
from data_prep.movielens.config import MovieLensConfig, describe
from data_prep.tfds.request_groups import RequestGroups


class MovielensCrossDomain(RequestGroups):
    """MovieLens ratings as clicks of two domains, as request groups."""

    DATASET = "movielens"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Request groups with three histories."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    Download a MovieLens data set with ratings.csv and movies.csv, for example ml-latest-small, from
    https://grouplens.org/datasets/movielens/ and put these two files into `manual_dir`."""

    def _describe(self, dataset_config: MovieLensConfig) -> DatasetDescription:
        # The ratings tell the splits; features and texts do not depend on them.
        return describe(dataset_config, splits={})
