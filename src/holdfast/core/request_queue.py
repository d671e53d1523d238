"""RequestQueue: a bounded priority queue in front of the work.

So many requests run at once, so many start in a minute; the others wait in the order of their priority, and first come
first served within one. Whoever ends starts the next at once, in the same breath: there is no dispatcher that polls,
and no timer while nobody waits. What cannot be served in time is refused while its caller can still do something else.

The queue must drain within its callers' patience, or it serves only the dead: no more may wait than ``rate *
max_wait``, with the rate that is measured.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from holdfast.core._admission import Admission
from holdfast.core._options import options_by_name, whole
from holdfast.core._place import Place
from holdfast.core._priority_line import Request
from holdfast.core._queue_drain import Drains
from holdfast.core._queue_errors import dropped, refused
from holdfast.core._queue_model import (
    ALARM,
    STARTED,
    Drop,
    News,
    Refusal,
    RequestQueueOptions,
    RequestQueueSnapshot,
    max_size_for,
)
from holdfast.core._queue_rules import QueueRules
from holdfast.core._reconfigure import options_of
from holdfast.core._turns import HELD, WAITING, Loops, Waker
from holdfast.core.clock import NS_PER_SECOND, Clock
from holdfast.core.deadline import deadline_ns
from holdfast.core.demand import check_priority, current_demand
from holdfast.core.events import Events, QueueDropped, QueueEntered, QueueRefused, QueueStarted
from holdfast.core.faults import Fault, FaultKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.codel import CoDel
    from holdfast.core.policy import CallRef, Site

__all__ = ["Request", "RequestQueue", "RequestQueueOptions", "RequestQueueSnapshot", "max_size_for"]

P = ParamSpec("P")
R = TypeVar("R")


@options_by_name
class RequestQueue:
    """A policy: requests wait for their turn, the important ones first.

    Used as ``with queue.admit(priority=8):``, ``async with queue.admit(priority=8):``, ``queue.call(fn, ...)``,
    ``queue.admit(priority=8).call(fn, ...)`` or ``@queue``; or with workers of its own
    (:mod:`~holdfast.core.queue_worker`). Threads and tasks of any event loop wait in the same queue.

    When it is full, a request of low priority (below 5) is refused; another one takes the place of the oldest request
    of low priority, and is refused when there is none. A request whose deadline has passed is dropped before it starts.

    Args:
        max_concurrent: requests under way at once, 1 or more.
        requests_per_minute: starts in a minute, from 0.001 to 600 million; None for no limit.
        burst: starts that may come at once after a quiet time, 1 or more.
        max_size: requests that may wait, 0 or more (see :func:`max_size_for`).
        max_bytes: bytes that those who wait may hold, 0 or more.
        default_size: bytes of a request that does not say its size, 0 or more.
        max_wait: seconds that a request may wait, above 0; also bounds how many may wait. None for as long as its
            deadline allows, and ``max_size``.
        codel: drops what waits while the queue stands; None for never.
        clock, events: the source of time, and the hub that hears what happens.
        name: what the queue is called in events and errors.
    """

    label: ClassVar[str] = "request_queue"

    def __init__(
        self,
        *,
        max_concurrent: int = 10,
        requests_per_minute: float | None = 60,
        burst: int = 10,
        max_size: int = 1000,
        max_bytes: int = 50 * 1024 * 1024,
        default_size: int = 5 * 1024,
        max_wait: float | None = 30.0,
        codel: CoDel | None = None,
        clock: Clock | None = None,
        events: Events | None = None,
        name: str = "",
    ) -> None:
        self.options = RequestQueueOptions(
            max_concurrent=max_concurrent,
            requests_per_minute=requests_per_minute,
            burst=burst,
            max_size=max_size,
            max_bytes=max_bytes,
            default_size=default_size,
            max_wait=max_wait,
            codel=codel,
        )
        self._rules = QueueRules(self.options)
        self._place = Place(self.label, clock=clock, events=events, name=name)
        self._lock = threading.Lock()
        self._number = 0
        self._loops = Loops()
        self._drains = Drains(self._lock, self._place)

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

    # --- a request --------------------------------------------------------------------------------------------------

    def admit(self, *, priority: int | None = None, size: int | None = None) -> Admission[Request]:
        """``with queue.admit():`` or ``async with queue.admit():`` waits for its turn, and leaves at the end.

        Args:
            priority: 0 (lowest) to 9; by default that of the demand in the context, else 5.
            size: bytes of memory that the request holds while it waits.

        Raises:
            ConfigError: a value is out of its range.
            QueueFullError: on entering: there is no room for it, or the queue is closed.
            ShedError: on entering: it was dropped while it waited.
            DeadlineExceededError: on entering: the context's deadline came first.
        """
        priority = None if priority is None else check_priority(priority)
        size = None if size is None else whole("size", size, least=0)
        return Admission(self, priority=priority, size=size)

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn`` when its turn comes; raises what :meth:`admit` does."""
        return Admission(self).call(fn, *args, **kwargs)

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``fn``: a sync function, an async function or an async generator function."""
        return Admission(self)(fn)

    def enter(self, call: CallRef | None = None) -> Request:
        """A request that starts at once; hand it to :meth:`leave`.

        Raises:
            QueueFullError: it would have to wait, or the queue is closed.
            DeadlineExceededError: the context's deadline has passed.
        """
        return self._ask(call, None, None, None, may_wait=False)

    def ask(
        self,
        call: CallRef | None = None,
        *,
        priority: int | None = None,
        size: int | None = None,
        waker: Waker | None = None,
    ) -> Request:
        """A request whose turn has come, or one to wait on with ``wait()`` or ``wait_async()``; leave it at the end.

        Args:
            priority, size: see :meth:`admit`.
            waker: wakes whoever waits, when that is not done by ``wait()`` or ``wait_async()``.

        Raises:
            ConfigError: a value is out of its range.
            QueueFullError: there is no room for it, or the queue is closed.
            DeadlineExceededError: the context's deadline has passed.
        """
        return self._ask(call, priority, size, waker, may_wait=True)

    def _ask(
        self, call: CallRef | None, priority: int | None, size: int | None, waker: Waker | None, *, may_wait: bool
    ) -> Request:
        priority = current_demand().priority if priority is None else check_priority(priority)
        size = self.options.default_size if size is None else whole("size", size, least=0)
        until = deadline_ns()
        news: News = deque()
        rules = self._rules
        with self._lock:
            now = self.clock.now_ns()
            self._number += 1
            request = Request(self, number=self._number, priority=priority, size=size, asked_ns=now)
            request.call = call
            request.waker = waker
            if waker is not None:
                self._loops.add(waker)
            if rules.line.count and self._loops.lost():
                rules.drop_gone(now, news)
            refusal = rules.arrive(request, now, until, news, may_wait=may_wait)
            waits = request.state is WAITING
            count, held = rules.line.count, rules.line.size
            retry_after = None if refusal is None else rules.retry_after
        if refusal is None and self._place.heard:
            if waits:
                self._place.emit(QueueEntered, call, priority=priority, size=size, waiting=count, waiting_bytes=held)
            else:
                self._place.emit(QueueStarted, call, priority=priority, waited_ns=0)
        self._tell(news)
        if refusal is not None:
            raise self._refused(request, refusal, count, retry_after)
        return request

    def leave(self, permit: Request, fault: Fault | None = None, call: CallRef | None = None) -> None:  # noqa: ARG002
        """The request's work is over: start the next. What was left stays so."""
        news: News = deque()
        with self._lock:
            if permit.state is not HELD:
                return
            made = fault is None or fault.made
            counts = fault is None or (made and fault.kind is not FaultKind.CANCELLED)
            now = self.clock.now_ns()
            self._rules.leave(permit, now, news, failed=fault is not None, counts=counts, made=made)
        self._tell(news)

    def admitted(self, **demand: Any) -> Request:  # noqa: ANN401
        """A request whose turn has come, after waiting in this thread."""
        return self.ask(**demand).wait()

    async def admitted_async(self, **demand: Any) -> Request:  # noqa: ANN401
        """A request whose turn has come, after waiting in this task."""
        return await self.ask(**demand).wait_async()

    def first_item(self, permit: Request) -> None:
        """Nothing: a stream is under way to its end."""

    # --- the queue as a whole ---------------------------------------------------------------------------------------

    def snapshot(self) -> RequestQueueSnapshot:
        """Its state now."""
        news: News = deque()
        with self._lock:
            if self._loops.lost():
                self._rules.drop_gone(self.clock.now_ns(), news)
        self._tell(news)
        with self._lock:
            rules = self._rules
            counts, line, capacity = rules.counts, rules.line, rules.capacity
            started = counts.started
            return RequestQueueSnapshot(
                waiting=line.count,
                waiting_bytes=line.size,
                depths=line.depths(),
                running=rules.running,
                capacity=capacity,
                depth_percent=100 * line.count / capacity if capacity else 100.0,
                rate=rules.rate,
                mean_service=rules.service_ns / NS_PER_SECOND if rules.service_ns else None,
                mean_wait=counts.waited_ns / started / NS_PER_SECOND if started else None,
                longest_wait=counts.longest_wait_ns / NS_PER_SECOND if started else None,
                standing=rules.standing,
                closed=rules.closed,
                started=started,
                succeeded=counts.succeeded,
                failed=counts.failed,
                refused=counts.refused,
                evicted=counts.evicted,
                expired=counts.expired,
                shed=counts.shed,
                abandoned=counts.abandoned,
            )

    def reconfigure(self, options: RequestQueueOptions) -> None:
        """Take these options from now on.

        What they allow to start starts at once. What waits stays, for as long as it was told and also where there is
        room for fewer now; what is under way goes on. The starts that were charged to a rate stay charged.

        Raises:
            ConfigError: they are not a queue's.
        """
        options_of(RequestQueueOptions, options)
        news: News = deque()
        with self._lock:
            self.options = options
            self._rules.reconfigure(options, self.clock.now_ns(), news)
        self._tell(news)

    def close(self) -> None:
        """Let nothing in any more, and drop what waits; what is under way goes on."""
        news: News = deque()
        with self._lock:
            self._rules.close(news)
        self._tell(news)

    def drain(self, seconds: float | None = None) -> bool:
        """Let nothing in any more, and block until all is done.

        Args:
            seconds: 0 or above; after them what still waits is dropped. None waits for as long as it takes.

        Returns:
            Whether all was done; False when the time was up first. What is under way goes on.
        """
        try:
            self._drains.begin(seconds, self._stop).wait()
        except TimeoutError:
            self.close()
            return False
        return True

    async def drain_async(self, seconds: float | None = None) -> bool:
        """:meth:`drain`, for a task."""
        try:
            await self._drains.begin(seconds, self._stop).wait_async()
        except TimeoutError:
            self.close()
            return False
        return True

    def _stop(self) -> bool:
        """Let nothing in any more; whether all is done. Under the lock."""
        self._rules.closed = True
        return self._idle()

    def _idle(self) -> bool:
        return not self._rules.running and not self._rules.line.count

    # --- for the turns ----------------------------------------------------------------------------------------------

    def watch(self, turn: Request, waker: Waker) -> None:
        """Wake ``turn`` by ``waker`` from now on."""
        with self._lock:
            turn.waker = waker
            self._loops.add(waker)

    def give_up(self, turn: Request) -> None:
        """The caller of ``turn`` is gone: it leaves the queue, or the next one starts in its place."""
        self._change(self._rules.withdraw, turn)

    def time_is_up(self, turn: Request) -> None:
        """Drop ``turn`` if it still waits."""
        self._change(self._rules.time_is_up, turn)

    def alarm(self, turn: Request) -> None:
        """The time for the next start may have come."""
        self._change(self._rules.alarm, turn)

    def refusal(self, turn: Request) -> Exception:
        """The error for a request that was dropped."""
        return dropped(self._place.name, turn.why, turn.retry_after)

    def _change(self, change: Callable[[Request, int, News], None], request: Request) -> None:
        news: News = deque()
        with self._lock:
            change(request, self.clock.now_ns(), news)
        self._tell(news)

    # ----------------------------------------------------------------------------------------------------------------

    def _tell(self, news: News) -> None:
        """Wake and report, after the lock is released; a turn whose waiter is gone goes to the next."""
        while news:
            request, what = news.popleft()
            waker = request.waker
            there = waker is None or what == Drop.ABANDONED or waker.wake()
            if not there and what in {STARTED, ALARM}:
                with self._lock:
                    self._rules.withdraw(request, self.clock.now_ns(), news)
                continue
            if what != ALARM and self._place.heard:
                if what == STARTED:
                    waited = request.began_ns - request.asked_ns
                    self._place.emit(QueueStarted, request.call, priority=request.priority, waited_ns=waited)
                else:
                    waited = self.clock.now_ns() - request.asked_ns
                    self._place.emit(
                        QueueDropped, request.call, priority=request.priority, reason=what, waited_ns=waited
                    )
        if self._drains.waiting:
            self._drains.check(self._idle)

    def _refused(self, request: Request, refusal: Refusal, count: int, retry_after: float | None) -> Exception:
        """The error for a request that is not let in; tells the listeners."""
        if refusal in {Refusal.CLOSED, Refusal.EXPIRED}:
            retry_after = None
        if self._place.heard:
            self._place.emit(
                QueueRefused,
                request.call,
                priority=request.priority,
                reason=refusal,
                waiting=count,
                retry_after=retry_after,
            )
        return refused(self._place.name, refusal, waiting=count, size=request.size, retry_after=retry_after)
