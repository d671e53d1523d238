"""Every error that Holdfast raises, in one tree.

    HoldfastError
    ├── ConfigError            a setting or an option is wrong (names field, value and rule); also a ValueError
    ├── InvalidInputError      a caller's input is wrong (names the field); also a ValueError
    ├── NotFoundError          the thing that was named does not exist; also a LookupError
    ├── MissingExtraError      an optional part is not installed (names the extra); also an ImportError
    ├── RejectedError          a policy said no before the call was made (carries ``retry_after``)
    │   ├── CircuitOpenError
    │   ├── RateLimitedError        a rate limit of ours leaves no room for the call now
    │   ├── QuotaExhaustedError     the day's or the month's allowance is used up
    │   ├── BulkheadFullError       all slots of the bulkhead are taken
    │   ├── ConcurrencyLimitError   the adaptive concurrency limit is reached
    │   ├── QueueFullError          the request queue has no room
    │   └── ShedError               the request queue dropped what waited in it
    ├── DeadlineExceededError  the time allowed for the whole operation is used up; also a TimeoutError
    ├── AttemptTimeoutError    one attempt took too long; also a TimeoutError
    ├── RetriesExhaustedError  all attempts failed (carries attempts, delays, the last cause)
    │   └── TargetsExhaustedError   no provider of a model gave an answer (carries what each said)
    └── DependencyError        a dependency answered, and the answer is a failure
        ├── StoreError
        │   ├── StoreUnavailableError
        │   │   └── StoreInterruptedError   the same call may work a moment later
        │   ├── StoreLockedError
        │   └── StoreCorruptError
        ├── StateUnavailableError     a cache or the shared state cannot be reached, or does not answer in time
        ├── UnacceptableResultError   a call gave a result that the caller's retry policy refuses
        ├── ModelUnavailableError   a local model is not there, or is not the one that was asked for
        └── ProviderError           a model provider failed, or its answer cannot be used
            ├── MalformedAnswerError      it cannot be read
            ├── EmptyAnswerError          there is nothing in it
            ├── TruncatedAnswerError      it ended before its end
            ├── ContentFilteredError      the provider withholds it
            └── StreamInterruptedError    it broke after a part of it was given out, and could not be continued

A message is one or two plain sentences: what happened, and what to do. It never holds a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "AttemptTimeoutError",
    "BulkheadFullError",
    "CircuitOpenError",
    "ConcurrencyLimitError",
    "ConfigError",
    "ContentFilteredError",
    "DeadlineExceededError",
    "DependencyError",
    "EmptyAnswerError",
    "HoldfastError",
    "InvalidInputError",
    "MalformedAnswerError",
    "MissingExtraError",
    "ModelUnavailableError",
    "NotFoundError",
    "ProviderError",
    "QueueFullError",
    "QuotaExhaustedError",
    "RateLimitedError",
    "RejectedError",
    "RetriesExhaustedError",
    "ShedError",
    "StateUnavailableError",
    "StoreCorruptError",
    "StoreError",
    "StoreInterruptedError",
    "StoreLockedError",
    "StoreUnavailableError",
    "StreamInterruptedError",
    "TargetsExhaustedError",
    "TruncatedAnswerError",
    "UnacceptableResultError",
]

_FACTS = 4  # the number of a CircuitOpenError's args, where its message is not made yet


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
    """The circuit breaker of this dependency is open, or lets only some calls through and not this one.

    Refusing must cost next to nothing, for a dependency that is down is called a lot. A breaker therefore makes this
    error without ``__init__``, with four facts as its ``args``: the dependency, what the breaker does, until when (in
    nanoseconds, or None where nobody knows), and the time now. The message is put together when it is read.
    """

    def __str__(self) -> str:
        if len(self.args) != _FACTS:
            return super().__str__()
        name, why = self.args[0] or "The dependency", self.args[1]
        when = "" if self.retry_after is None else f" in {self.retry_after:.1f} s"
        if why == "isolated":
            return f"{name} is not called: its circuit breaker was isolated, until it is reset."
        if why == "closed":
            return f"{name} is coming back and gets a share of the calls only: its circuit breaker admits all{when}."
        what = "is half-open and its probes are under way" if why == "half_open" else "is open"
        tail = f"; it lets a probe through{when}" if when else ""
        return f"{name} keeps failing and is not called: its circuit breaker {what}{tail}."

    @property
    def dependency(self) -> str:
        """The name of the dependency that was to be called."""
        known: str = self.__dict__.get("dependency", self.args[0])
        return known

    @dependency.setter
    def dependency(self, name: str) -> None:
        self.__dict__["dependency"] = name

    @property
    def retry_after(self) -> float | None:
        """Seconds after which a new try makes sense, where that is known."""
        if len(self.args) != _FACTS:
            known: float | None = self.__dict__["retry_after"]
            return known
        until_ns, now_ns = self.args[2:]
        return None if until_ns is None else max(0, until_ns - now_ns) / 1e9

    @retry_after.setter
    def retry_after(self, seconds: float | None) -> None:
        self.__dict__["retry_after"] = seconds

    def __reduce__(self) -> tuple[type[CircuitOpenError], tuple[str], dict[str, object]]:
        state = {"dependency": self.dependency, "retry_after": self.retry_after}
        return type(self), (str(self),), {**self.__dict__, **state}


class RateLimitedError(RejectedError):
    """A rate limiter has no room for the call now; ``retry_after`` says when it will."""


class QuotaExhaustedError(RejectedError):
    """The allowance of the day or the month does not cover the call; ``retry_after`` is the time until the next one."""


class BulkheadFullError(RejectedError):
    """All slots of the bulkhead are taken, and waiting for one is not allowed or took too long."""


class ConcurrencyLimitError(RejectedError):
    """As many calls are under way as the adaptive limit allows now."""


class QueueFullError(RejectedError):
    """The request queue has no room for this request: too many wait, they hold too much memory, or it is closed."""


class ShedError(RejectedError):
    """The request waited in the queue, and was dropped before its turn came.

    Args:
        message: the sentence to show.
        reason: ``"evicted"`` for a more important one, ``"overload"``, ``"max_wait"`` or ``"closed"``.
        dependency, retry_after: see :class:`RejectedError`.
    """

    def __init__(self, message: str, *, reason: str, dependency: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, dependency=dependency, retry_after=retry_after)
        self.reason = reason


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


class TargetsExhaustedError(RetriesExhaustedError):
    """No target of a model gave an answer. ``__cause__`` is the failure that says most about what to do.

    Args:
        message: the sentence to show.
        attempts: how many calls were made; 0 when every target was shut, parked or out of time.
        failures: for each try in order, the target's name and what went wrong there, as a sentence.
        retry_after: seconds after which a new try makes sense, where that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        attempts: int,
        delays: Sequence[float] = (),
        failures: Sequence[tuple[str, str]] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, attempts=attempts, delays=delays)
        self.failures = tuple(failures)
        self.retry_after = retry_after


class DependencyError(HoldfastError):
    """A dependency was reached and failed."""


class StoreError(DependencyError):
    """The document store failed."""


class StoreUnavailableError(StoreError):
    """The document store is not there: no file, no permission, no disk."""


class StoreInterruptedError(StoreUnavailableError):
    """The call was broken off: the connection was lost, no answer came in time, or the primary changed.

    The same call may work a moment later.
    """


class StoreLockedError(StoreError):
    """Another process holds the document store's write lock for longer than we wait."""


class StoreCorruptError(StoreError):
    """The document store's file is not a database, or it is damaged."""


class StateUnavailableError(DependencyError):
    """A cache or the shared state cannot be reached, does not answer in time, or refuses us; ``__cause__`` is why."""


class UnacceptableResultError(DependencyError):
    """A call gave a result that ``Retry(on_result=...)`` refuses.

    Args:
        message: the sentence to show.
        result: what the call gave.
        fault: what that means, a ``holdfast.core.classify.Fault``.
    """

    def __init__(self, message: str, *, result: object, fault: object) -> None:
        super().__init__(message)
        self.result = result
        self.fault = fault


class ModelUnavailableError(DependencyError):
    """The local model is not built here, its files do not match their hashes, or it cannot be loaded."""


class ProviderError(DependencyError):
    """A model provider failed: by its status, by what its body says whatever the status, or by what is missing in it.

    It has the attributes that :func:`holdfast.core.classify.classify` reads, so it is classified as the same failure
    is when an SDK raises it.

    Args:
        message: the sentence to show; it carries the provider's own words, and no key.
        provider: the provider's name.
        status_code: the HTTP status; None when the failure has none (an error in a stream).
        code: the provider's own code or type of error, e.g. ``"insufficient_quota"``.
        headers: the header fields, names in lower case.
        body: the body, parsed; None when it is not JSON.
        content: the body as it came, at most 64 KiB, without keys.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        status_code: int | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        content: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.status_code = status_code
        self.code = code
        self.headers = dict(headers or {})
        self.body = body
        self.content = content


class MalformedAnswerError(ProviderError):
    """The provider's answer cannot be read: not JSON, not what the protocol says, or too long."""


class EmptyAnswerError(ProviderError):
    """The provider's answer is whole, and there is no output in it."""


class TruncatedAnswerError(ProviderError):
    """The provider's answer ended before its end: no finish reason, no end mark, half an event."""


class ContentFilteredError(ProviderError):
    """The provider withholds the answer because of its content, or because of the question's."""


class StreamInterruptedError(ProviderError):
    """A stream broke after a part of it was given out, and could not be continued.

    ``__cause__`` is what broke it.

    Args:
        message, provider: see :class:`ProviderError`.
        text: what was given out.
    """

    def __init__(self, message: str, *, provider: str = "", text: str = "") -> None:
        super().__init__(message, provider=provider)
        self.text = text
