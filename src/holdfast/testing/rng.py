"""Randomness that comes out the same every time."""

from __future__ import annotations

import random

__all__ = ["seeded_rng"]


def seeded_rng(seed: int, *key: object) -> random.Random:
    """A generator of its own for each ``key`` (a component, a request, an attempt) under one ``seed``.

    Streams with different keys do not disturb each other: adding a draw to one leaves the others as they were. The
    same seed and key give the same numbers in every process (the seed is hashed with SHA-512, not with ``hash()``).
    """
    return random.Random("\x1f".join(map(repr, (seed, *key))))  # noqa: S311  for tests
