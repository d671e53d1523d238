"""Bulkhead: at most so many calls at once, so that one slow dependency cannot take every thread and connection.

A call beyond the limit is refused at once, or waits in a line, first come first served. A slot that becomes free goes
straight to the first who waits: nobody overtakes the line, and a slot is never free while somebody waits for one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from holdfast.core._admission import Admission
from holdfast.core._options import duration, options_by_name, whole
from holdfast.core._place import Place
from holdfast.core._reconfigure import options_of
from holdfast.core._turns import DROPPED, HELD, LEFT, WAITING, Loops, Turn, TurnOwner, TurnState, Waker, is_gone
from holdfast.core.clock import Clock, to_ns
from holdfast.core.deadline import deadline_ns
from holdfast.core.events import BulkheadRejected, Events
from holdfast.errors import BulkheadFullError, DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.faults import Fault
    from holdfast.core.policy import CallRef, Site

__all__ = ["Bulkhead", "BulkheadOptions", "BulkheadSnapshot", "BulkheadTurn"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkheadOptions:
    """What a bulkhead was built with; see :class:`Bulkhead`."""

    max_concurrent: int = 10
    max_waiting: int = 0
    max_wait: float | None = None

    def __post_init__(self) -> None:
        whole("max_concurrent", self.max_concurrent, least=1)
        whole("max_waiting", self.max_waiting, least=0)
        if self.max_wait is not None:
            duration("max_wait", self.max_wait)


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkheadSnapshot:
    """A bulkhead at one moment.

    Attributes:
        inflight: calls under way.
        waiting: callers in the line.
        rejected: how many were refused since construction, at the door or after waiting too long.
        abandoned: how many gave up while they waited.
    """

    max_concurrent: int
    max_waiting: int
    inflight: int
    waiting: int
    rejected: int
    abandoned: int


class BulkheadTurn(Turn):
    """One call's slot, or its place in the line."""

    __slots__ = ("call", "cut")

    def __init__(self, owner: TurnOwner[Any], call: CallRef | None, state: TurnState) -> None:
        self.owner = owner  # all by hand: a call of super costs as much as a lock
        self.state = state
        self.due_ns = self.alarm_ns = None
        self.waker = None
        self.call = call
        self.cut = False  # whether it is the context's deadline that ends the wait


@options_by_name
class Bulkhead:
    """A policy: at most ``max_concurrent`` calls at once.

    Callers wait for a slot as far as ``max_waiting`` and ``max_wait`` allow; only :meth:`enter` never waits. Alone it
    is used as ``with bulkhead.admit():``, ``async with bulkhead.admit():``, ``bulkhead.call(fn, ...)`` or
    ``@bulkhead``. Threads and tasks of any event loop wait in the same line.

    Args:
        max_concurrent: calls under way at once, 1 or more.
        max_waiting: callers that may wait, 0 or more.
        max_wait: seconds that one may wait, above 0; None for as long as the context's deadline allows.
        clock, events: where it is used outside a pipeline, or with another clock; a pipeline brings its own.
        name: the dependency's name in events and errors; a pipeline brings its own.
    """

    label: ClassVar[str] = "bulkhead"

    def __init__(
        self,
        *,
        max_concurrent: int = 10,
        max_waiting: int = 0,
        max_wait: float | None = None,
        clock: Clock | None = None,
        events: Events | None = None,
        name: str = "",
    ) -> None:
        self.options = BulkheadOptions(max_concurrent=max_concurrent, max_waiting=max_waiting, max_wait=max_wait)
        self._max_wait_ns = None if max_wait is None else to_ns(max_wait)
        self._place = Place(self.label, clock=clock, events=events, name=name)
        self._lock = threading.Lock()
        self._inflight = 0
        self._line: OrderedDict[BulkheadTurn, None] = OrderedDict()
        self._loops = Loops()
        self._rejected = 0
        self._abandoned = 0

    @property
    def clock(self) -> Clock:
        """The clock that waits are timed by."""
        return self._place.clock

    def attach(self, site: Site) -> None:
        """Take over the pipeline's clock, events and name, where none were given at construction.

        Raises:
            ConfigError: it is already part of a pipeline with another clock.
        """
        self._place.attach(site)

    # --- the gate ---------------------------------------------------------------------------------------------------

    def enter(self, call: CallRef | None = None) -> BulkheadTurn:
        """A slot at once; hand it to :meth:`leave`.

        Raises:
            BulkheadFullError: all slots are taken.
        """
        turn = BulkheadTurn(self, call, HELD)
        with self._lock:
            if self._inflight < self.options.max_concurrent:
                self._inflight += 1
                return turn
            self._rejected += 1
        raise self._refusal(call, "full")

    def leave(self, permit: BulkheadTurn, fault: Fault | None = None, call: CallRef | None = None) -> None:  # noqa: ARG002
        """Give the slot back, to the first in the line if there is one; a slot that was given back stays so."""
        with self._lock:
            if permit.state is not HELD:
                return
            permit.state = LEFT
            turn = self._hand_on()
        self._wake(turn)

    def snapshot(self) -> BulkheadSnapshot:
        """Its state now."""
        self._drop_gone()
        with self._lock:
            return BulkheadSnapshot(
                max_concurrent=self.options.max_concurrent,
                max_waiting=self.options.max_waiting,
                inflight=self._inflight,
                waiting=len(self._line),
                rejected=self._rejected,
                abandoned=self._abandoned,
            )

    # --- the waiting form -------------------------------------------------------------------------------------------

    def ask(self, call: CallRef | None = None) -> BulkheadTurn:
        """A turn that is held, or one to wait on with ``wait()`` or ``wait_async()``; in any case leave it at the end.

        Raises:
            BulkheadFullError: all slots and all places in the line are taken.
            DeadlineExceededError: it would have to wait, and the context's deadline has passed.
        """
        turn = BulkheadTurn(self, call, HELD)
        late = False
        if self._line:
            self._drop_gone()
        with self._lock:
            if self._inflight < self.options.max_concurrent:
                self._inflight += 1
                return turn
            if len(self._line) < self.options.max_waiting:
                late = self._set_due(turn)
                if not late:
                    turn.state = WAITING
                    self._line[turn] = None
                    return turn
            else:
                self._rejected += 1
        raise self._too_late() if late else self._refusal(call, "full")

    def admit(self) -> Admission[BulkheadTurn]:
        """``with bulkhead.admit():`` or ``async with bulkhead.admit():``, waiting for a slot as far as that is allowed.

        Raises:
            BulkheadFullError: on entering: the line is full, or the wait was longer than ``max_wait``.
            DeadlineExceededError: on entering: the context's deadline came first.
        """
        return Admission(self)

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` once it has a slot; raises what :meth:`admit` does."""
        return Admission(self).call(fn, *args, **kwargs)

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``fn``: a sync function, an async function or an async generator function."""
        return Admission(self)(fn)

    def admitted(self, **demand: Any) -> BulkheadTurn:  # noqa: ANN401, ARG002
        """A slot, after waiting for it in this thread."""
        return self.ask().wait()

    async def admitted_async(self, **demand: Any) -> BulkheadTurn:  # noqa: ANN401, ARG002
        """A slot, after waiting for it in this task."""
        return await self.ask().wait_async()

    def first_item(self, permit: BulkheadTurn) -> None:
        """Nothing: a stream holds its slot to the end."""

    def reconfigure(self, options: BulkheadOptions) -> None:
        """Take these options from now on.

        More slots go to those in the line at once. Where there are fewer, calls under way keep theirs, and none is
        given until enough of them ended. Who is in the line stays there, for as long as it was told.

        Raises:
            ConfigError: they are not a bulkhead's.
        """
        options_of(BulkheadOptions, options)
        turns: list[BulkheadTurn] = []
        with self._lock:
            self.options = options
            self._max_wait_ns = None if options.max_wait is None else to_ns(options.max_wait)
            while self._line and self._inflight < options.max_concurrent:
                self._inflight += 1
                turn, _ = self._line.popitem(last=False)
                turn.state = HELD
                turns.append(turn)
        for turn in turns:
            self._wake(turn)

    # --- for the turns ----------------------------------------------------------------------------------------------

    def watch(self, turn: BulkheadTurn, waker: Waker) -> None:
        """Wake ``turn`` by ``waker`` from now on."""
        with self._lock:
            turn.waker = waker
            self._loops.add(waker)

    def give_up(self, turn: BulkheadTurn) -> None:
        """Take ``turn`` out of the line; when it has a slot already, give that to the next."""
        following: BulkheadTurn | None = None
        with self._lock:
            if turn.state is WAITING:
                self._abandon(turn)
            if turn.state is not HELD:
                return
            turn.state = LEFT
            self._abandoned += 1
            following = self._hand_on()
        self._wake(following)

    def time_is_up(self, turn: BulkheadTurn) -> None:
        """Refuse ``turn`` if it still waits."""
        with self._lock:
            if turn.state is not WAITING:
                return
            del self._line[turn]
            turn.state = DROPPED
            self._rejected += 1

    def alarm(self, turn: BulkheadTurn) -> None:
        """Nothing: a bulkhead asks nobody to call it."""

    def refusal(self, turn: BulkheadTurn) -> Exception:
        """The error for a turn that waited too long."""
        return self._too_late() if turn.cut else self._refusal(turn.call, "max_wait")

    # ----------------------------------------------------------------------------------------------------------------

    def _set_due(self, turn: BulkheadTurn) -> bool:
        """Set when the wait ends; True when it has ended before it began."""
        until = deadline_ns()
        if until is None and self._max_wait_ns is None:
            return False
        now = self.clock.now_ns()
        due = None if self._max_wait_ns is None else now + self._max_wait_ns
        turn.cut = until is not None and (due is None or until <= due)
        turn.due_ns = until if turn.cut else due
        return until is not None and until <= now

    def _abandon(self, turn: BulkheadTurn) -> None:
        """Take one out of the line that nobody waits for any more. Under the lock."""
        del self._line[turn]
        turn.state = LEFT
        self._abandoned += 1

    def _drop_gone(self) -> None:
        """Take those out of the line whose event loop was closed."""
        gone: list[BulkheadTurn] = []  # kept alive until the lock is released, see `Loops`
        with self._lock:
            if self._loops.lost():
                gone += (turn for turn in self._line if is_gone(turn.waker))
                for turn in gone:
                    self._abandon(turn)

    def _hand_on(self) -> BulkheadTurn | None:
        """Give a slot that became free to the first in the line, or keep it. Under the lock."""
        if self._line and self._inflight <= self.options.max_concurrent:
            turn, _ = self._line.popitem(last=False)
            turn.state = HELD
            return turn
        self._inflight -= 1
        return None

    def _wake(self, turn: BulkheadTurn | None) -> None:
        """Tell ``turn`` that it has a slot; when nobody is there to hear it, the next."""
        gone: list[BulkheadTurn] = []  # kept alive until the lock is released, see `Loops`
        while turn is not None and turn.waker is not None and not turn.waker.wake():
            gone.append(turn)
            with self._lock:
                if turn.state is not HELD:
                    return
                turn.state = LEFT
                self._abandoned += 1
                turn = self._hand_on()

    def _refusal(self, call: CallRef | None, reason: str) -> BulkheadFullError:
        """The error for a caller that gets no slot; tells the listeners."""
        waiting = len(self._line)
        if self._place.heard:
            self._place.emit(
                BulkheadRejected, call, reason=reason, max_concurrent=self.options.max_concurrent, waiting=waiting
            )
        busy = f"{self._place.name or 'The dependency'} has {self.options.max_concurrent} calls under way, its limit"
        if reason == "max_wait":
            tail = f"none ended within max_wait={self.options.max_wait:g} s"
        elif self.options.max_waiting:
            tail = f"{self.options.max_waiting} more are waiting"
        else:
            tail = "it lets nobody wait"
        return BulkheadFullError(f"{busy}, and {tail}: try again later.", dependency=self._place.name)

    def _too_late(self) -> DeadlineExceededError:
        name = self._place.name or "the dependency"
        return DeadlineExceededError(f"The time for the whole operation was used up waiting for a slot of {name}.")
