"""Every error that Holdfast raises, in one tree.

    HoldfastError
    ├── ConfigError            a setting or an option is wrong (names field, value and rule); also a ValueError
    ├── InvalidInputError      a caller's input is wrong (names the field); also a ValueError
    ├── NotFoundError          the thing that was named does not exist; also a LookupError
    ├── MissingExtraError      an optional part is not installed (names the extra); also an ImportError
    ├── RejectedError          a policy said no before the call was made (carries ``retry_after``)
    │   └── CircuitOpenError
    ├── DeadlineExceededError  the time allowed for the whole operation is used up; also a TimeoutError
    ├── AttemptTimeoutError    one attempt took too long; also a TimeoutError
    ├── RetriesExhaustedError  all attempts failed (carries attempts, delays, the last cause)
    └── DependencyError        a dependency answered, and the answer is a failure
        ├── StoreError
        │   ├── StoreUnavailableError
        │   ├── StoreLockedError
        │   └── StoreCorruptError
        └── ModelUnavailableError   a local model is not there, or is not the one that was asked for

A message is one or two plain sentences: what happened, and what to do. It never holds a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AttemptTimeoutError",
    "CircuitOpenError",
    "ConfigError",
    "DeadlineExceededError",
    "DependencyError",
    "HoldfastError",
    "InvalidInputError",
    "MissingExtraError",
    "ModelUnavailableError",
    "NotFoundError",
    "RejectedError",
    "RetriesExhaustedError",
    "StoreCorruptError",
    "StoreError",
    "StoreLockedError",
    "StoreUnavailableError",
]


class HoldfastError(Exception):
    """The root: ``except HoldfastError`` catches everything that Holdfast raises by itself."""


class ConfigError(HoldfastError, ValueError):
    """An option or a setting is out of its range.

    Args:
        field: the option's name as the user wrote it, e.g. ``"failure_threshold"``.
        value: what was given.
        rule: what is allowed, as the end of a sentence, e.g. ``"must be at least 1"``.
    """

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field}={value!r}: {rule}")
        self.field = field
        self.value = value
        self.rule = rule


class InvalidInputError(HoldfastError, ValueError):
    """What a caller sent cannot be used.

    Args:
        field: the field of the request, e.g. ``"question"``.
        message: one sentence that says what is wrong and what would be right.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class NotFoundError(HoldfastError, LookupError):
    """The document, job or conversation that was named does not exist."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class MissingExtraError(HoldfastError, ImportError):
    """An optional part is used that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs packages that are not installed: pip install 'holdfast[{extra}]'")
        self.extra = extra


class RejectedError(HoldfastError):
    """A policy refused the call before it was made; nothing was sent.

    Args:
        message: the sentence to show.
        dependency: the name of the dependency that was to be called.
        retry_after: seconds after which a new try makes sense, where that is known.
    """

    def __init__(self, message: str, *, dependency: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.dependency = dependency
        self.retry_after = retry_after


class CircuitOpenError(RejectedError):
    """The circuit breaker of this dependency is open, or half-open with all its probes under way."""


class DeadlineExceededError(HoldfastError, TimeoutError):
    """The deadline of the whole operation has passed, or would pass before the next step could help."""


class AttemptTimeoutError(HoldfastError, TimeoutError):
    """One attempt took longer than its timeout; it was cancelled (async) or had no time left to start."""


class RetriesExhaustedError(HoldfastError):
    """Every attempt failed. ``__cause__`` is the last attempt's error.

    Args:
        message: the sentence to show.
        attempts: how many calls were made, at least 1.
        delays: the seconds waited before the second attempt, the third, ...
    """

    def __init__(self, message: str, *, attempts: int, delays: Sequence[float] = ()) -> None:
        super().__init__(message)
        self.attempts = attempts
        self.delays = tuple(delays)


class DependencyError(HoldfastError):
    """A dependency was reached and failed."""


class StoreError(DependencyError):
    """The document store failed."""


class StoreUnavailableError(StoreError):
    """The document store is not there: no file, no permission, no disk."""


class StoreLockedError(StoreError):
    """Another process holds the document store's write lock for longer than we wait."""


class StoreCorruptError(StoreError):
    """The document store's file is not a database, or it is damaged."""


class ModelUnavailableError(DependencyError):
    """The local model is not built here, its files do not match their hashes, or it cannot be loaded."""
