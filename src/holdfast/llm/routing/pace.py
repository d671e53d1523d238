"""How long a target's answers usually take to begin: when to ask another one beside it, and when it has gone silent.

A call that hangs tells nothing until its timer ends, which leaves room for the slowest answer there ever was. What the
other calls are doing tells much sooner: a target that usually answers within two seconds, and of which several calls
have not heard for so long, nor any call that began after them, is as good as dead.
"""

from __future__ import annotations

from collections import deque
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

from holdfast.core._latencies import LatencyWindow
from holdfast.core.clock import NS_PER_SECOND

if TYPE_CHECKING:
    from holdfast.core.clock import Clock

__all__ = ["Pace"]

_WINDOW = 200
_ENOUGH = 20
"""Latencies before their percentile says anything."""
_PERCENT = 95.0
_LATE = 2.0
"""How many times that percentile an answer must take to be late. At the percentile itself every twentieth answer would
be paid twice."""
_LEAST_NS = NS_PER_SECOND // 4
_SEVERAL = 3
"""Calls that hang at the same time by chance are rarer than a target that is gone."""


class _Call(NamedTuple):
    """When a call began, and whether its answer is streamed."""

    began_ns: int
    streamed: bool


class Pace:
    """What is known of a target's time to its first output; of answers that are not streamed that is the whole answer.

    It is touched by the event loop's thread only.

    Args:
        clock: the source of time.
    """

    __slots__ = ("_answered_ns", "_clock", "_count", "_lost", "_streamed", "_waiting", "_whole")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._streamed = LatencyWindow(_WINDOW)
        self._whole = LatencyWindow(_WINDOW)
        self._waiting: dict[int, _Call] = {}
        self._lost: deque[_Call] = deque(maxlen=_SEVERAL)  # those that ended late, and were not heard of
        self._answered_ns = 0  # when the latest call began that was heard of
        self._count = 0

    def begin(self, *, streamed: bool) -> int:
        """A call begins to wait; gives what :meth:`heard` and :meth:`gave_up` are told."""
        self._count += 1
        self._waiting[self._count] = _Call(self._clock.now_ns(), streamed)
        return self._count

    def heard(self, call: int) -> None:
        """The target has said something, if only that it cannot answer. Said again, it changes nothing."""
        waited = self._waiting.pop(call, None)
        if waited is not None:
            self._answered_ns = max(self._answered_ns, waited.began_ns)

    def gave_up(self, call: int) -> None:
        """The call waits no more, and has heard nothing, or had been heard of before."""
        waited = self._waiting.pop(call, None)
        if waited is not None:
            late_ns = self.late_ns(streamed=waited.streamed)
            if late_ns is not None and self._clock.now_ns() - waited.began_ns >= late_ns:
                self._lost.append(waited)

    def took(self, ns: int, *, streamed: bool) -> None:
        """An answer began after so long."""
        (self._streamed if streamed else self._whole).add(ns)

    def waited(self, ns: int, *, streamed: bool) -> None:
        """A call ended without an answer after so long: it would have taken longer.

        Where that was late it counts as an answer that slow, for a percentile asks no more of a value than on which
        side it is. Leaving those out would make the target look quicker the slower it is, and one that has become slow
        for good would be given up for ever.
        """
        late = self.late_ns(streamed=streamed)
        if late is not None and ns >= late:
            self.took(ns, streamed=streamed)

    def late_ns(self, *, streamed: bool) -> int | None:
        """After how long an answer that has not begun is late; None while too few are known.

        Twice as long as 95 of 100 of the latest answers took to begin, 0.25 s at least.
        """
        window = self._streamed if streamed else self._whole
        return max(_LEAST_NS, round(_LATE * window.percentile(_PERCENT))) if len(window) >= _ENOUGH else None

    def silent(self, *, streamed: bool) -> bool:
        """Whether several calls of this kind are late, and none that began after them has been heard of."""
        late_ns = self.late_ns(streamed=streamed)
        return late_ns is not None and self._is_silent(late_ns, streamed=streamed)

    def _is_silent(self, late_ns: int, *, streamed: bool) -> bool:
        # Words that come now for calls that began earlier tell nothing of how the target is since then. And an answer
        # that is not streamed says nothing until it is whole, which is late for the beginning of one that is.
        first_ns, last_ns = self._answered_ns, self._clock.now_ns() - late_ns
        late = (
            each
            for each in chain(self._lost, self._waiting.values())
            if each.streamed is streamed and first_ns <= each.began_ns <= last_ns
        )
        return next(islice(late, _SEVERAL - 1, None), None) is not None
