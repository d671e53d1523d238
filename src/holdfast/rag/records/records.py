"""What the service keeps beside its documents, in one hand: conversations, API keys and feedback."""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.clock import to_ns
from holdfast.core.pipeline import Pipeline
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.rag.records.keyring import KeyRing

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from holdfast.core.clock import Clock, Timer
    from holdfast.core.events import Events
    from holdfast.rag.records.base import ConversationStore
    from holdfast.rag.records.feedback import FeedbackStore
    from holdfast.rag.records.keys import KeyStore

__all__ = ["RecordPlace", "Records"]

P = ParamSpec("P")
T = TypeVar("T")

_FIRST_SWEEP_SECONDS = 60.0
_SWEEP_SECONDS = 3_600.0

_log = logging.getLogger(__name__)


class RecordPlace(Protocol):
    """A file or a database that holds all records: ``SqliteRecords`` or ``MongoRecords``."""

    @property
    def name(self) -> str:
        """The dependency's name."""
        ...

    @property
    def conversations(self) -> ConversationStore:
        """The conversations in it."""
        ...

    @property
    def keys(self) -> KeyStore:
        """The API keys in it."""
        ...

    @property
    def feedback(self) -> FeedbackStore:
        """The feedback in it."""
        ...

    async def open(self) -> None:
        """Make it ready, creating it when it is not there. Idempotent."""
        ...

    async def close(self) -> None:
        """Release it. Idempotent."""
        ...

    async def ping(self) -> None:
        """Return when a read works; raise as any read would. Cheap."""
        ...

    async def sweep(self) -> int:
        """Remove what is older than it is kept; how many conversations and opinions that were."""
        ...


class Records:
    """The records of a service. They may be down while everything else works: nothing here is on an answer's way.

    Args:
        place: where they are.
        clock, rng, events: where time, jitter and listeners come from.

    Attributes:
        conversations, keys, feedback: the stores, bare; :meth:`call` is how to call them.
        ring: which keys are accepted.
        guard: the policies around every call.
    """

    def __init__(self, place: RecordPlace, *, clock: Clock, rng: random.Random, events: Events) -> None:
        self._place = place
        self._clock = clock
        self.conversations = place.conversations
        self.keys = place.keys
        self.feedback = place.feedback
        self.ring = KeyRing(place.keys, clock=clock, events=events)
        # Every call may be repeated: turns, feedback and keys carry their ids.
        self.guard = Pipeline(
            Retry(max_retries=1, initial_delay=0.05, max_delay=0.5),
            CircuitBreaker(failure_threshold=5, recovery_timeout=15.0),
            Timeout(seconds=2.0),
            name=place.name,
            clock=clock,
            rng=rng,
            events=events,
        )
        self._timer: Timer | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """The dependency's name."""
        return self._place.name

    async def open(self) -> None:
        """Begin to remove what is too old, now and then. The place itself is opened, and made, by its first use."""
        if self._closed:
            self._closed = False
            try:
                await self.call(self._place.open)
            except Exception as error:  # noqa: BLE001 - whatever it is, documents can be asked without them
                _log.warning("The records cannot be opened now, the service goes on without them: %s", error)
        if self._timer is None:
            self._wind(_FIRST_SWEEP_SECONDS)

    async def close(self) -> None:
        """Release them. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sweeping is not None:
            await asyncio.wait({self._sweeping})
        await self.ring.close()
        await self._place.close()

    async def ping(self) -> None:
        """Return when a read works; raise as any read would."""
        await self._place.ping()

    async def call(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of one of the stores through the policies.

        Raises:
            StoreError, RetriesExhaustedError, RejectedError: it cannot be done now.
        """
        result: T = await self.guard.call(fn, *args, **kwargs)
        return result

    async def forget_feedback_on(self, conversation_id: str) -> None:
        """Remove what was said of the answers of a conversation. To be called before the conversation is deleted."""
        conversation = await self.call(self.conversations.get, conversation_id)
        if conversation is not None:
            await self.call(self.feedback.delete, [turn.request_id for turn in conversation.turns])

    def _wind(self, seconds: float) -> None:
        self._timer = self._clock.call_later_ns(to_ns(seconds), self._due)

    def _due(self) -> None:
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep(), context=Context())
        self._wind(_SWEEP_SECONDS)

    async def _sweep(self) -> None:
        try:
            removed = await self._place.sweep()
        except Exception as error:  # noqa: BLE001 - the next sweep does it
            _log.warning("Old records could not be removed now: %s", error)
        else:
            if removed:
                _log.info("Removed %d old conversations and opinions.", removed)
