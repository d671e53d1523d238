"""What comes of asking a target, and what is remembered of it for the rest of a question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from holdfast.core.faults import Fault, FaultKind
    from holdfast.llm.attempt import Attempt
    from holdfast.llm.costs import Cause
    from holdfast.llm.routing.link import Link
    from holdfast.llm.wire.base import Chunk, Reply

__all__ = ["Failed", "Opened", "Pause", "Tried"]


@dataclass(slots=True, kw_only=True)
class Opened:
    """An answer that has begun: a whole reply, or the first chunks of a stream with what follows them.

    Whoever has it must end it: with ``Exchange.done``, ``Exchange.broke`` or ``Exchange.abandon``.
    """

    attempt: Attempt
    cause: Cause
    first: Reply | Sequence[Chunk]
    stream: AsyncGenerator[Reply | Sequence[Chunk], None]
    settled: bool = False

    @property
    def link(self) -> Link:
        """Who answers."""
        return self.attempt.link


@dataclass(slots=True, kw_only=True)
class Failed:
    """A try that gave nothing. ``made`` is False when a breaker or a limit of ours refused it."""

    link: Link
    error: Exception
    fault: Fault
    made: bool


@dataclass(slots=True)
class Tried:
    """What a link has said to this question so far.

    Attributes:
        calls: calls made.
        fault: how the last one failed, without the error; None before.
        again: whether it may say something else the next time.
        failed_ns: when it failed.
        previous_ns, retried: what the retry policy wants to know of the repetitions so far.
        refused_until_ns: until when a limit of ours has no room for the question; 0 when none has refused it.
    """

    calls: int = 0
    fault: Fault | None = None
    again: bool = True
    previous_ns: int = 0
    failed_ns: int = 0
    refused_until_ns: int = 0
    retried: dict[FaultKind, int] = field(default_factory=dict)


class Pause(NamedTuple):
    """A link that may be asked later.

    Attributes:
        wait_ns: how long to wait for it.
        link: who it is.
        delay_ns: what the retry policy wants, of which a part has passed while others were asked.
    """

    wait_ns: int
    link: Link
    delay_ns: int
