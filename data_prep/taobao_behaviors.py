"""The types of events in Taobao's logs, and the setting that selects among them."""

from __future__ import annotations

from collections.abc import Sequence

PAGE_VIEW = "pv"
BEHAVIORS = (PAGE_VIEW, "cart", "fav", "buy")


def check_behaviors(behaviors: Sequence[str]) -> None:
    """Raises:
    ValueError: none is selected, or one that does not exist.
    """
    unknown = [behavior for behavior in behaviors if behavior not in BEHAVIORS]
    if unknown or not behaviors:
        raise ValueError(f"behaviors must be some of {', '.join(BEHAVIORS)}, got {list(behaviors)}")
