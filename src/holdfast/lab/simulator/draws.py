"""Randomness without state: a draw belongs to its key, whatever was drawn before it.

Two calls that swap their order, or a fault rule that comes and goes, leave every other draw as it was.
"""

from __future__ import annotations

import hashlib
from math import exp
from statistics import NormalDist

__all__ = ["hex_of", "lognormal", "normal_factor", "uniform"]

_NORMAL = NormalDist()
_BITS = 52  # with a half added, the largest stays below 1
_STEP = 1 / (1 << _BITS)


def uniform(seed: int, *key: object) -> float:
    """A number above 0 and below 1, always the same for the same seed and key."""
    return ((int.from_bytes(_digest(seed, key)[:8]) >> (64 - _BITS)) + 0.5) * _STEP


def lognormal(median: float, sigma: float, seed: int, *key: object) -> float:
    """A log-normal number: half of them are below ``median``, and ``sigma`` is the spread of their logarithms."""
    return median * normal_factor(sigma, uniform(seed, *key)) if sigma else median


def normal_factor(sigma: float, share: float) -> float:
    """What the median of a log-normal distribution is multiplied with to have ``share`` of its numbers below it."""
    return exp(sigma * _NORMAL.inv_cdf(share))


def hex_of(digits: int, seed: int, *key: object) -> str:
    """``digits`` hexadecimal digits, at most 32, for an id."""
    return _digest(seed, key).hex()[:digits]


def _digest(seed: int, key: tuple[object, ...]) -> bytes:
    return hashlib.blake2b("\x1f".join(map(repr, (seed, *key))).encode(), digest_size=16).digest()
