"""What each kind of part offers the model that composes it, and what it is given.

A part is a module `lcn_tf/<kind>/<name>.py` with `VERSION`, a frozen dataclass `Config` and `build(config)`, which
returns what its kind's protocol here describes; a tower is also given a `TowerSpec`, a head the schema's labels, a
table a `TableSpec`. Some offers are optional: a lifelong model that chooses events also `Explains`, one with a loss of
its own is also an `OwnLoss`, an encoder of a short history that reads others `ReadsOthers`, an objective that draws
from all items a `ReadsCatalogue`. Whoever wants to know asks `isinstance(part, Explains)`. What a layer adds by
`add_loss` joins the loss.

    class Mean(tf.keras.layers.Layer):  # a LongTerm: the mean of the visible events
        def call(self, candidate, history, training=False):
            weights = tf.cast(history.mask, history.items.dtype)  # [B, C, L]
            return tf.math.divide_no_nan(weights @ history.items, tf.reduce_sum(weights, -1, keepdims=True))

Shape letters: B requests, C candidates, L events, K chosen events, H heads, D item width, D_c context width, W width of
an interest, F width of a candidate's features, U width of the tower's last layer.
"""

from lcn_tf.contracts.histories import (
    Explains,
    History,
    KeepsState,
    LongTerm,
    OwnLoss,
    ReadsExtra,
    ReadsOthers,
    SearchesByHead,
    SearchesTables,
    SearchTables,
    ShortTerm,
    TrainingInputs,
    UpdatesState,
)
from lcn_tf.contracts.objectives import (
    AfterUpdate,
    Catalogue,
    ComparesRows,
    Everyone,
    LookedUp,
    Objective,
    ReadsCatalogue,
    ReadsItems,
)
from lcn_tf.contracts.scoring import (
    Head,
    ReadsFields,
    SharesLastLayer,
    Tower,
    TowerInputs,
    TowerSpec,
)
from lcn_tf.contracts.tables import (
    GivesRows,
    HasRowWeights,
    OwnUpdate,
    RowState,
    SecondPass,
    Table,
    TableSpec,
    TableStep,
)

__all__ = [
    "Explains",
    "HasRowWeights",
    "History",
    "KeepsState",
    "LongTerm",
    "OwnLoss",
    "ReadsExtra",
    "ReadsOthers",
    "SearchesByHead",
    "SearchesTables",
    "SearchTables",
    "ShortTerm",
    "TrainingInputs",
    "UpdatesState",
    "AfterUpdate",
    "Catalogue",
    "ComparesRows",
    "Everyone",
    "LookedUp",
    "Objective",
    "ReadsCatalogue",
    "ReadsItems",
    "Head",
    "ReadsFields",
    "SharesLastLayer",
    "Tower",
    "TowerInputs",
    "TowerSpec",
    "GivesRows",
    "OwnUpdate",
    "RowState",
    "SecondPass",
    "Table",
    "TableSpec",
    "TableStep",
]
