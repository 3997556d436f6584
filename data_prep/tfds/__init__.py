"""The data sets as builders of TensorFlow Datasets; importing this package registers them for `tfds.load`."""

from data_prep.tfds.industrial import Industrial
from data_prep.tfds.movielens_cross_domain import MovielensCrossDomain
from data_prep.tfds.request_groups import RequestGroups, RequestGroupsConfig
from data_prep.tfds.taobao_ad import TaobaoAd
from data_prep.tfds.taobao_user_behavior import TaobaoUserBehavior

__all__ = ["Industrial", "MovielensCrossDomain", "RequestGroups", "RequestGroupsConfig", "TaobaoAd",
           "TaobaoUserBehavior"]
