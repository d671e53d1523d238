"""Gets turns into their store: at once where it works, and later where it does not.

A turn that is to be kept waits in a buffer until the store has it. One task for each conversation writes what waits,
in order; whoever has a turn to keep waits for that task a while, and is told whether the turn is kept. While something
is left over, the store is tried again every few seconds, in the background. The store takes each turn once, by its
request's id, so that a turn whose fate is not known (an answer that came too late, a caller who went away) is just
written again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeGuard, TypeVar

from holdfast.core._options import duration, options_by_name, whole
from holdfast.core.clock import to_ns
from holdfast.core.events import correlation_scope
from holdfast.core.patience import Patience
from holdfast.errors import AttemptTimeoutError, InvalidInputError, NotFoundError
from holdfast.rag.conversations.buffer import TurnBuffer

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from holdfast.core.clock import Clock
    from holdfast.rag.conversations.access import GuardedStore
    from holdfast.rag.conversations.buffer import Waiting
    from holdfast.rag.conversations.telling import MemoryVoice
    from holdfast.rag.records.base import Turn

__all__ = ["Fate", "KeeperOptions", "KeeperSnapshot", "TurnKeeper"]

T = TypeVar("T")

_JITTER = 0.2
"""A pause is up to this share shorter or longer, so that processes do not all try at the same moment."""


class Fate(StrEnum):
    """What became of a turn that was to be kept."""

    KEPT = "kept"
    WAITS = "waits"
    """The store did not take it, or said nothing in time: it is tried again."""
    REFUSED = "refused"
    """The store will never take it: it is too long, or the conversation is full."""
    FORGOTTEN = "forgotten"
    """Its conversation was deleted after the question was asked."""


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperOptions:
    """How turns are kept.

    Attributes:
        buffer_turns: turns that may wait for the store, 1 or more (default 1,000).
        buffer_bytes: memory that they may take, 1 byte or more (default 8 MiB).
        write_seconds: how long an answer waits for its turn to be kept, above 0 (default 2).
        probe_seconds: the pause between two tries, above 0 (default 5), give or take a fifth.
        close_seconds: how long the last try may take, above 0 (default 5).

    Raises:
        ConfigError: a value is out of its range.
    """

    buffer_turns: int = 1_000
    buffer_bytes: int = 8 * 1024 * 1024
    write_seconds: float = 2.0
    probe_seconds: float = 5.0
    close_seconds: float = 5.0

    def __post_init__(self) -> None:
        whole("buffer_turns", self.buffer_turns, least=1)
        whole("buffer_bytes", self.buffer_bytes, least=1)
        duration("write_seconds", self.write_seconds)
        duration("probe_seconds", self.probe_seconds)
        duration("close_seconds", self.close_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperSnapshot:
    """What waits, and what became of what did.

    Attributes:
        buffered: turns that wait now.
        buffered_bytes: the memory that they take.
        replayed: turns that were kept later than their answers were given.
        lost: turns that will never be kept.
    """

    buffered: int
    buffered_bytes: int
    replayed: int
    lost: int


class TurnKeeper:
    """Keeps turns.

    Args:
        store: where to.
        clock: the source of time.
        rng: spreads the tries.
        voice: tells what happens.
    """

    def __init__(
        self,
        store: GuardedStore,
        *,
        clock: Clock,
        rng: random.Random,
        voice: MemoryVoice,
        options: KeeperOptions | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._rng = rng
        self._voice = voice
        self._options = options or KeeperOptions()
        self._buffer = TurnBuffer(max_turns=self._options.buffer_turns, max_bytes=self._options.buffer_bytes)
        self._patience = Patience(clock)
        self._writing: dict[str, asyncio.Task[Mapping[str, Fate]]] = {}
        self._replaying: asyncio.Task[None] | None = None
        self._closed = False
        self._replayed = self._lost = 0

    async def keep(self, conversation_id: str, turn: Turn) -> Fate:
        """Have a turn kept, and wait for that a bounded time."""
        waiting = self._buffer.put(conversation_id, turn, now_ns=self._clock.now_ns())
        fate = Fate.WAITS
        try:
            fate = await self._fate(waiting)
        finally:  # a caller who goes away leaves his turn behind
            if fate is Fate.WAITS:
                waiting.late = True
                self._see_to_the_rest()
        return fate

    def waiting_for(self, conversation_id: str) -> tuple[Turn, ...]:
        """A conversation's turns that are not in the store as far as is known."""
        return self._buffer.of(conversation_id)

    def forget(self, conversation_id: str) -> int:
        """Keep none of a conversation's turns that wait; how many there were."""
        return self._buffer.drop(conversation_id)

    def __len__(self) -> int:
        return len(self._buffer)

    def snapshot(self) -> KeeperSnapshot:
        """How things are."""
        return KeeperSnapshot(
            buffered=len(self._buffer),
            buffered_bytes=self._buffer.bytes,
            replayed=self._replayed,
            lost=self._lost,
        )

    async def close(self) -> int:
        """Try once more to keep what waits, past the circuit breaker, and give up what is left.

        Returns:
            How many turns are lost.
        """
        self._closed = True
        if _runs_here(self._replaying):
            self._replaying.cancel()
            await asyncio.wait({self._replaying})
        due = self._clock.now_ns() + to_ns(self._options.close_seconds)
        with suppress(AttemptTimeoutError):
            await self._patience.until(due, self._last_try(), _late)
        for task in (running := self._running()):
            task.cancel()
        if running:
            await asyncio.wait(running)
        return self._give_up(self._buffer.clear(), "closed")

    # --- one turn -----------------------------------------------------------------------------------------------------

    async def _fate(self, waiting: Waiting) -> Fate:
        writing = self._writer(waiting.conversation_id)
        due = self._clock.now_ns() + to_ns(self._options.write_seconds)
        try:
            await self._patience.until(due, asyncio.wait({writing}), _late)
        except AttemptTimeoutError as error:  # the writing goes on
            self._voice.failed("remember", error, buffered=len(self._buffer))
            return Fate.WAITS
        return Fate.WAITS if writing.cancelled() else writing.result().get(waiting.turn.request_id, Fate.WAITS)

    def _writer(self, conversation_id: str, *, guarded: bool = True) -> asyncio.Task[Mapping[str, Fate]]:
        """The task that writes what waits of a conversation: the one that runs, or a new one.

        It belongs to no request: it has no deadline, and the end of whoever waits for it is not its own.
        """
        task = self._writing.get(conversation_id)
        if _runs_here(task):
            return task
        task = asyncio.get_running_loop().create_task(
            self._write(conversation_id, guarded=guarded), context=Context(), name="holdfast conversation writer"
        )
        self._writing[conversation_id] = task
        task.add_done_callback(lambda done: self._written(conversation_id, done))
        return task

    def _written(self, conversation_id: str, task: asyncio.Task[Mapping[str, Fate]]) -> None:
        if self._writing.get(conversation_id) is task:
            del self._writing[conversation_id]

    async def _write(self, conversation_id: str, *, guarded: bool) -> Mapping[str, Fate]:
        """Write what waits of a conversation until nothing does, or the store fails; what was settled."""
        settled: dict[str, Fate] = {}
        while (waiting := self._buffer.first(conversation_id)) is not None:
            with correlation_scope(waiting.turn.request_id):
                fate = await self._append(waiting, guarded=guarded)
            if fate is not Fate.WAITS:
                settled[waiting.turn.request_id] = fate
                self._buffer.remove(waiting)
            elif self._buffer.first(conversation_id) is waiting:
                break
        return settled

    async def _append(self, waiting: Waiting, *, guarded: bool) -> Fate:
        try:
            await self._store.append(waiting.conversation_id, waiting.turn, guarded=guarded)
        except NotFoundError:
            return Fate.FORGOTTEN
        except InvalidInputError as error:
            self._lost += 1
            self._voice.lost(waiting.conversation_id, waiting.turn.request_id, "refused", error)
            return Fate.REFUSED
        except Exception as error:  # noqa: BLE001 - whatever it is, the turn waits and is tried again
            operation = "replay" if waiting.late else "remember"
            self._voice.failed(operation, error, buffered=len(self._buffer))
            return Fate.WAITS
        if waiting.late:
            self._replayed += 1
            self._voice.replayed(waiting.conversation_id, waited_ns=self._clock.now_ns() - waiting.since_ns)
        return Fate.KEPT

    # --- what is left over --------------------------------------------------------------------------------------------

    def _see_to_the_rest(self) -> None:
        self._give_up(self._buffer.trim(), "buffer_full")
        if self._closed:
            self._give_up(self._buffer.clear(), "closed")
        if self._buffer and not _runs_here(self._replaying):
            self._replaying = asyncio.get_running_loop().create_task(
                self._replay(), context=Context(), name="holdfast conversation replay"
            )

    def _give_up(self, turns: list[Waiting], cause: str) -> int:
        self._lost += len(turns)
        for waiting in turns:
            self._voice.lost(waiting.conversation_id, waiting.turn.request_id, cause)
        return len(turns)

    async def _replay(self) -> None:
        """Try again now and then, until nothing waits any more."""
        while self._buffer:
            pause = self._options.probe_seconds * self._rng.uniform(1 - _JITTER, 1 + _JITTER)
            await self._clock.asleep_ns(to_ns(pause))
            await self._try_all()

    async def _try_all(self, *, guarded: bool = True) -> None:
        """Write what waits, conversation by conversation, until the first failure: it goes to the back of the line."""
        for conversation_id in self._buffer.conversations():
            await asyncio.wait({self._writer(conversation_id, guarded=guarded)})
            if self._buffer.first(conversation_id) is not None:
                self._buffer.to_back(conversation_id)
                return

    async def _last_try(self) -> None:
        if running := self._running():
            await asyncio.wait(running)
        await self._try_all(guarded=False)

    def _running(self) -> set[asyncio.Task[Mapping[str, Fate]]]:
        return {task for task in self._writing.values() if _runs_here(task)}


def _runs_here(task: asyncio.Task[T] | None) -> TypeGuard[asyncio.Task[T]]:
    """Whether a task is under way, and not left behind by an event loop that was closed."""
    return task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()


def _late() -> AttemptTimeoutError:
    return AttemptTimeoutError("The store of conversations did not keep a turn in time; it is tried again.")
