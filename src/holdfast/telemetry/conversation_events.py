"""What happens to the memory of conversations: what is kept late, what is lost, and what is made of it.

The texts of questions, answers and summaries are in none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.telemetry.events import ServiceEvent

__all__ = [
    "ConversationSummarised",
    "MemoryFailed",
    "QuestionRewritten",
    "SummaryPostponed",
    "TurnLost",
    "TurnReplayed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFailed(ServiceEvent):
    """A call to the store of conversations failed; the question goes on with what this process remembers.

    Attributes:
        operation: ``open``, ``recall``, ``remember``, or ``replay`` when nobody waited for it.
        error: the kind of the failure and its sentence.
        buffered: turns that wait in this process for the store to come back.
    """

    operation: str
    error: str
    buffered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnReplayed(ServiceEvent):
    """A turn that had to wait for its store is kept now; ``waited_ns`` since it was to be kept first."""

    conversation_id: str
    waited_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnLost(ServiceEvent):
    """A turn of a conversation will never be kept.

    Attributes:
        conversation_id: whose it was.
        cause: ``buffer_full``: too many waited; ``closed``: the process ended before the store came back;
            ``refused``: the store does not take it.
        error: why it was refused, else empty.
    """

    conversation_id: str
    cause: str
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionRewritten(ServiceEvent):
    """A question that cannot be understood without its conversation was rewritten.

    Attributes:
        how: ``model`` or ``rules``; ``as_asked`` when nothing was found to add.
        latency_ms: milliseconds.
        error: why a model that was asked is not the one who did it, else empty.
    """

    how: str
    latency_ms: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSummarised(ServiceEvent):
    """The older turns of a conversation have a new summary.

    Attributes:
        conversation_id: which one.
        how: ``model`` or ``questions``: the questions that were asked, shortened.
        turns: turns that the summary covers.
        latency_ms: milliseconds.
        error: why a model that was asked is not the one who did it, else empty.
    """

    conversation_id: str
    how: str
    turns: int
    latency_ms: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryPostponed(ServiceEvent):
    """A summary could not be made or kept; the next answer in the conversation tries again."""

    conversation_id: str
    error: str
