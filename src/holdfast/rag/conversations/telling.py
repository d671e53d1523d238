"""Tells what happens to the memory of conversations as events; builds none when nobody listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.classify import classify
from holdfast.telemetry.conversation_events import (
    ConversationSummarised,
    MemoryFailed,
    QuestionRewritten,
    SummaryPostponed,
    TurnLost,
    TurnReplayed,
)

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.core.events import Events

__all__ = ["MemoryVoice", "sentence_of"]


class MemoryVoice:
    """The voice of the memory; who asked is taken from the correlation scope.

    Args:
        events: who listens.
        clock: when it happened.
        dependency: the store's name.
    """

    def __init__(self, events: Events, clock: Clock, dependency: str) -> None:
        self._events = events
        self._clock = clock
        self._dependency = dependency

    def failed(self, operation: str, error: BaseException, *, buffered: int) -> None:
        """A call to the store failed for good."""
        if self._events.active:
            self._events.emit(
                MemoryFailed(
                    time_ns=self._clock.wall_ns(),
                    dependency=self._dependency,
                    operation=operation,
                    error=sentence_of(error),
                    buffered=buffered,
                )
            )

    def replayed(self, conversation_id: str, *, waited_ns: int) -> None:
        """A turn that had to wait is kept."""
        if self._events.active:
            self._events.emit(
                TurnReplayed(
                    time_ns=self._clock.wall_ns(),
                    dependency=self._dependency,
                    conversation_id=conversation_id,
                    waited_ns=waited_ns,
                )
            )

    def lost(self, conversation_id: str, request_id: str, cause: str, error: BaseException | None = None) -> None:
        """A turn will never be kept."""
        if self._events.active:
            self._events.emit(
                TurnLost(
                    time_ns=self._clock.wall_ns(),
                    correlation_id=request_id,
                    dependency=self._dependency,
                    conversation_id=conversation_id,
                    cause=cause,
                    error="" if error is None else sentence_of(error),
                )
            )

    def rewritten(self, how: str, latency_ms: float, error: str) -> None:
        """A question was made to stand on its own."""
        if self._events.active:
            self._events.emit(
                QuestionRewritten(time_ns=self._clock.wall_ns(), how=how, latency_ms=latency_ms, error=error)
            )

    def summarised(self, conversation_id: str, how: str, *, turns: int, latency_ms: float, error: str) -> None:
        """A conversation has a new summary."""
        if self._events.active:
            self._events.emit(
                ConversationSummarised(
                    time_ns=self._clock.wall_ns(),
                    dependency=self._dependency,
                    conversation_id=conversation_id,
                    how=how,
                    turns=turns,
                    latency_ms=latency_ms,
                    error=error,
                )
            )

    def postponed(self, conversation_id: str, error: str) -> None:
        """A summary could not be made or kept now."""
        if self._events.active:
            self._events.emit(
                SummaryPostponed(
                    time_ns=self._clock.wall_ns(),
                    dependency=self._dependency,
                    conversation_id=conversation_id,
                    error=error,
                )
            )


def sentence_of(error: BaseException) -> str:
    """What went wrong, for an event."""
    return f"{classify(error).kind}: {error}"
