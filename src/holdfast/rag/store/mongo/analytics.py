"""What was asked and what went wrong, as rows that end by themselves: for questions about many questions.

    analytics   a row a question: request, tier, source, latency, cost, reasons; never its text
    logs        a row for what an operator should know: warnings and errors of the event log

Best effort, and on nobody's path: a listener puts rows into a buffer that has an end, and a task writes them once a
second. What the buffer has no room for, or the server does not take, is dropped and counted.
"""

from __future__ import annotations

import logging
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pymongo import WriteConcern

from holdfast.core.events import BreakerTransition, DeadlineExceeded, RetriesExhausted
from holdfast.errors import StoreError
from holdfast.rag.store.mongo.faults import store_faults
from holdfast.rag.store.mongo.layout import ANALYTICS, LOGS
from holdfast.rag.store.repeating import Repeating
from holdfast.telemetry.event_log import line_of
from holdfast.telemetry.events import AnswerReturned, DocumentSkipped, JobFinished, StageFailed, TierChanged
from holdfast.telemetry.model_events import KeyParked, ModelFailedOver, StreamBroken

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.clock import Clock
    from holdfast.core.events import Event, Events
    from holdfast.rag.store.mongo.client import Database, Row

__all__ = ["Analytics"]

BUFFER = 10_000
"""Rows that wait to be written, at most."""
_ROWS_AT_ONCE = 500
_EVERY_SECONDS = 1.0
_LOGGED = (
    *(BreakerTransition, DeadlineExceeded, RetriesExhausted, StageFailed, TierChanged, DocumentSkipped, JobFinished),
    *(KeyParked, ModelFailedOver, StreamBroken),
)
_LEVELS = frozenset({"warning", "error"})

_log = logging.getLogger(__name__)


class Analytics:
    """Writes rows to ``analytics`` and ``logs`` of one database.

    Args:
        database: gives the database; raises ``StoreError`` while there is none.
        place: for messages.
        events: what is listened to.
        clock: for the rows' times (the wall clock's), and for waiting.
        days: after which a row is deleted by the server, above 0.

    Attributes:
        dropped: rows that were not written.
    """

    def __init__(
        self, database: Callable[[], Database], place: str, *, events: Events, clock: Clock, days: float
    ) -> None:
        self.dropped = 0
        self._database = database
        self._place = place
        self._events = events
        self._clock = clock
        self._days = timedelta(days=days)
        self._rows: deque[tuple[str, Row]] = deque()
        self._stops: list[Callable[[], None]] = []
        self._fails = False
        self._writing = Repeating(self.write, every=_EVERY_SECONDS, clock=clock, what="Writing analytics")

    def start(self) -> None:
        """Listen. Idempotent."""
        if not self._stops:
            self._stops = [
                self._events.listen(self._answered, AnswerReturned),
                self._events.listen(self._logged, *_LOGGED),
            ]
        self._writing.start()

    async def stop(self) -> None:
        """Listen no more, and write what waits, unless the server is away. Idempotent."""
        stops, self._stops = self._stops, []
        for stop in stops:
            stop()
        await self._writing.stop()
        if not self._fails:
            await self.write()

    async def write(self) -> None:
        """Write what waits."""
        while self._rows:
            some = [self._rows.popleft() for _ in range(min(len(self._rows), _ROWS_AT_ONCE))]
            try:
                with store_faults(self._place):
                    await self._insert(some)
            except StoreError as error:
                self._drop(len(some))
                if not self._fails:
                    _log.warning("Analytics are not written, and are dropped until they can be: %s", error)
                self._fails = True
                return
            if self._fails:
                _log.info("Analytics are written again; %d rows were dropped so far", self.dropped)
            self._fails = False

    async def _insert(self, rows: list[tuple[str, Row]]) -> None:
        database = self._database().with_options(write_concern=WriteConcern(w=1))  # not worth waiting for a majority
        for name in (ANALYTICS, LOGS):
            some = [row for collection, row in rows if collection == name]
            if some:
                await database[name].insert_many(some, ordered=False)

    def _answered(self, event: AnswerReturned) -> None:
        row = {
            "request_id": event.correlation_id,
            "status": event.status,
            "source": event.source,
            "tier": event.tier,
            "degraded": event.degraded,
            "reasons": [str(reason) for reason in event.reasons],
            "latency_ms": round(event.seconds * 1e3, 3),
            "cost_usd": event.cost_usd,
        }
        self._add(ANALYTICS, event, row)

    def _logged(self, event: Event) -> None:
        level, message, fields = line_of(event)
        if level in _LEVELS:
            row = {
                "level": level,
                "message": message,
                "request_id": event.correlation_id,
                "dependency": event.dependency,
                "fields": {name: _plain(value) for name, value in fields.items()},
            }
            self._add(LOGS, event, row)

    def _add(self, collection: str, event: Event, row: Row) -> None:
        if len(self._rows) >= BUFFER:
            self._drop(1)
            return
        at = datetime.fromtimestamp(event.time_ns / 1e9, UTC)
        self._rows.append((collection, {"at": at, "expires_at": at + self._days, **row}))

    def _drop(self, rows: int) -> None:
        self.dropped += rows


def _plain(value: object) -> object:
    """What MongoDB can keep: numbers as they are, everything else as text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else str(value)
