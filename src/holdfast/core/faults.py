"""What can go wrong with a call, in the one vocabulary that every policy, metric and log line uses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WEIGHTS", "Fault", "FaultKind", "hand_back"]


class FaultKind(StrEnum):
    """What sort of failure it was."""

    THROTTLED = "throttled"
    """A rate limit: the dependency is well, we ask too often."""
    OVERLOADED = "overloaded"
    """It says that it has too much to do, or a policy of ours says so."""
    TRANSIENT = "transient"
    """It failed inside (5xx, a lock held elsewhere), or failed in a way that nobody has a name for."""
    CONNECT = "connect"
    """It could not be reached, or the connection was lost."""
    TIMEOUT = "timeout"
    """It took too long."""
    TRUNCATED = "truncated"
    """The answer ended before its end."""
    MALFORMED = "malformed"
    """The answer cannot be read."""
    EMPTY = "empty"
    """The answer holds nothing."""
    AUTH = "auth"
    """The key or the permission is wrong."""
    QUOTA = "quota"
    """The money or the allowance is used up; waiting a little does not help."""
    BAD_REQUEST = "bad_request"
    """What we asked is wrong."""
    CONTEXT_TOO_LONG = "context_too_long"
    """The input does not fit into the model."""
    CONTENT_FILTERED = "content_filtered"
    """The provider refuses the content."""
    CANCELLED = "cancelled"
    """The caller gave up; it says nothing of the dependency."""
    BUG = "bug"
    """A programming error in the code around the call."""


WEIGHTS: Mapping[FaultKind, float] = MappingProxyType(
    {
        FaultKind.THROTTLED: 0.0,
        FaultKind.OVERLOADED: 1.0,
        FaultKind.TRANSIENT: 1.0,
        FaultKind.CONNECT: 1.0,
        FaultKind.TIMEOUT: 0.5,  # a short spike of latency must not open a breaker
        FaultKind.TRUNCATED: 1.0,
        FaultKind.MALFORMED: 1.0,
        FaultKind.EMPTY: 1.0,
        FaultKind.AUTH: 0.0,
        FaultKind.QUOTA: 0.0,
        FaultKind.BAD_REQUEST: 0.0,
        FaultKind.CONTEXT_TOO_LONG: 0.0,
        FaultKind.CONTENT_FILTERED: 0.0,
        FaultKind.CANCELLED: 0.0,
        FaultKind.BUG: 0.0,
    }
)
"""How much one fault of a kind counts as evidence that the dependency is ill: 0 says nothing, 1 is a whole failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One classified failure.

    Attributes:
        kind: what sort of failure.
        transient: whether the same call to the same target may work a moment later.
        weight: how much it counts against the dependency's health, 0 to 1 (see :data:`WEIGHTS`).
        retry_after: seconds that the dependency asked us to wait, where it did.
        safe_to_replay: whether the dependency certainly did nothing, so that even a call that must not run twice may
            be made again.
        cause: the exception.
        made: whether the call was made at all. False for a permit that is left although the function was never called
            (a gate further in refused, the deadline passed before): a gate that charges gives everything back.
    """

    kind: FaultKind
    transient: bool
    weight: float
    retry_after: float | None = None
    safe_to_replay: bool = False
    cause: BaseException | None = None
    made: bool = True


def hand_back(error: BaseException, *, made: bool = False) -> Fault:
    """The fault that gives a gate its permit back and counts neither way.

    Args:
        error: why.
        made: whether the call was made, as when the consumer of a stream closes it.
    """
    return Fault(kind=FaultKind.CANCELLED, transient=False, weight=0.0, cause=error, made=made)
