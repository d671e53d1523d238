"""One guarded call on its way through its attempts: what has failed so far, what to do next, and what to tell.

A flight exists only when it is needed: once an attempt has failed, or from the start when somebody listens. The
drivers ask it what to do and do it; they hold no rule of their own.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from holdfast.core._door import Door
from holdfast.core._watch import Watchdog
from holdfast.core.clock import NS_PER_SECOND
from holdfast.core.deadline import deadline_ns, remaining_ns
from holdfast.core.events import (
    AttemptFailed,
    AttemptTimedOut,
    CallFailed,
    CallSucceeded,
    DeadlineExceeded,
    FallbackUsed,
    RetriesExhausted,
    RetryScheduled,
    RetrySucceeded,
)
from holdfast.core.faults import WEIGHTS, Fault, FaultKind, hand_back
from holdfast.core.policy import stamp
from holdfast.core.retry import GiveUp
from holdfast.errors import (
    AttemptTimeoutError,
    CircuitOpenError,
    DeadlineExceededError,
    RejectedError,
    RetriesExhaustedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.core._plan import Plan
    from holdfast.core.deadline import Deadline
    from holdfast.core.fallback import Fallback
    from holdfast.core.hedge import Hedge
    from holdfast.core.policy import Gate, Site, Stamp
    from holdfast.core.request_queue import RequestQueue
    from holdfast.core.retry import Retry
    from holdfast.core.retry_budget import Charge, RetryBudget
    from holdfast.core.timeout import Timeout

__all__ = ["Attempts", "Flight", "attempt_timed_out"]


class Attempts:
    """One layer of a pipeline: everything that concerns attempts, from the outside in.

    Its options may be changed while calls are under way (:meth:`apply`); the gates may not.

    Attributes:
        door: the gates.
        ahead: the gates that every repetition has to pass, also where those are in a layer further inside.
        brief: whether a gate's refusal goes to the caller as it is: not retried, and nobody else asked.
        hedge: makes copies of what is inside.
        outermost: whether this layer speaks for the call as a whole.
        span_ns, limit_ns: the time for the call and for one attempt; 0 is no limit.
        count: counts the call for the retry budget, if there is one.
        judge: tells what is wrong with a result, if it is looked at.
        looks: whether there is a ``count`` or a ``judge``.
        dog: watches the time of async attempts.
    """

    __slots__ = (
        "ahead",
        "brief",
        "classify",
        "count",
        "deadline",
        "dog",
        "door",
        "fallback",
        "hedge",
        "judge",
        "limit_ns",
        "looks",
        "outermost",
        "retry",
        "site",
        "span_ns",
        "timeout",
    )

    def __init__(
        self,
        *,
        site: Site,
        classify: Callable[[BaseException], Fault],
        plan: Plan,
        ahead: Sequence[Gate | RequestQueue] = (),
        outermost: bool = True,
    ) -> None:
        self.site = site
        self.classify = classify
        self.outermost = outermost
        self.door = Door(plan.gates)
        self.ahead = Door(ahead)
        self.hedge = plan.hedge
        self.apply(plan.deadline, plan.fallback, plan.retry, plan.timeout)

    def apply(
        self, deadline: Deadline | None, fallback: Fallback | None, retry: Retry | None, timeout: Timeout | None
    ) -> None:
        """Take these options from the next call on; calls under way use them for their next decision."""
        self.dog = Watchdog(self.site.clock)
        self.deadline = deadline
        self.fallback = fallback
        self.retry = retry
        self.timeout = timeout
        self.span_ns = 0 if deadline is None else deadline.ns
        self.limit_ns = 0 if timeout is None else timeout.ns
        self.count = _counter(self.site, retry, self.hedge)
        self.judge = None if retry is None else retry.judge
        self.brief = _refusal_is_final(self.classify, fallback, retry)
        self.looks = self.count is not None or self.judge is not None


def _counter(site: Site, retry: Retry | None, hedge: Hedge | None) -> Callable[[int], None] | None:
    """Counts a call for the budgets that its repetitions are charged to, once for each."""
    budgets: list[RetryBudget] = []
    for holder in (retry, hedge):
        budget = None if holder is None else holder.budget
        if budget is not None and budget not in budgets:
            budget.attach(site)
            budgets.append(budget)
    if not budgets:
        return None
    if len(budgets) == 1:
        return budgets[0].request

    def count(now_ns: int) -> None:
        for budget in budgets:
            budget.request(now_ns)

    return count


def _refusal_is_final(
    classify: Callable[[BaseException], Fault], fallback: Fallback | None, retry: Retry | None
) -> bool:
    if fallback is not None or retry is None:
        return fallback is None
    fault = classify(CircuitOpenError("would it be retried?"))
    return retry.decide(1, fault, None, rng=random.Random(0)) is GiveUp.NOT_RETRYABLE  # noqa: S311


def attempt_timed_out(site: Site, timeout: Timeout) -> AttemptTimeoutError:
    """The error for an attempt that its own timeout ended."""
    return AttemptTimeoutError(f"The call to {site.dependency} took longer than its {timeout.seconds:g} s.")


class Flight:
    """The state of one call. ``call_id`` and ``attempt`` are what policies see of it."""

    __slots__ = ("_begun_ns", "_charge", "_delays", "_last", "_layer", "_previous_ns", "_retried", "attempt", "call_id")

    def __init__(self, layer: Attempts) -> None:
        self._layer = layer
        self._begun_ns = layer.site.clock.now_ns()
        self._delays: list[int] = []
        self._retried: dict[FaultKind, int] = {}
        self._previous_ns = 0
        self._last: BaseException | None = None
        self._charge: Charge | None = None
        self.attempt = 1
        self.call_id = layer.site.events.next_call_id()

    def failed(
        self,
        error: BaseException,
        permit: object | None,
        begun_ns: int = 0,
        *,
        started: bool = True,
        final: bool = False,
    ) -> int | BaseException:
        """Settle a failed attempt: the nanoseconds to wait before the next one, or the error to raise.

        Args:
            error: what the attempt raised, or what refused it.
            permit: the gate's permit, when it let the attempt in.
            begun_ns: when the attempt began, where the driver knows it.
            started: whether the function was called.
            final: whether it cannot be made again, because a part of its result was given out.
        """
        layer = self._layer
        events = layer.site.events
        fault = layer.classify(error)
        if isinstance(error, AttemptTimeoutError) and layer.timeout is not None and events.active:
            events.emit(AttemptTimedOut(**self._stamp("timeout"), limit_ns=layer.timeout.ns))
        if permit is not None:
            layer.door.leave(permit, self._evidence(fault, begun_ns), self)
        self._settle_charge(started=started)
        if fault.kind is FaultKind.CANCELLED:
            return error
        if events.active:
            events.emit(
                AttemptFailed(
                    **self._stamp("pipeline"), kind=fault.kind, transient=fault.transient, error_type=_name(error)
                )
            )
        retry = layer.retry
        if retry is None or final:
            return error
        decision = retry.decide(
            self.attempt,
            fault,
            remaining_ns(layer.site.clock),
            rng=layer.site.rng,
            retried=self._retried,
            previous_ns=self._previous_ns,
        )
        if isinstance(decision, GiveUp):
            return self._given_up(retry, decision, error, fault)
        refusal = layer.ahead.refusal(decision, self)
        if refusal is not None:
            self._tell_given_up(GiveUp.REFUSED, fault)
            refusal.__cause__ = error
            return refusal
        if retry.budget is not None:
            self._charge = retry.budget.try_spend("retry", self)
            if self._charge is None:
                return self._given_up(retry, GiveUp.NO_BUDGET, error, fault)
        if events.active:
            events.emit(
                RetryScheduled(
                    **self._stamp("retry"),
                    retry=self.attempt,
                    max_retries=retry.max_retries,
                    delay_ns=decision,
                    kind=fault.kind,
                    error_type=_name(error),
                )
            )
        self._delays.append(decision)
        self._retried[fault.kind] = self._retried.get(fault.kind, 0) + 1
        self._previous_ns = decision
        self._last = error
        self.attempt += 1
        return decision

    def _settle_charge(self, *, started: bool) -> None:
        """A repetition that was paid for is used once it has started, and refunded when it never does."""
        charge, self._charge = self._charge, None
        budget = None if self._layer.retry is None else self._layer.retry.budget
        if charge is not None and not started and budget is not None:
            budget.refund(charge)

    @property
    def alternatives(self) -> tuple[Callable[..., Any], ...]:
        """The alternatives to the call."""
        fallback = self._layer.fallback
        return () if fallback is None else fallback.alternatives

    def wants_fallback(self, error: BaseException) -> Fault | None:
        """The fault, when the alternatives are to be asked after ``error``."""
        layer = self._layer
        if layer.fallback is None:
            return None
        fault = layer.classify(error)
        return fault if layer.fallback.decide(fault, remaining_ns(layer.site.clock)) else None

    def fell_back(self, index: int, fault: Fault) -> None:
        """Alternative ``index`` answered in the place of the call."""
        layer = self._layer
        if layer.site.events.active:
            name = _function_name(self.alternatives[index])
            fields = self._stamp("fallback")
            layer.site.events.emit(FallbackUsed(**fields, alternative=name, index=index, kind=fault.kind))
        self.ended_well(retried=False)

    def alternative_failed(self, index: int, error: BaseException, original: BaseException) -> None:
        """Alternative ``index`` failed too; the caller will find a note of it on the error of the call itself."""
        layer = self._layer
        name = _function_name(self.alternatives[index])
        original.add_note(f"The fallback {name} failed too: {_name(error)}: {error}")
        if layer.site.events.active:
            fault = layer.classify(error)
            layer.site.events.emit(
                AttemptFailed(
                    **self._stamp("fallback"), kind=fault.kind, transient=fault.transient, error_type=_name(error)
                )
            )

    def ended_well(self, *, retried: bool = True) -> None:
        """The caller gets a result; ``retried`` when it comes from the call itself."""
        layer = self._layer
        self._last = None
        if not layer.site.events.active:
            return
        if retried and self._delays:
            fields = self._stamp("retry")
            layer.site.events.emit(RetrySucceeded(**fields, attempts=self.attempt, waited_ns=sum(self._delays)))
        if layer.outermost:
            fields = self._stamp("pipeline")
            layer.site.events.emit(CallSucceeded(**fields, attempts=self.attempt, duration_ns=self._duration_ns()))

    def ended_badly(self, error: BaseException, *, handed_back: bool = False) -> None:
        """The caller gets ``error``; ``handed_back`` when it is the caller's own, and not the call's."""
        layer = self._layer
        self._last = None
        if layer.deadline is not None and isinstance(error, DeadlineExceededError) and layer.site.events.active:
            layer.site.events.emit(DeadlineExceeded(**self._stamp("deadline"), limit_ns=layer.deadline.ns))
        if layer.outermost and layer.site.events.active:
            fault = hand_back(error) if handed_back else layer.classify(error)
            layer.site.events.emit(
                CallFailed(
                    **self._stamp("pipeline"),
                    attempts=self.attempt,
                    duration_ns=self._duration_ns(),
                    kind=fault.kind,
                    error_type=_name(error),
                )
            )

    def _evidence(self, fault: Fault, begun_ns: int) -> Fault:
        """What the fault tells the gate.

        An attempt that the deadline cut short of its own timeout is a timeout for the share of time that it was given:
        neither does a dependency that hangs stay unnoticed behind short deadlines, nor do callers in a hurry open the
        breaker of a healthy one.
        """
        until = deadline_ns()
        now = self._layer.site.clock.now_ns()
        cut = isinstance(fault.cause, DeadlineExceededError) or fault.kind is FaultKind.CANCELLED
        if not cut or until is None or now < until:
            return fault
        timeout = self._layer.timeout
        share = 1.0 if timeout is None else min(1.0, max(0, now - begun_ns) / timeout.ns)
        return replace(fault, kind=FaultKind.TIMEOUT, weight=WEIGHTS[FaultKind.TIMEOUT] * share)

    def _given_up(self, retry: Retry, reason: GiveUp, error: BaseException, fault: Fault) -> BaseException:
        """The error for the caller when there is no further attempt."""
        if reason in {GiveUp.NOT_RETRYABLE, GiveUp.NOT_IDEMPOTENT}:
            if isinstance(error, RejectedError) and error.__cause__ is None:
                error.__cause__ = self._last  # what failed before the gate closed
            elif self.attempt > 1:
                error.add_note(f"This was attempt {self.attempt} of the call to {self._layer.site.dependency}.")
            return error
        self._tell_given_up(reason, fault)
        name = self._layer.site.dependency
        given_up: BaseException
        if reason is GiveUp.NO_TIME:
            given_up = DeadlineExceededError(
                f"The call to {name} failed ({fault.kind}) and no time is left for another (attempts: {self.attempt})."
            )
        else:
            tail = ""
            if reason is GiveUp.RETRY_AFTER_TOO_LONG:
                tail = (
                    f" It asked to wait {fault.retry_after:g} s, longer than max_retry_after={retry.max_retry_after:g}."
                )
            elif reason is GiveUp.NO_BUDGET:
                tail = " Too many calls to it are repeated already: its retry budget is used up."
            given_up = RetriesExhaustedError(
                f"The call to {name} failed on all its attempts ({self.attempt}), last with {_name(error)}.{tail}",
                attempts=self.attempt,
                delays=[delay / NS_PER_SECOND for delay in self._delays],
            )
        given_up.__cause__ = error
        return given_up

    def _tell_given_up(self, reason: GiveUp, fault: Fault) -> None:
        events = self._layer.site.events
        if events.active:
            fields = self._stamp("retry")
            events.emit(RetriesExhausted(**fields, attempts=self.attempt, reason=reason, kind=fault.kind))

    def _duration_ns(self) -> int:
        return self._layer.site.clock.now_ns() - self._begun_ns

    def _stamp(self, policy: str) -> Stamp:
        site = self._layer.site
        return stamp(site.clock, self, pipeline=site.pipeline, policy=policy, dependency=site.dependency)


def _name(error: BaseException) -> str:
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _function_name(fn: Callable[..., object]) -> str:
    return getattr(fn, "__qualname__", type(fn).__qualname__)
