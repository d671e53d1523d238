"""Packing a run of small pieces into passages of about the same size, cut where it hurts least.

The cost of a passage grows with the square of its distance from the target size, the cost of a cut depends on what it
tears apart; dynamic programming finds the cheapest way through, as Knuth and Plass do for the lines of a paragraph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Piece", "pack"]

OVERSHOOT = 0.6
"""What a passage of the largest size costs; an empty one costs 1 for being off target and 1 for being too small."""


class Piece(NamedTuple):
    """A range of characters that is not cut any more.

    Attributes:
        cut: what it costs to cut before it.
    """

    start: int
    end: int
    cut: float


def pack(pieces: Sequence[Piece], *, target: int, smallest: int, largest: int) -> list[tuple[int, int]]:
    """Ranges ``(first, last)`` of ``pieces``, one a passage, ``last`` exclusive.

    No passage is longer than ``largest``, unless a single piece is. Takes time proportional to the number of pieces
    times the number of them that fit into one passage.
    """
    count = len(pieces)
    best = [0.0] * (count + 1)
    came_from = [0] * (count + 1)
    for last in range(1, count + 1):
        end = pieces[last - 1].end
        cheapest = float("inf")
        for first in range(last - 1, -1, -1):
            length = end - pieces[first].start
            if length > largest and first < last - 1:
                break
            cost = best[first] + _size_cost(length, target, smallest, largest) + (pieces[first].cut if first else 0.0)
            if cost < cheapest:
                cheapest, came_from[last] = cost, first
        best[last] = cheapest
    ranges = []
    last = count
    while last:
        ranges.append((came_from[last], last))
        last = came_from[last]
    ranges.reverse()
    return ranges


def _size_cost(length: int, target: int, smallest: int, largest: int) -> float:
    if length > target:
        over = (length - target) / max(largest - target, 1)
        return OVERSHOOT * over * over
    under = (target - length) / target
    return under * under + max(0.0, (smallest - length) / smallest)
