"""Randomness without state: a draw belongs to its key, whatever was drawn before it.

Two calls that swap their order, or a fault rule that comes and goes, leave every other draw as it was.
"""

from __future__ import annotations

import hashlib
from functools import cache
from math import exp
from statistics import NormalDist

__all__ = ["Beginning", "end_of", "hex_of", "lognormal", "normal_factor", "uniform"]

_NORMAL = NormalDist()
_BYTES = 16
_BITS = 52  # with a half added, the largest stays below 1
_SPARE = 8 * _BYTES - _BITS
_STEP = 1 / (1 << _BITS)
_BLANK = hashlib.blake2b(digest_size=_BYTES)
"""A copy of it is there sooner than a new one."""
_number_of = int.from_bytes


def uniform(seed: int, *key: object) -> float:
    """A number above 0 and below 1, always the same for the same seed and key."""
    return ((_number_of(_hashed(seed, key).digest()) >> _SPARE) + 0.5) * _STEP


class Beginning:
    """The beginning that many keys have in common, hashed once: where a call is drawn for by rule after rule.

    Args:
        seed, key: as for :func:`uniform`; each draw's key has an end besides.
    """

    __slots__ = ("_state",)

    def __init__(self, seed: int, *key: object) -> None:
        self._state = _hashed(seed, key)

    def uniform(self, end: bytes) -> float:
        """What :func:`uniform` gives for the whole key.

        Args:
            end: the rest of the key, see :func:`end_of`.
        """
        state = self._state.copy()
        state.update(end)
        return ((_number_of(state.digest()) >> _SPARE) + 0.5) * _STEP


def end_of(*key: object) -> bytes:
    """The end of a key, at least one part, for a :class:`Beginning`."""
    return ("\x1f" + "\x1f".join(map(repr, key))).encode()


def lognormal(median: float, sigma: float, seed: int, *key: object) -> float:
    """A log-normal number: half of them are below ``median``, and ``sigma`` is the spread of their logarithms."""
    return median * normal_factor(sigma, uniform(seed, *key)) if sigma else median


def normal_factor(sigma: float, share: float) -> float:
    """What the median of a log-normal distribution is multiplied with to have ``share`` of its numbers below it."""
    return exp(sigma * _NORMAL.inv_cdf(share))


def hex_of(digits: int, seed: int, *key: object) -> str:
    """``digits`` hexadecimal digits, at most 32, for an id."""
    return _hashed(seed, key).hexdigest()[:digits]


def _hashed(seed: int, key: tuple[object, ...]) -> hashlib.blake2b:
    state = _BLANK.copy()
    state.update((_form(1 + len(key)) % (seed, *key)).encode())
    return state


@cache
def _form(parts: int) -> str:
    """Writes the ``repr`` of each part of a key, twice as quickly as joining them does. There are few lengths."""
    return "\x1f".join(["%r"] * parts)
