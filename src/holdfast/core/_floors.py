"""The lowest level that a bucket has had since each of many moments: what may be given back of what came in then.

A sequence of *stretches*, each from one moment to the next; a stretch knows the lowest level that was seen in it. Asked
for are the lowest level from a stretch on, and to lower all levels from a stretch on. Both take a number of steps that
grows with the logarithm of the number of stretches: a binary tree over them, as in a heap, in which each node knows the
minimum below it and what is yet to be added to all below it (a segment tree whose additions stay where they are).

Lowering the levels *from* a stretch on is done by raising those before it, and lowering all by one number that stands
beside the tree. So nothing is ever added above the last stretch, in which all new levels are seen.
"""

from __future__ import annotations

__all__ = ["NONE_YET", "Floors"]

NONE_YET = 1 << 62
"""The lowest level of a stretch in which none was seen: above every level."""

_SEEN = 1 << 61  # what is above that is NONE_YET, and what was added to it


class Floors:
    """The lowest levels of up to ``size`` stretches, rounded up to a power of two. Not thread-safe.

    Args:
        size: the stretches that there must be room for.
        floors: to begin with: the lowest level from each of some stretches on, as :meth:`kept` gives them.

    Attributes:
        count: the stretches so far; the last one is where levels are seen now.
        size: how many there can be.
    """

    __slots__ = ("_added", "_lowest", "_shift", "count", "size")

    def __init__(self, size: int, floors: list[int] | None = None) -> None:
        self.size = 1 << max(1, (size - 1).bit_length())
        self.count = 0
        self._shift = 0  # to be added to all levels
        self._added = [0] * self.size
        self._lowest = [NONE_YET] * (2 * self.size)
        if floors:
            # None of them is below one before it, so the nodes above need not know of them yet: what is asked from a
            # stretch on is its own level, until a lower one is seen or made, which tells the nodes above it.
            self.count = len(floors)
            self._lowest[self.size : self.size + len(floors)] = floors

    def begin(self) -> int:
        """Begin a stretch; gives its number. There must be room for it."""
        self.count += 1
        return self.count - 1

    def see(self, level: int) -> None:
        """A level in the last stretch, of which there must be one."""
        lowest = self._lowest
        level -= self._shift
        node = self.size + self.count - 1
        while level < lowest[node]:  # place 0, above the root, ends it: it takes the level too
            lowest[node] = level
            node >>= 1

    def since(self, stretch: int) -> int:
        """The lowest level from a stretch on, or what is above every level."""
        lowest, added = self._lowest, self._added
        node = self.size + stretch
        floor = lowest[node]
        while node > 1:
            if not node & 1 and lowest[node + 1] < floor:
                floor = lowest[node + 1]
            node >>= 1
            floor += added[node]
        return floor + self._shift

    def lower_since(self, stretch: int, by: int) -> None:
        """Lower all levels from a stretch on."""
        self._shift -= by
        lowest, added, size = self._lowest, self._added, self.size
        node = size + stretch
        while node > 1:
            if node & 1:
                before = node - 1
                lowest[before] += by
                if before < size:
                    added[before] += by
            node >>= 1
            left, right = lowest[2 * node], lowest[2 * node + 1]
            lowest[node] = (left if left < right else right) + added[node]  # noqa: FURB136

    def lower_all(self, by: int) -> None:
        """Lower all levels; those that would be below 0 count as 0 wherever they are asked for."""
        self._shift -= by

    def kept(self, stretches: list[int]) -> list[int]:
        """For a tree of these stretches alone: the lowest levels from each of them on, none of them below 0."""
        floors = [self.since(each) for each in stretches]
        return [NONE_YET if floor > _SEEN else max(0, floor) for floor in floors]
