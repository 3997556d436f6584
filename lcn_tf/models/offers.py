"""Whether a part offers all of an optional protocol of `lcn_tf.contracts`, or nothing of it."""

from __future__ import annotations

from typing import Any

from lcn_tf.contracts import Explains, KeepsState, OwnLoss, SearchesByHead, SearchesTables, UpdatesState

_OFFERS = {"explain": Explains, "head_scores": SearchesByHead, "search_tables": SearchesTables,
           "state_of": KeepsState, "from_state": KeepsState, "updated": UpdatesState,
           "own_terms": OwnLoss, "interest_and_losses": OwnLoss}


def check_offers(name: str, part: Any) -> None:
    """Refuses a lifelong model that offers something by halves, which `isinstance` would take for nothing.

    Raises:
      ValueError: it has a member of an optional protocol, but not all of them.
    """
    members = set(dir(part))
    for member, protocol in _OFFERS.items():
        if member in members and not isinstance(part, protocol):
            needed = {*vars(protocol), *protocol.__annotations__}
            missing = sorted(other for other in needed - members if not other.startswith("_"))
            raise ValueError(f"{name} has {member}, but lacks {', '.join(missing)} of lcn_tf.contracts."
                             f"{protocol.__name__}")
