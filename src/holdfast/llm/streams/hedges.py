"""How many questions may be asked twice at once: a share of them, so that a slow day does not double the load."""

from __future__ import annotations

__all__ = ["HedgeAllowance"]

_MOST_SAVED = 10.0
"""Hedges that a quiet time may save up."""
_ROUNDING = 1e-9


class HedgeAllowance:
    """A bucket that each question fills by its share of a hedge, and each hedge empties by one.

    It starts full enough for one. It is touched by the event loop's thread only, and a lost update would cost a
    fraction of a hedge.

    Args:
        percent: hedges for each hundred questions, above 0 and at most 100.
    """

    __slots__ = ("_saved", "_share")

    def __init__(self, percent: float) -> None:
        self._share = percent / 100
        self._saved = 1.0

    def asked(self) -> None:
        """A question was asked."""
        self._saved = min(_MOST_SAVED, self._saved + self._share)

    def take(self) -> bool:
        """Whether a hedge may be made; it is then used up."""
        if self._saved < 1 - _ROUNDING:
            return False
        self._saved -= 1
        return True
