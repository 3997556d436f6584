"""Which arm serves a user: by a hash of the user and the test's salt, the same on every day and machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuses shares that are no shares.

    Raises:
      ValueError: one that is not above 0, or a sum other than 1.
    """
    for arm, share in shares.items():
        if not share > 0:
            raise ValueError(f"shares: that of arm {arm} must be above 0, got {share}")
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise ValueError(f"shares must have a sum of 1, got {sum(shares.values())}")


def assigned(users: np.ndarray, shares: Mapping[str, float], salt: str) -> np.ndarray:
    """`[U]` place of each user's arm.

    Args:
      users: `[U]` raw ids.
      shares: arm -> share of the users, with a sum of 1.
      salt: of the test: another one mixes the users anew.

    Raises:
      ValueError: what `check_shares` refuses.
    """
    check_shares(shares)
    bounds = np.cumsum(list(shares.values()))[:-1]
    return np.searchsorted(bounds, [_place(user, salt) for user in users.tolist()], side="right")


def _place(user: int, salt: str) -> float:
    """A number from 0 to 1 that is uniform over users."""
    digest = hashlib.sha256(f"{salt}:{user}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
