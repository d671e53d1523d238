"""The rules of the request queue: who is let in, who waits, who is next, who is dropped. Without clock, lock or thread.

Every method is given the time, and gives back *news*: the requests whose state changed, for the owner to tell once it
has released its lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core._gcra import Gcra
from holdfast.core._priority_line import LOW, PriorityLine, Request
from holdfast.core._queue_model import ALARM, STARTED, Counts, Drop, News, Refusal
from holdfast.core._turns import DROPPED, HELD, LEFT, WAITING, is_gone
from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.core.codel import CoDelState

if TYPE_CHECKING:
    from holdfast.core._queue_model import RequestQueueOptions

__all__ = ["QueueRules"]

_REMEMBERED = 50  # services in the moving mean


class QueueRules:
    """The state of one queue. Not thread-safe: its owner holds a lock.

    Attributes:
        line: what waits.
        running: requests under way.
        closed: whether nothing is let in any more.
        counts: what has happened.
    """

    __slots__ = (
        "_alarm",
        "_codel",
        "_pace",
        "_service_ns",
        "_services",
        "closed",
        "counts",
        "line",
        "options",
        "running",
    )

    def __init__(self, options: RequestQueueOptions) -> None:
        self.options = options
        self.line = PriorityLine()
        self.running = 0
        self.closed = False
        self.counts = Counts()
        self._codel = None if options.codel is None else CoDelState(options.codel)
        per_minute = options.requests_per_minute
        self._pace = None if per_minute is None else Gcra(per_minute, options.burst, 0.0)
        self._service_ns = 0.0
        self._services = 0
        self._alarm: Request | None = None

    @property
    def rate(self) -> float | None:
        """Requests a second that can be served, as measured and as allowed; None while neither is known."""
        rates = []
        if self._service_ns > 0:
            rates.append(self.options.max_concurrent * NS_PER_SECOND / self._service_ns)
        if self.options.requests_per_minute is not None:
            rates.append(self.options.requests_per_minute / 60)
        return min(rates, default=None)

    @property
    def capacity(self) -> int:
        """How many may wait: no more than can be served while their callers wait."""
        rate, patience = self.rate, self.options.max_wait
        if rate is None or patience is None:
            return self.options.max_size
        return int(min(self.options.max_size, rate * patience))

    @property
    def retry_after(self) -> float | None:
        """Seconds until all that waits now is served."""
        rate = self.rate
        return None if rate is None else (self.line.count + 1) / rate

    @property
    def service_ns(self) -> float:
        """The mean time that a request holds its slot; 0 while it is not known."""
        return self._service_ns

    @property
    def standing(self) -> bool:
        """Whether CoDel says that the queue stands."""
        return self._codel is not None and self._codel.standing

    # --- a request comes, goes, or gives up -------------------------------------------------------------------------

    def arrive(
        self, request: Request, now_ns: int, deadline_ns: int | None, news: News, *, may_wait: bool
    ) -> Refusal | None:
        """Start the request, let it wait, or say why not."""
        refusal = self._refusal(request, now_ns, deadline_ns, news, may_wait=may_wait)
        if refusal is not None:
            self.counts.refused += 1
        return refusal

    def leave(self, request: Request, now_ns: int, news: News, *, failed: bool, counts: bool, made: bool) -> None:
        """A request under way ends; ``counts`` when the time it took says something of the next.

        One whose work was not ``made`` costs the rate nothing.
        """
        request.state = LEFT
        self.running -= 1
        if not made:
            self._refund(request, now_ns)
        if failed:
            self.counts.failed += 1
        else:
            self.counts.succeeded += 1
        if counts:
            self._services = min(_REMEMBERED, self._services + 1)
            self._service_ns += (now_ns - request.began_ns - self._service_ns) / self._services
        self.dispatch(now_ns, news)

    def withdraw(self, request: Request, now_ns: int, news: News) -> None:
        """The caller is gone: a turn that waits ends, one that was just given goes to the next."""
        if request.state is WAITING:
            self.line.remove(request)
        elif request.state is HELD:
            self.running -= 1
            self.counts.started -= 1
            self._refund(request, now_ns)
        else:
            return
        request.state = LEFT
        self.counts.abandoned += 1
        news.append((request, Drop.ABANDONED))
        self.dispatch(now_ns, news)

    def drop_gone(self, now_ns: int, news: News) -> None:
        """Take out whoever waits on an event loop that was closed; the news keep them alive."""
        for request in [request for request in self.line if is_gone(request.waker)]:
            self.withdraw(request, now_ns, news)

    def reconfigure(self, options: RequestQueueOptions, now_ns: int, news: News) -> None:
        """Take other options. What waits stays, also where there is room for fewer now."""
        if options.codel != self.options.codel:
            self._codel = None if options.codel is None else CoDelState(options.codel)
        self.options = options
        if options.requests_per_minute is None:
            self._pace = None
        elif self._pace is None:
            self._pace = Gcra(options.requests_per_minute, options.burst, 0.0)
        else:
            self._pace.set_rate(now_ns, options.requests_per_minute)
            self._pace.resize(options.burst, 0.0)
        self._alarm = None  # it was set for another rate
        self.dispatch(now_ns, news)

    def time_is_up(self, request: Request, now_ns: int, news: News) -> None:
        """A request has waited to its end."""
        if request.state is WAITING:
            self._drop(request, Drop.EXPIRED if request.cut else Drop.MAX_WAIT, news)
            self.dispatch(now_ns, news)

    def alarm(self, request: Request, now_ns: int, news: News) -> None:
        """The time for the next start may have come."""
        request.alarm_ns = None
        if self._alarm is request:
            self._alarm = None
        self.dispatch(now_ns, news)

    def close(self, news: News) -> None:
        """Let nothing in any more, and drop what waits."""
        self.closed = True
        for request in list(self.line):
            self._drop(request, Drop.CLOSED, news)

    def dispatch(self, now_ns: int, news: News) -> None:
        """Start what may start."""
        while self.line.count and self.running < self.options.max_concurrent:
            wait_ns = self._wait_ns(now_ns)
            if wait_ns:
                self._expire(now_ns, news)
                self._set_alarm(now_ns + wait_ns, news)
                return
            request = self._next(now_ns, news)
            if request is None:
                return
            self.line.remove(request)
            self._start(request, now_ns)
            news.append((request, STARTED))

    # ----------------------------------------------------------------------------------------------------------------

    def _refusal(
        self, request: Request, now_ns: int, deadline_ns: int | None, news: News, *, may_wait: bool
    ) -> Refusal | None:
        if self.closed:
            return Refusal.CLOSED
        if deadline_ns is not None and deadline_ns <= now_ns:
            return Refusal.EXPIRED
        self.dispatch(now_ns, news)
        if self.running < self.options.max_concurrent and not self._wait_ns(now_ns):  # then nobody waits any more
            if self._codel is not None:
                self._codel.sees(now_ns, 0)
            self._start(request, now_ns)
            return None
        if not may_wait:
            return Refusal.BUSY
        self._expire(now_ns, news)
        refusal = self._make_room(request, news)
        if refusal is None:
            self._set_due(request, now_ns, deadline_ns)
            self.line.put(request)
        self.dispatch(now_ns, news)
        return refusal

    def _make_room(self, request: Request, news: News) -> Refusal | None:
        """The rule of a full queue: low priorities are refused; others evict the oldest low one, if there is one."""
        line, capacity = self.line, self.capacity
        too_many = line.count >= capacity
        too_big = line.size + request.size - self.options.max_bytes
        if not too_many and too_big <= 0:
            return None
        refusal = Refusal.FULL if too_many else Refusal.MEMORY
        if request.priority < LOW or capacity < 1:
            return refusal
        victim = line.oldest_low()
        if victim is None or line.low_size < too_big:
            return refusal
        while victim is not None:
            too_big -= victim.size
            self._drop(victim, Drop.EVICTED, news)
            victim = line.oldest_low() if too_big > 0 else None
        return None

    def _set_due(self, request: Request, now_ns: int, deadline_ns: int | None) -> None:
        due = None if self.options.max_wait is None else now_ns + to_ns(self.options.max_wait)
        request.cut = deadline_ns is not None and (due is None or deadline_ns <= due)
        request.due_ns = deadline_ns if request.cut else due

    def _next(self, now_ns: int, news: News) -> Request | None:
        """Who is to start now; what has expired or waited too long is dropped on the way."""
        self._expire(now_ns, news)
        codel = self._codel
        oldest = self.line.first()
        if codel is None:
            return oldest
        while oldest is not None and codel.sees(now_ns, now_ns - oldest.asked_ns):
            self._drop(oldest, Drop.OVERLOAD, news)
            oldest = self.line.first()
        return self.line.first(newest=True) if codel.standing and codel.newest_first else oldest

    def _start(self, request: Request, now_ns: int) -> None:
        request.state = HELD
        request.began_ns = now_ns
        self.running += 1
        if self._pace is not None:
            self._pace.take(now_ns, self._pace.unit_ns)
            request.charge = self._pace, self._pace.receipt
        waited = now_ns - request.asked_ns
        self.counts.started += 1
        self.counts.waited_ns += waited
        self.counts.longest_wait_ns = max(self.counts.longest_wait_ns, waited)

    def _wait_ns(self, now_ns: int) -> int:
        """How long until the rate allows the next start."""
        return 0 if self._pace is None else self._pace.wait_ns(now_ns, self._pace.unit_ns, low=False)

    def _refund(self, request: Request, now_ns: int) -> None:
        """A start that was none goes back to the rate that it was charged to, as far as that would still feel it."""
        if request.charge is not None:
            pace, receipt = request.charge
            pace.refund(now_ns, receipt, pace.unit_ns)

    def _expire(self, now_ns: int, news: News) -> None:
        while (request := self.line.expired(now_ns)) is not None:
            self._drop(request, Drop.EXPIRED if request.cut else Drop.MAX_WAIT, news)

    def _drop(self, request: Request, why: Drop, news: News) -> None:
        self.line.remove(request)
        request.why = why
        request.retry_after = self.retry_after
        request.state = DROPPED
        if why is Drop.EVICTED:
            self.counts.evicted += 1
        elif why in {Drop.EXPIRED, Drop.MAX_WAIT}:
            self.counts.expired += 1
        else:
            self.counts.shed += 1
        news.append((request, why))

    def _set_alarm(self, at_ns: int, news: News) -> None:
        """Let one of those who wait call when the rate allows the next start; any of them will do."""
        if self._alarm is not None and self._alarm.state is WAITING and not is_gone(self._alarm.waker):
            return  # an alarm is never too late: what is given back allows a start at once
        self._alarm = self.line.first()
        if self._alarm is not None:
            self._alarm.alarm_ns = at_ns
            news.append((self._alarm, ALARM))
