"""The gates of a layer, as the drivers pass them: one, two, many, and those that one may have to wait at."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from holdfast.core._afterwards import now_or_later
from holdfast.core.clock import to_ns
from holdfast.core.faults import hand_back
from holdfast.core.policy import Gate, GateStack, Shortcut, Waiter, leave_despite, shortcut_of
from holdfast.core.request_queue import RequestQueue
from holdfast.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.core.faults import Fault
    from holdfast.core.policy import CallRef, Site

__all__ = ["Door", "asking"]

_FOREVER_NS = 1 << 62


def asking(gate: Gate | RequestQueue) -> Callable[[CallRef | None], Any] | None:
    """The gate's ``ask``, when a caller may have to wait there; None when it only ever lets in or refuses.

    A bulkhead without places in its line, and a limiter without ``max_wait``, never let anybody wait.
    """
    if isinstance(gate, RequestQueue):
        return lambda _: gate.ask()
    options = getattr(gate, "options", None)
    if not getattr(options, "max_waiting", getattr(options, "max_wait", True)):
        return None
    return gate.ask if isinstance(gate, Waiter) else None


class Door:
    """Some gates as one.

    Attributes:
        pair: the two gates, when they are two that never let anybody wait.
        enter: ``enter(call)`` gives one permit for all of them, or raises; None when there is no gate.
        metered: whether there is one that settles by what the call says it used, so that each call needs a demand of
            its own (:meth:`holdfast.core.demand.Demand.inner`).
        leave: ``leave(permit, fault, call)`` settles it.
        waits: whether a caller may have to wait: the drivers then use ``pass_sync`` or ``pass_async`` to enter.
    """

    __slots__ = ("_entrances", "_gates", "enter", "leave", "metered", "pair", "waits")

    def __init__(self, gates: Sequence[Gate | RequestQueue]) -> None:
        entrances = [asking(gate) for gate in gates]
        self._gates = cast("tuple[Gate, ...]", tuple(gates))  # a queue has no `enter`, and is only asked
        self._entrances = [(gate, ask or gate.enter) for gate, ask in zip(self._gates, entrances, strict=True)]
        self.waits = any(each is not None for each in entrances)
        self.metered = any(getattr(each, "metered", False) for each in gates)
        self.pair: tuple[Gate, Gate] | None = None
        self.enter: Callable[[CallRef | None], Any] | None = None
        self.leave: Callable[[Any, Fault | None, CallRef | None], None] = _nothing
        if self.waits or len(gates) > 2:
            stack = GateStack(self._gates)
            self.enter, self.leave = stack.enter, stack.leave
        elif len(gates) == 2:
            self.pair = self._gates[0], self._gates[1]
            self.enter, self.leave = _pair(*self.pair)
        elif gates:
            self.enter, self.leave = self._gates[0].enter, self._gates[0].leave

    def shortcuts(self, site: Site) -> tuple[Shortcut, Shortcut]:
        """What the drivers look at before they enter: of the first gate, and of the second one of a pair."""
        if self.pair is not None:
            return shortcut_of(self.pair[0], site), shortcut_of(self.pair[1], site)
        if len(self._gates) == 1 and not self.waits:
            return shortcut_of(self._gates[0], site), shortcut_of(None, site)
        return shortcut_of(None, site) if not self._gates else Shortcut(), shortcut_of(None, site)

    def pass_sync(self, call: CallRef | None) -> list[tuple[Gate, Any]]:
        """Enter every gate, from the outside in, waiting where that is necessary; all permits, or none."""
        permits: list[tuple[Gate, Any]] = []
        try:
            for gate, enter in self._entrances:
                permit = enter(call)
                wait = getattr(permit, "wait", None)
                permits.append((gate, permit if wait is None else wait()))
        except BaseException as error:
            leave_despite(error, self.leave, permits, hand_back(error), call)
            raise
        return permits

    async def pass_async(self, call: CallRef | None) -> list[tuple[Gate, Any]]:
        """The same for a task. A cancelled one holds no permit and no place in a line."""
        permits: list[tuple[Gate, Any]] = []
        try:
            for gate, enter in self._entrances:
                permit = enter(call)
                wait = getattr(permit, "wait_async", None)
                permits.append((gate, permit if wait is None else await wait()))
        except BaseException as error:
            now_or_later(partial(leave_despite, error, self.leave, permits, hand_back(error), call))
            raise
        return permits

    def refusal(self, delay_ns: int, call: CallRef | None) -> RejectedError | None:
        """What would refuse a call after ``delay_ns``; None when nobody can say that it will be refused.

        It is the refusal itself: the gate counts it and tells of it, as if the call had been made.
        """
        for gate in self._gates:
            if _closed_for_ns(gate) > delay_ns:
                try:
                    permit = gate.enter(call)
                except RejectedError as error:
                    return error
                gate.leave(permit, hand_back(BaseException()), call)  # it opened in this moment, or only counts
        return None


def _closed_for_ns(gate: Gate) -> int:
    """How long the gate, if it is an open breaker, will refuse everything."""
    if getattr(gate, "state", None) == "closed":  # a snapshot says twenty things, and most failures meet a closed one
        return 0
    snapshot = gate.snapshot()
    if getattr(snapshot, "state", None) != "open":
        return 0
    left: float | None = getattr(snapshot, "retry_after", None)
    return _FOREVER_NS if left is None else to_ns(left)


def _nothing(permit: object, fault: Fault | None, call: CallRef | None) -> None:
    """Where there is no gate."""


def _pair(outer: Gate, inner: Gate) -> tuple[Callable[..., Any], Callable[..., None]]:
    """Two gates as one, for half of what a stack costs."""
    enter_outer, leave_outer, enter_inner, leave_inner = outer.enter, outer.leave, inner.enter, inner.leave

    def enter(call: CallRef | None) -> tuple[Any, Any]:
        first = enter_outer(call)
        try:
            return first, enter_inner(call)
        except BaseException as error:
            leave_despite(error, leave_outer, first, hand_back(error), call)
            raise

    def leave(permit: tuple[Any, Any], fault: Fault | None, call: CallRef | None) -> None:
        try:
            leave_inner(permit[1], fault, call)
        except BaseException as error:
            leave_despite(error, leave_outer, permit[0], fault, call)
            raise
        leave_outer(permit[0], fault, call)

    return enter, leave
