"""Random numbers that are known by what they are for: the same key gives the same number, whoever asks, and when.

Counter-based, by the finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
OOPSLA 2014): keys are mixed one after the other, and 53 bits of the result are the draw.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def uniform(*keys: np.ndarray | int) -> np.ndarray:
    """Uniform draws within (0, 1), float64, of the shape that the integer keys broadcast to."""
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for key in keys:
            state = _mixed((state ^ np.asarray(key).astype(np.uint64)) + _GOLDEN)
    return ((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normal(*keys: np.ndarray | int) -> np.ndarray:
    """Standard normal draws, likewise."""
    return ndtri(uniform(*keys))


def _mixed(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))
