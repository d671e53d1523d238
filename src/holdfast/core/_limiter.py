"""What all rate limiters share: reservations, waiting in line, and their place in a pipeline.

A limiter proper says only how long a cost would have to wait now, and charges it (the abstract methods of
:class:`Limiter`). Everything else is here, once.

One lock guards the state; it is held for a few instructions, never while anybody waits, works, or hears an event.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, cast

from holdfast.core._admission import Admission
from holdfast.core._admission_options import AdmissionOptions
from holdfast.core._line import Line, Queued
from holdfast.core._options import duration, not_negative, number
from holdfast.core._place import Place
from holdfast.core._reservation import Reservation
from holdfast.core._turns import Loops
from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.core.deadline import deadline_ns
from holdfast.core.demand import CURRENT, DEFAULT_PRIORITY, check_priority
from holdfast.core.events import RateLimited, RateLimitWaited
from holdfast.errors import InvalidInputError, RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.core._turns import Waker
    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.faults import Fault
    from holdfast.core.policy import CallRef, Site

__all__ = ["AdmissionOptions", "Limiter", "Queued", "Reservation"]


P = ParamSpec("P")
R = TypeVar("R")


class Limiter(ABC):
    """A gate that lets through as much as a limit allows; a base class.

    Subclasses set their state up before they call this constructor, and add the algorithm.
    """

    label: ClassVar[str]
    metered: ClassVar[bool] = True
    """It settles by what a call says it used; the drivers then give each call a demand of its own."""

    def __init__(
        self, options: AdmissionOptions, *, clock: Clock | None = None, events: Events | None = None, name: str = ""
    ) -> None:
        self.options = options
        self._max_wait_ns = to_ns(options.max_wait)
        self._place = Place(self.label, clock=clock, events=events, name=name)
        self._now_ns = self._place.clock.now_ns  # the place's, for the shortest way
        self._lock = threading.Lock()
        self._lines = (Line(), Line())  # of priorities with a share of their own, and of the others
        self._loops = Loops()
        self._held_until_ns: int | None = None
        self._rejected = 0

    @property
    def clock(self) -> Clock:
        """The clock that it takes its time from."""
        return self._place.clock

    # --- the algorithm: called under the lock, except `_check` ---

    @abstractmethod
    def _check(self, cost: float) -> None:
        """Raise ``InvalidInputError`` when ``cost`` could never be let in."""

    @abstractmethod
    def _wait_ns(self, now_ns: int, cost: float, *, low: bool, ahead: float, calls_ahead: int) -> tuple[int, str]:
        """How long ``cost`` has to wait, behind others, and the limit that makes it wait."""

    @abstractmethod
    def _book(self, now_ns: int, cost: float) -> object:
        """Charge ``cost``; gives what `_settle` needs to know of it."""

    @abstractmethod
    def _settle(self, now_ns: int, booking: object, cost: float, actual: float | None) -> None:
        """Settle a booking of ``cost`` by what was used; None when the call was never made."""

    @abstractmethod
    def _empty(self) -> None:
        """Forget everything that was charged."""

    @abstractmethod
    def _take(self, now_ns: int, options: Any) -> None:  # noqa: ANN401
        """Change the limits to those of new options, or raise ``ConfigError`` and change nothing."""

    # --- admission ---

    def attach(self, site: Site) -> None:
        """Take over the pipeline's clock, events and name, where none were given at construction.

        Raises:
            ConfigError: it is already part of a pipeline with another clock.
        """
        if self._place.attach(site):
            with self._lock:
                self._now_ns = site.clock.now_ns
                self._empty()

    def reserve(self, cost: float | None = None, *, priority: int | None = None) -> Reservation:
        """Let ``cost`` in at once.

        Args:
            cost: what the call will cost, above 0; by default what the context's demand says, else ``default_cost``.
            priority: 0 to 9; by default that of the context's demand, else 5.

        Raises:
            RateLimitedError: there is no room now, or others wait for it; it says when there is.
            InvalidInputError: the limit is smaller than ``cost``.
        """
        return cast("Reservation", self.join(cost, priority=priority, max_wait=0))

    def acquire(
        self, cost: float | None = None, *, priority: int | None = None, max_wait: float | None = None
    ) -> Reservation:
        """Let ``cost`` in, waiting in line where that takes no longer than ``max_wait`` and the context's deadline.

        Args:
            cost, priority: as for :meth:`reserve`.
            max_wait: seconds, 0 or more; by default the limiter's.

        Raises:
            RateLimitedError: it would take longer; that is said at once, not after waiting.
            InvalidInputError: the limit is smaller than ``cost``.
        """
        place = self.join(cost, priority=priority, max_wait=max_wait)
        return place if isinstance(place, Reservation) else place.wait()

    async def acquire_async(
        self, cost: float | None = None, *, priority: int | None = None, max_wait: float | None = None
    ) -> Reservation:
        """:meth:`acquire` for tasks."""
        place = self.join(cost, priority=priority, max_wait=max_wait)
        return place if isinstance(place, Reservation) else await place.wait_async()

    def join(
        self,
        cost: float | None = None,
        *,
        priority: int | None = None,
        max_wait: float | None = None,
        call: CallRef | None = None,
    ) -> Reservation | Queued:
        """A reservation, or a place in line to wait on; never waits. Arguments and errors as for :meth:`acquire`."""
        demand = CURRENT.get()
        if cost is None:
            cost = self.options.default_cost if demand is None or demand.cost is None else demand.cost
        if priority is None:
            priority = DEFAULT_PRIORITY if demand is None else demand.priority
        else:
            check_priority(priority)
        if number("cost", cost) <= 0:
            raise InvalidInputError("cost", f"{cost:g} is not above 0.")
        self._check(cost)
        bound = self._max_wait_ns if max_wait is None else to_ns(duration("max_wait", max_wait, or_zero=True))
        low = priority < self.options.kept_for
        until = deadline_ns()
        if self._lines[0].places or self._lines[1].places:
            self._drop_gone()
        with self._lock:
            now = self._now_ns()
            wait, limit, queued = self._look(now, cost, low=low, ahead=self._lines if low else self._lines[:1])
            if not wait and not queued:
                return Reservation(self, self._book(now, cost), cost, demand)
            latest = now + bound if until is None else min(now + bound, until - 1)
            if bound and now + wait <= latest:
                place = Queued(self, cost, low=low, demand=demand, call=call)
                place.joined_ns, place.latest_ns, place.expected_ns = now, latest, wait
                self._lines[low].join(place)
                return place
            self._rejected += 1
        raise self._refusal(cost, wait, limit, low=low, call=call)

    def enter(self, call: CallRef | None = None) -> Any:  # noqa: ANN401  a limiter may have lighter permits
        """A permit for one call of the context's demand; hand it to :meth:`leave`. Never waits.

        Raises:
            RateLimitedError, InvalidInputError: as for :meth:`reserve`.
        """
        return self.join(max_wait=0, call=call)

    def ask(self, call: CallRef | None = None) -> Reservation | Queued:
        """:meth:`join` by the context's demand: what a driver that can wait asks."""
        return self.join(call=call)

    def leave(self, permit: Any, fault: Fault | None = None, call: CallRef | None = None) -> None:  # noqa: ANN401, ARG002
        """Say how the call ended. It is settled by what the demand says was used; else it stands as reserved.

        A call that was never made, because another policy refused it or it was cancelled before, gives everything back.
        """
        reservation: Reservation = permit
        self.settle(reservation, reservation.outcome(fault))

    def settle(self, reservation: Reservation, actual: float | None) -> bool:
        """Settle a reservation, None meaning that it was never used. False when it was settled before."""
        with self._lock:
            if reservation.settled:
                return False
            reservation.settled = True
            self._settle(self._now_ns(), reservation.booking, reservation.cost, actual)
        return True

    def hold(self, seconds: float) -> None:
        """Let nothing in for ``seconds``, as a ``Retry-After`` asks; an earlier hold that ends later stays."""
        ns = to_ns(not_negative("seconds", seconds))
        with self._lock:
            self._hold(self._now_ns() + ns)

    def reset(self) -> None:
        """Forget everything that was charged, and every hold; those in line stay in line."""
        with self._lock:
            self._held_until_ns = None
            self._empty()

    def reconfigure(self, options: Any) -> None:  # noqa: ANN401  each limiter has its own class of options
        """Take these options from now on.

        What was charged stays charged, and a hold holds. Those in line stay there for as long as they were told; the
        first of them, who sleeps until there was to be room, finds the new limits when he wakes.

        Raises:
            ConfigError: they are not options of this limiter, or its limits cannot be changed to these.
        """
        with self._lock:
            self._take(self._now_ns(), options)
            self.options = options
            self._max_wait_ns = to_ns(options.max_wait)

    # --- its forms ---

    def admit(
        self, cost: float | None = None, *, priority: int | None = None, max_wait: float | None = None
    ) -> Admission[Reservation]:
        """``with limiter.admit(1200) as reservation:``, or with ``async with``: :meth:`acquire` for a block.

        A block that ends by a refusal of another policy gives everything back.
        """
        return Admission(self, cost=cost, priority=priority, max_wait=max_wait)

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` once it is let in: :meth:`acquire` by the context's demand."""
        return Admission(self).call(fn, *args, **kwargs)

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``fn``: a sync function, an async function or an async generator function."""
        return Admission(self)(fn)

    def admitted(self, **demand: Any) -> Reservation:  # noqa: ANN401
        """:meth:`acquire`, for an admission."""
        return self.acquire(**demand)

    async def admitted_async(self, **demand: Any) -> Reservation:  # noqa: ANN401
        """:meth:`acquire_async`, for an admission."""
        return await self.acquire_async(**demand)

    def first_item(self, permit: Reservation) -> None:  # noqa: B027  there is nothing to do, for any limiter
        """Nothing: a stream has been let in as a whole."""

    # --- the line ---

    def watch(self, place: Queued, waker: Waker) -> bool:
        """Whether it is the turn of ``place``; otherwise ``waker`` hears of it when it is."""
        with self._lock:
            place.waker = waker
            self._loops.add(waker)
        self._drop_gone()
        return place.turn

    def overdue(self, place: Queued) -> RateLimitedError:
        """The refusal of one whose turn did not come in time."""
        self.quit(place)
        with self._lock:
            self._rejected += 1
            wait, limit, _ = self._look(
                self._now_ns(), place.cost, low=place.low, ahead=self._lines if place.low else self._lines[:1]
            )
        return self._refusal(place.cost, wait, limit, low=place.low, call=place.call)

    def step(self, place: Queued) -> Reservation | int:
        """For the one at the front: the reservation, or the nanoseconds to sleep before asking again.

        Raises:
            RateLimitedError: the wait would end too late.
        """
        reservation: Reservation | None = None
        with self._lock:
            now = self._now_ns()
            wait, limit, _ = self._look(now, place.cost, low=place.low, ahead=self._lines[:1] if place.low else ())
            if wait and now + wait <= place.latest_ns:
                return wait
            if wait:
                self._rejected += 1
            else:
                reservation = Reservation(self, self._book(now, place.cost), place.cost, place.demand)
                reservation.waited_ns = now - place.joined_ns
            following = self._remove(place)
        if following is not None and _gone(following):
            self.quit(following)
        if reservation is None:
            raise self._refusal(place.cost, wait, limit, low=place.low, call=place.call)
        if self._place.heard:
            self._place.emit(RateLimitWaited, place.call, waited_ns=reservation.waited_ns, cost=place.cost)
        return reservation

    def quit(self, place: Queued) -> None:
        """Take ``place`` out of its line, and wake the next if it was at the front."""
        following: Queued | None = place
        while following is not None:
            with self._lock:
                following = self._remove(following)
            if following is not None and not _gone(following):
                return

    def _drop_gone(self) -> None:
        """Take those out of the lines whose event loop was closed, and wake whoever comes to the front by that."""
        gone: list[Queued] = []  # kept alive until the lock is released, see `Loops`
        fronts: list[Queued] = []
        with self._lock:
            if self._loops.lost():
                for line in self._lines:
                    gone += line.drop_gone()
                    if line.places and not line.places[0].turn:
                        line.places[0].turn = True
                        fronts.append(line.places[0])
        for place in fronts:
            if _gone(place):
                self.quit(place)

    def _remove(self, place: Queued) -> Queued | None:
        """Take ``place`` out of its line; gives the one whose turn it is by that."""
        line = self._lines[place.low]
        if not line.remove(place) or not place.turn or not line.places:
            return None
        following = line.places[0]
        following.turn = True
        return following

    def _look(self, now: int, cost: float, *, low: bool, ahead: Sequence[Line]) -> tuple[int, str, bool]:
        """How long ``cost`` has to wait behind the lines before it, what makes it wait, and whether anybody is in them.

        Before a newcomer are all of its own class and, where its priority is low, the others; before one at the front
        of its line, only the others.
        """
        before: float = 0
        calls = 0
        for line in ahead:
            if line.places:
                before += line.cost
                calls += len(line.places)
        wait, limit = self._wait_ns(now, cost, low=low, ahead=before, calls_ahead=calls)
        if self._held_until_ns is not None:
            held = self._held_until_ns - now
            if held <= 0:
                self._held_until_ns = None
            elif held > wait:
                wait, limit = held, "hold"
        return wait, limit, calls > 0

    def _hold(self, until_ns: int) -> None:
        self._held_until_ns = until_ns if self._held_until_ns is None else max(self._held_until_ns, until_ns)

    # --- what it says ---

    @property
    def _waiting(self) -> int:
        """How many are in line, those included whose event loop was closed since :meth:`_drop_gone`."""
        return sum(len(line.places) for line in self._lines)

    def _refusal(self, cost: float, wait: int, limit: str, *, low: bool, call: CallRef | None) -> RateLimitedError:
        """Tell of a refusal, and make the error for it."""
        retry_after = wait / NS_PER_SECOND
        if self._place.heard:
            self._place.emit(RateLimited, call, limit=limit, cost=cost, low=low, retry_after=retry_after)
        whose = f"The {limit} limit of {self._place.name or 'the dependency'}"
        return RateLimitedError(
            f"{whose} leaves no room for this call; there will be some in {retry_after:.3g} s.",
            dependency=self._place.name,
            retry_after=retry_after,
        )


def _gone(place: Queued) -> bool:
    """Wake ``place``; True when nobody waits there any more."""
    return place.waker is not None and not place.waker.wake()
