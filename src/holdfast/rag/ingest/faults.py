"""What a failure of the embedder or the store means for an ingest: wait, try smaller pieces, or stop."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from holdfast.core.classify import classify
from holdfast.core.faults import FaultKind
from holdfast.errors import (
    AttemptTimeoutError,
    DeadlineExceededError,
    DependencyError,
    HoldfastError,
    RejectedError,
    RetriesExhaustedError,
    TargetsExhaustedError,
)
from holdfast.rag.types import Reason

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.core.faults import Fault

__all__ = [
    "STORE_OUTAGES",
    "AbandonedError",
    "IngestStoppedError",
    "OutageError",
    "Remedy",
    "embedder_outage",
    "kind_of",
    "remedy_for",
    "root_of",
    "sentence_of",
    "store_outage",
]

STORE_OUTAGES = (DependencyError, RetriesExhaustedError, RejectedError, DeadlineExceededError, AttemptTimeoutError)
"""What fails because of the store, and not because of what is to be stored."""

_OF_THE_CONTENT = frozenset({FaultKind.BAD_REQUEST, FaultKind.CONTEXT_TOO_LONG, FaultKind.CONTENT_FILTERED})
_OF_THE_ACCOUNT = frozenset({FaultKind.AUTH, FaultKind.QUOTA})


class OutageError(HoldfastError):
    """The store or the embedder does not work now, whatever it is asked; ``__cause__`` is why.

    Args:
        message: the sentence to show.
        dependency: which of them.
        reason: its code.
        kind: what sort of failure.
        retry_after: seconds after which a new try makes sense, where that is known.
    """

    def __init__(
        self, message: str, *, dependency: str, reason: Reason, kind: FaultKind, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.dependency = dependency
        self.reason = reason
        self.kind = kind
        self.retry_after = retry_after


class IngestStoppedError(HoldfastError):
    """An ingest that stops at the first failure has met it; ``__cause__`` is what happened, where it was an error.

    Args:
        uri: the document, or the file that no document could be read from.
        stage: ``read``, ``embed`` or ``store``.
        reason: what happened.
    """

    def __init__(self, *, uri: str, stage: str, reason: str) -> None:
        super().__init__(f"Stopped at the first failure, in the stage {stage!r} of {uri}: {reason}")
        self.uri = uri
        self.stage = stage
        self.reason = reason


class AbandonedError(HoldfastError):
    """Nobody wants the document any more: its job was cancelled, or it was deleted."""


class Remedy(Enum):
    """What to do about a failure of the embedder."""

    WAIT = "wait"
    """It passes: try the same again after a while."""
    HALVE = "halve"
    """It may lie in the texts: try smaller pieces."""
    STOP = "stop"
    """Nothing that we could do now would help."""


def root_of(error: Exception) -> Exception:
    """The failure itself, without the policy that gave up on it."""
    while isinstance(error, RetriesExhaustedError) and not isinstance(error, TargetsExhaustedError):
        if not isinstance(error.__cause__, Exception):
            break
        error = error.__cause__
    return error


def sentence_of(error: Exception) -> str:
    """What happened, in the words of the failure itself and not of the policy that gave up on it."""
    error = root_of(error)
    while isinstance(error.__cause__, HoldfastError):
        error = error.__cause__
    return str(error) if isinstance(error, HoldfastError) else f"{type(error).__name__}: {error}"


def kind_of(error: Exception, clock: Clock) -> FaultKind:
    """What sort of failure it is."""
    return classify(root_of(error), clock=clock).kind


def remedy_for(error: Exception, clock: Clock) -> tuple[Remedy, Fault, float | None]:
    """What to do about a failure of the embedder, what it is, and how many seconds it asks us to wait."""
    error = root_of(error)
    fault = classify(error, clock=clock)
    retry_after = fault.retry_after if fault.retry_after is not None else getattr(error, "retry_after", None)
    if fault.kind in _OF_THE_CONTENT:
        return Remedy.HALVE, fault, None
    if fault.kind in _OF_THE_ACCOUNT or (fault.kind is FaultKind.CONNECT and not _passes(error, fault)):
        return Remedy.STOP, fault, retry_after
    return (Remedy.WAIT if _passes(error, fault) else Remedy.HALVE), fault, retry_after


def _passes(error: Exception, fault: Fault) -> bool:
    # Providers that were all asked, and a policy of ours that refused: both say "not now", and not "never".
    return fault.transient or isinstance(error, TargetsExhaustedError | RejectedError)


def embedder_outage(error: Exception, dependency: str, clock: Clock) -> OutageError:
    """The embedder as a whole does not work."""
    _, fault, retry_after = remedy_for(error, clock)
    return OutageError(
        sentence_of(error),
        dependency=dependency,
        reason=Reason.EMBEDDER_UNAVAILABLE,
        kind=fault.kind,
        retry_after=retry_after,
    )


def store_outage(error: Exception, dependency: str, clock: Clock) -> OutageError:
    """The store as a whole does not work."""
    return OutageError(
        sentence_of(error),
        dependency=dependency,
        reason=Reason.VECTOR_STORE_UNAVAILABLE,
        kind=kind_of(error, clock),
    )
