"""Retry: whether to make a failed call again, and how long to wait before it. One pure decision.

Backoff: ``min(max_delay, initial_delay * base ** n)`` before repetition ``n`` (from 0). Jitter applies inside the cap,
so that clients spread out even when every one of them waits the longest:

- ``"equal"``: uniform between half of the delay and the delay (the default);
- ``"full"``: uniform between 0 and the delay;
- ``"decorrelated"``: uniform between ``initial_delay`` and three times the last delay, capped (after M. Brooker,
  "Exponential Backoff and Jitter", AWS Architecture Blog, 2015; the cap bounds the range here, not the draw);
- ``"proportional"``: the delay times a number between 0.75 and 1.25, the longest being the cap;
- ``"none"``.

Alone it is a decorator, a ``call``, and a loop, with a state of its own for each loop::

    for attempt in Retry():
        with attempt:
            answer = client.ask(question)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from math import pow as float_pow
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, get_args

from holdfast.core._alone import Alone
from holdfast.core._options import (
    at_least,
    duration,
    fault_kinds,
    flag,
    function,
    not_negative,
    options_by_name,
    retry_budget,
    whole,
)
from holdfast.core.clock import NS_PER_SECOND, SYSTEM_CLOCK, Clock, to_ns
from holdfast.core.faults import WEIGHTS, Fault, FaultKind
from holdfast.errors import ConfigError, UnacceptableResultError

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable, Iterator

    from holdfast.core.events import Events
    from holdfast.core.loop import Attempt, Attempting
    from holdfast.core.retry_budget import RetryBudget

__all__ = ["GiveUp", "Jitter", "Retry"]

Jitter: TypeAlias = Literal["equal", "full", "decorrelated", "proportional", "none"]

_RETRY_AFTER_SPREAD = 0.1  # clients that were told the same time come back over a tenth more of it
_PROPORTION = 0.25
_ADDED = 1000  # delays that are added up one by one, where all are asked for
_PASSING = frozenset(
    {
        FaultKind.THROTTLED,
        FaultKind.OVERLOADED,
        FaultKind.TRANSIENT,
        FaultKind.CONNECT,
        FaultKind.TIMEOUT,
        FaultKind.TRUNCATED,
        FaultKind.MALFORMED,
        FaultKind.EMPTY,
    }
)


class GiveUp(StrEnum):
    """Why a call is not made again."""

    NOT_RETRYABLE = "not_retryable"
    """The same call would fail the same way."""
    NOT_IDEMPOTENT = "not_idempotent"
    """It must not run twice, and it may have run."""
    ATTEMPTS_USED = "attempts_used"
    """``max_retries``, or the limit of this kind of fault, is reached."""
    NO_TIME = "no_time"
    """The wait would not end before the deadline."""
    RETRY_AFTER_TOO_LONG = "retry_after_too_long"
    """The dependency asked for a longer wait than ``max_retry_after``."""
    NO_BUDGET = "no_budget"
    """The retry budget of the target grants none."""
    REFUSED = "refused"
    """A gate, such as a breaker that this failure opened, would refuse it after the wait."""


@options_by_name
@dataclass(frozen=True, kw_only=True)
class Retry(Alone):
    """A policy: make a call again that failed in a way that may pass.

    The caller gets ``RetriesExhaustedError`` when attempts are used up, ``DeadlineExceededError`` when the next wait
    would not fit into the deadline, and the error itself, unchanged, when it is not worth a retry.

    Args:
        max_retries: repetitions after the first attempt, 0 or more.
        initial_delay: seconds before the first repetition, 0 or more.
        base: by how much each delay is longer than the last, 1 or more.
        max_delay: the longest delay in seconds, at least ``initial_delay``.
        jitter: see the module.
        limits: repetitions by kind of fault, where fewer than ``max_retries``; by default one for a rate limit.
        max_retry_after: the longest ``Retry-After`` in seconds that is waited for; a longer one ends the retrying.
        retry_on: exception types to retry whatever their classification.
        never_on: exception types not to retry; wins over ``retry_on``.
        idempotent: False for a call that must not run twice: made again only after a fault that is safe to replay.
        backoff: seconds before repetition 1, 2, ... in the place of the formula; capped and jittered like it.
        on_result: looks at each result, and says what is wrong with it: False or None is nothing, True a passing
            fault, a ``FaultKind`` or ``Fault`` what sort. The attempt then failed with ``UnacceptableResultError``,
            for the breaker too. It does not see the items of a stream.
        budget: the retry budget of the target; shared by everything that calls the target.
    """

    label: ClassVar[str] = "retry"

    max_retries: int = 3
    initial_delay: float = 1.0
    base: float = 2.0
    max_delay: float = 60.0
    jitter: Jitter = "equal"
    limits: Mapping[FaultKind, int] = field(default_factory=lambda: MappingProxyType({FaultKind.THROTTLED: 1}))
    max_retry_after: float = 60.0
    retry_on: tuple[type[BaseException], ...] = ()
    never_on: tuple[type[BaseException], ...] = ()
    idempotent: bool = True
    backoff: Callable[[int], float] | None = None
    on_result: Callable[[Any], bool | FaultKind | Fault | None] | None = None
    budget: RetryBudget | None = None

    def __post_init__(self) -> None:
        whole("max_retries", self.max_retries, least=0)
        duration("initial_delay", self.initial_delay, or_zero=True)
        at_least("base", self.base, 1)
        duration("max_delay", self.max_delay, or_zero=True)
        if self.max_delay < self.initial_delay:
            raise ConfigError("max_delay", self.max_delay, f"must be at least initial_delay ({self.initial_delay:g})")
        if self.jitter not in get_args(Jitter):
            raise ConfigError("jitter", self.jitter, f"must be one of {', '.join(get_args(Jitter))}")
        if self.jitter == "decorrelated" and self.backoff is not None:
            raise ConfigError("jitter", self.jitter, "has its own backoff; choose another jitter for a custom backoff")
        self._check_limits()
        duration("max_retry_after", self.max_retry_after, or_zero=True)
        for name, types in (("retry_on", self.retry_on), ("never_on", self.never_on)):
            if not _exception_classes(types):
                raise ConfigError(name, types, "must be a tuple of exception classes")
        flag("idempotent", self.idempotent)
        function("backoff", self.backoff)
        function("on_result", self.on_result)
        retry_budget("budget", self.budget)

    def _check_limits(self) -> None:
        limits: object = self.limits
        if not isinstance(limits, Mapping):
            raise ConfigError("limits", limits, "must be a mapping of kinds of fault to numbers of repetitions")
        fault_kinds("limits", limits)
        for kind, limit in limits.items():
            whole(f"limits[{kind}]", limit, least=0)

    @classmethod
    def for_embeddings(cls, **options: Any) -> Retry:  # noqa: ANN401
        """Short calls, many of them: 3 retries from 0.5 s, at most 10 s. ``options`` override single values."""
        return cls(**{"max_retries": 3, "initial_delay": 0.5, "max_delay": 10.0} | options)

    @classmethod
    def for_completions(cls, **options: Any) -> Retry:  # noqa: ANN401
        """Long and costly calls: 2 retries from 1 s, at most 30 s."""
        return cls(**{"max_retries": 2, "initial_delay": 1.0, "max_delay": 30.0} | options)

    @classmethod
    def for_agents(cls, **options: Any) -> Retry:  # noqa: ANN401
        """One step of many: 3 attempts, from 0.1 s, doubling."""
        return cls(**{"max_retries": 2, "initial_delay": 0.1, "base": 2.0} | options)

    def decide(
        self,
        attempt: int,
        fault: Fault,
        remaining_ns: int | None,
        *,
        rng: random.Random,
        retried: Mapping[FaultKind, int] = MappingProxyType({}),
        previous_ns: int = 0,
    ) -> int | GiveUp:
        """The nanoseconds to wait before the next attempt, or why there is none.

        Args:
            attempt: the attempts made so far, at least 1.
            fault: how the last one failed.
            remaining_ns: what is left until the deadline, None without one.
            rng: the source of the jitter; the only thing here that changes.
            retried: repetitions made so far by the kind of fault that caused them.
            previous_ns: the last delay, 0 before the first repetition.
        """
        if (refusal := self._refusal(attempt, fault, retried)) is not None:
            return refusal
        delay_ns = self.delay_ns(attempt, rng=rng, previous_ns=previous_ns)
        if fault.retry_after is not None:
            if fault.retry_after > self.max_retry_after:
                return GiveUp.RETRY_AFTER_TOO_LONG
            spread = 0.0 if self.jitter == "none" else _RETRY_AFTER_SPREAD * rng.random()
            delay_ns = max(delay_ns, to_ns(fault.retry_after * (1 + spread)))
        if remaining_ns is not None and delay_ns >= remaining_ns:
            return GiveUp.NO_TIME
        return delay_ns

    @cached_property
    def judge(self) -> Callable[[Any], None] | None:
        """Raises ``UnacceptableResultError`` for a result that ``on_result`` refuses; None when there is no such."""
        verdict_of = self.on_result
        if verdict_of is None:
            return None

        def judge(result: object) -> None:
            verdict = verdict_of(result)
            if verdict is None or verdict is False:
                return
            if isinstance(verdict, Fault):
                fault = verdict
            else:
                kind = FaultKind.TRANSIENT if verdict is True else FaultKind(verdict)
                fault = Fault(kind=kind, transient=kind in _PASSING, weight=WEIGHTS[kind])
            raise UnacceptableResultError(f"on_result refuses the result: {fault.kind}.", result=result, fault=fault)

        return judge

    def loop(
        self,
        *,
        name: str = "loop",
        clock: Clock = SYSTEM_CLOCK,
        rng: random.Random | None = None,
        events: Events | None = None,
    ) -> Attempting:
        """``for attempt in retry.loop(...):``, as ``for attempt in retry:``, with another clock, hub or name.

        Args:
            name: the dependency's name in events and errors.
            clock: the source of time.
            rng: the source of jitter.
            events: the hub that hears what happens.
        """
        from holdfast.core.loop import Attempting  # noqa: PLC0415  it stands on the drivers' side

        return Attempting(self, name=name, clock=clock, rng=rng, events=events)

    def __iter__(self) -> Iterator[Attempt]:
        """``for attempt in retry:`` ``with attempt:`` the work; each loop counts by itself."""
        return iter(self.loop())

    def __aiter__(self) -> AsyncIterator[Attempt]:
        """``async for attempt in retry:`` ``with attempt:`` the work."""
        return aiter(self.loop())

    def delay_ns(self, attempt: int, *, rng: random.Random, previous_ns: int = 0) -> int:
        """The wait after ``attempt`` failed attempts in nanoseconds: backoff, cap, jitter; no Retry-After."""
        if self.jitter == "decorrelated":
            last = previous_ns / NS_PER_SECOND or self.initial_delay
            return to_ns(rng.uniform(self.initial_delay, min(self.max_delay, 3 * last)))
        full = self._backoff(attempt)
        match self.jitter:
            case "equal":
                return to_ns(full * (0.5 + 0.5 * rng.random()))
            case "full":
                return to_ns(full * rng.random())
            case "proportional":
                full = min(full, self.max_delay / (1 + _PROPORTION))
                return to_ns(full * rng.uniform(1 - _PROPORTION, 1 + _PROPORTION))
            case _:
                return to_ns(full)

    def worst_delay(self, attempt: int) -> float:
        """The longest possible wait in seconds after ``attempt`` failed attempts, a Retry-After included."""
        return self._longest(self.max_delay if self.jitter == "decorrelated" else self._backoff(attempt))

    def worst_wait(self) -> float:
        """The longest possible wait in seconds of all repetitions together.

        After so many repetitions that it would take long to add their delays up, each counts as the longest.
        """
        added = min(self.max_retries, _ADDED)
        total = sum(self.worst_delay(attempt) for attempt in range(1, added + 1))
        if self.max_retries == added:
            return total
        longest = self.worst_delay(self.max_retries) if self.backoff is None else self._longest(self.max_delay)
        return total + (self.max_retries - added) * longest

    def _longest(self, backoff: float) -> float:
        """The longest possible wait in seconds where ``backoff`` is the delay before jitter."""
        if self.jitter == "proportional":
            backoff = min(self.max_delay, backoff * (1 + _PROPORTION))
        spread = 0.0 if self.jitter == "none" else _RETRY_AFTER_SPREAD
        return max(backoff, self.max_retry_after * (1 + spread))

    def _refusal(self, attempt: int, fault: Fault, retried: Mapping[FaultKind, int]) -> GiveUp | None:
        if fault.kind is FaultKind.CANCELLED or isinstance(fault.cause, self.never_on):
            return GiveUp.NOT_RETRYABLE
        if not fault.transient and not isinstance(fault.cause, self.retry_on):
            return GiveUp.NOT_RETRYABLE
        if not self.idempotent and not fault.safe_to_replay:
            return GiveUp.NOT_IDEMPOTENT
        limit = self.limits.get(fault.kind)
        if attempt > self.max_retries or (limit is not None and retried.get(fault.kind, 0) >= limit):
            return GiveUp.ATTEMPTS_USED
        return None

    def _backoff(self, attempt: int) -> float:
        """Seconds after ``attempt`` failed attempts, before jitter."""
        if self.backoff is not None:
            return min(self.max_delay, not_negative("backoff", self.backoff(attempt)))
        if self.initial_delay == 0:
            return 0.0
        try:
            return min(self.max_delay, self.initial_delay * float_pow(self.base, attempt - 1))
        except OverflowError:  # it left the range of floats: far beyond any cap
            return self.max_delay


def _exception_classes(types: object) -> bool:
    return isinstance(types, tuple) and all(
        isinstance(each, type) and issubclass(each, BaseException) for each in types
    )
