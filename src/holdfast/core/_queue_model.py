"""The words of the request queue: its options, its state, and why it refuses or drops a request."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from holdfast.core._options import at_least, duration, per_minute, whole
from holdfast.core._priority_line import Request
from holdfast.core.codel import CoDel
from holdfast.errors import ConfigError

__all__ = [
    "ALARM",
    "STARTED",
    "Counts",
    "Drop",
    "News",
    "Refusal",
    "RequestQueueOptions",
    "RequestQueueSnapshot",
    "max_size_for",
]

_HEADROOM = 0.8


def max_size_for(memory: int, size: int = 5 * 1024) -> int:
    """How many requests of ``size`` bytes a queue may hold in ``memory`` bytes: four fifths of what fits.

    Args:
        memory: bytes for the queue, 0 or more.
        size: measured bytes a request, 1 or more.
    """
    return int(whole("memory", memory, least=0) * _HEADROOM / whole("size", size, least=1))


class Refusal(StrEnum):
    """Why a request was not let in."""

    FULL = "full"
    MEMORY = "memory"
    EXPIRED = "expired"
    CLOSED = "closed"
    BUSY = "busy"
    """It would have to wait, and was not to."""


class Drop(StrEnum):
    """Why a request that waited left without its turn."""

    EVICTED = "evicted"
    EXPIRED = "expired"
    OVERLOAD = "overload"
    MAX_WAIT = "max_wait"
    CLOSED = "closed"
    ABANDONED = "abandoned"


STARTED = "started"
ALARM = "alarm"

News: TypeAlias = deque[tuple[Request, str]]
"""Requests to be told that their turn has come (``STARTED``), why it never will (a ``Drop``), or to set an alarm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestQueueOptions:
    """What a queue was built with; see :class:`~holdfast.core.request_queue.RequestQueue`."""

    max_concurrent: int = 10
    requests_per_minute: float | None = 60
    burst: int = 10
    max_size: int = 1000
    max_bytes: int = 50 * 1024 * 1024
    default_size: int = 5 * 1024
    max_wait: float | None = 30.0
    codel: CoDel | None = None

    def __post_init__(self) -> None:
        whole("max_concurrent", self.max_concurrent, least=1)
        if self.requests_per_minute is not None:
            per_minute("requests_per_minute", at_least("requests_per_minute", self.requests_per_minute, 0.001))
        whole("burst", self.burst, least=1)
        whole("max_size", self.max_size, least=0)
        whole("max_bytes", self.max_bytes, least=0)
        whole("default_size", self.default_size, least=0)
        if self.max_wait is not None:
            duration("max_wait", self.max_wait)
        if self.codel is not None and not isinstance(self.codel, CoDel):
            raise ConfigError("codel", self.codel, "must be a CoDel, or None")


@dataclass(slots=True)
class Counts:
    """What has happened since the queue was made."""

    started: int = 0
    succeeded: int = 0
    failed: int = 0
    refused: int = 0
    evicted: int = 0
    expired: int = 0
    shed: int = 0
    abandoned: int = 0
    waited_ns: int = 0
    longest_wait_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestQueueSnapshot:
    """A queue at one moment. The counts are since construction.

    Attributes:
        waiting: requests that wait; ``waiting_bytes`` what they hold; ``depths`` how many by priority, 0 to 9.
        running: requests under way.
        capacity: how many may wait now: ``max_size``, or less when they could not be served within ``max_wait``.
        depth_percent: ``waiting`` in percent of ``capacity``; 100 when that is 0.
        rate: requests a second that can be served, as measured and as allowed; None while neither is known.
        mean_service: seconds that a request is under way, a moving mean; None before the first ended.
        mean_wait, longest_wait: seconds that those who started had waited; None before the first.
        standing: whether CoDel says that the queue stands.
        closed: whether it lets nothing in any more.
        started, succeeded, failed: requests that began, and how they ended.
        refused: requests that were not let in.
        evicted: dropped for a more important one; ``expired``: because their time was up; ``shed``: by CoDel or by
            closing; ``abandoned``: by their callers.
    """

    waiting: int
    waiting_bytes: int
    depths: tuple[int, ...]
    running: int
    capacity: int
    depth_percent: float
    rate: float | None
    mean_service: float | None
    mean_wait: float | None
    longest_wait: float | None
    standing: bool
    closed: bool
    started: int
    succeeded: int
    failed: int
    refused: int
    evicted: int
    expired: int
    shed: int
    abandoned: int
