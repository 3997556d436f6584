"""The share of the attainable AUC."""

import math

from experiments.summary import attainable_share


def test_share_of_the_attainable_auc():
    assert math.isclose(attainable_share(0.65, 0.8), 0.5)
    assert attainable_share(0.5, 0.8) == 0
    assert math.isnan(attainable_share(0.51, 0.5))  # nothing to attain
