"""One guarded call on its way through its attempts: what has failed so far, what to do next, and what to tell.

A flight exists only when it is needed: once an attempt has failed, or from the start when somebody listens. The
drivers ask it what to do and do it; they hold no rule of their own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from holdfast.core._afterwards import now_or_later
from holdfast.core.clock import NS_PER_SECOND
from holdfast.core.deadline import deadline_ns, remaining_ns
from holdfast.core.demand import CURRENT as DEMAND
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
from holdfast.core.policy import leave_despite, stamp
from holdfast.core.retry import GiveUp
from holdfast.errors import (
    AttemptTimeoutError,
    DeadlineExceededError,
    RejectedError,
    RetriesExhaustedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.core._attempts import Attempts
    from holdfast.core.policy import Stamp
    from holdfast.core.retry import Retry
    from holdfast.core.retry_budget import Charge, RetryBudget

__all__ = ["Flight"]

_NEVER: Mapping[FaultKind, int] = MappingProxyType({})


class Flight:
    """The state of one call. ``call_id`` and ``attempt`` are what policies see of it.

    Attributes:
        alternatives: what to ask instead, where :meth:`wants_fallback` says so; taken once, for the options may change
            while one of them runs.
        over: whether the end was told.
    """

    __slots__ = (
        "_begun_ns",
        "_call_id",
        "_charge",
        "_delays",
        "_last",
        "_layer",
        "_previous_ns",
        "_retried",
        "alternatives",
        "attempt",
        "over",
    )

    alternatives: tuple[Callable[..., Any], ...]

    def __init__(self, layer: Attempts, begun_ns: int) -> None:
        self._layer = layer
        self._begun_ns = begun_ns
        self._delays: tuple[int, ...] = ()  # these two are replaced by each repetition: most calls need neither
        self._retried = _NEVER
        self._previous_ns = 0
        self._last: BaseException | None = None
        self._charge: tuple[RetryBudget, Charge] | None = None
        self.over = False
        self.attempt = 1
        self._call_id = ""

    @property
    def call_id(self) -> str:
        """The call's id; given out when it is first asked for, which is when the first event of the call is told."""
        if not self._call_id:
            self._call_id = self._layer.site.events.next_call_id()
        return self._call_id

    def failed(
        self,
        error: BaseException,
        permit: object | None,
        begun_ns: int,
        *,
        started: bool,
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
        if isinstance(error, GeneratorExit):  # nobody waits any more, and it may be the collector that says so
            now_or_later(partial(self._settle, permit, hand_back(error, made=started), started))
            return error
        fault = self._leave(error, permit, begun_ns, started=started)
        if fault.kind is FaultKind.CANCELLED:
            return error
        if events.hears(AttemptFailed):
            events.emit(
                AttemptFailed(
                    **self._stamp("pipeline"), kind=fault.kind, transient=fault.transient, error_type=_name(error)
                )
            )
        retry = layer.retry
        return error if retry is None or final else self._again(retry, error, fault)

    def _again(self, retry: Retry, error: BaseException, fault: Fault) -> int | BaseException:
        """The nanoseconds to wait before the next attempt, or the error to raise."""
        layer = self._layer
        events = layer.site.events
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
            charge = retry.budget.try_spend("retry", self)
            if charge is None:
                return self._given_up(retry, GiveUp.NO_BUDGET, error, fault)
            self._charge = retry.budget, charge
        if events.active:
            try:
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
            except BaseException:
                self._settle(None, fault, started=False)
                raise
        self._delays = *self._delays, decision
        self._retried = {**self._retried, fault.kind: self._retried.get(fault.kind, 0) + 1}
        self._previous_ns = decision
        self._last = error
        self.attempt += 1
        demand = DEMAND.get()
        if demand is not None:
            demand.begin()  # what this attempt said it used stays; what the next one says is added
        return decision

    def _leave(self, error: BaseException, permit: object | None, begun_ns: int, *, started: bool) -> Fault:
        """Tell the gates of a failure, whatever goes wrong meanwhile; gives what the failure means."""
        layer = self._layer
        try:
            fault = layer.classify(error)
            if isinstance(error, AttemptTimeoutError) and layer.timeout is not None and layer.site.events.active:
                layer.site.events.emit(AttemptTimedOut(**self._stamp("timeout"), limit_ns=layer.timeout.ns))
        except BaseException as trouble:
            leave_despite(trouble, self._settle, permit, hand_back(error, made=started), started)
            raise
        self._settle(permit, self._evidence(fault, error, begun_ns) if started else hand_back(error), started)
        return fault

    def _settle(self, permit: object | None, fault: Fault, started: bool) -> None:  # noqa: FBT001  a partial's argument
        """Leave the gates. A repetition that was paid for is used once it has started, and refunded when it never does.

        The charge goes back to the budget that it came from: the options may name another one by now.
        """
        charge, self._charge = self._charge, None
        try:
            if permit is not None:
                self._layer.door.leave(permit, fault, self)
        finally:
            if charge is not None and not started:
                charge[0].refund(charge[1])

    def wants_fallback(self, error: BaseException) -> Fault | None:
        """The fault, when the alternatives are to be asked after ``error``."""
        layer, fallback = self._layer, self._layer.fallback
        if fallback is None or isinstance(error, GeneratorExit):
            return None
        fault = layer.classify(error)
        if not fallback.decide(fault, remaining_ns(layer.site.clock)):
            return None
        self.alternatives = fallback.alternatives
        return fault

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
        if retried and self._delays and layer.site.events.active:
            fields = self._stamp("retry")
            layer.site.events.emit(RetrySucceeded(**fields, attempts=self.attempt, waited_ns=sum(self._delays)))
        self.over = True
        if layer.outermost and layer.site.events.hears(CallSucceeded):
            fields = self._stamp("pipeline")
            layer.site.events.emit(CallSucceeded(**fields, attempts=self.attempt, duration_ns=self._duration_ns()))

    def ended_badly(self, error: BaseException, *, handed_back: bool = False) -> None:
        """The caller gets ``error``; ``handed_back`` when it is the caller's own, and not the call's.

        Whatever ends a call passes here. It is told once, and not at all when a success was told before.
        """
        if self.over:
            return
        self.over = True
        self._last = None
        if self._layer.site.events.active:
            now_or_later(partial(self._tell_end, error, handed_back=handed_back or isinstance(error, GeneratorExit)))

    def _tell_end(self, error: BaseException, *, handed_back: bool) -> None:
        layer, events = self._layer, self._layer.site.events
        try:
            if layer.deadline is not None and isinstance(error, DeadlineExceededError):
                events.emit(DeadlineExceeded(**self._stamp("deadline"), limit_ns=layer.deadline.ns))
        finally:
            if layer.outermost:
                fault = hand_back(error) if handed_back else layer.classify(error)
                events.emit(
                    CallFailed(
                        **self._stamp("pipeline"),
                        attempts=self.attempt,
                        duration_ns=self._duration_ns(),
                        kind=fault.kind,
                        error_type=_name(error),
                    )
                )

    def _evidence(self, fault: Fault, error: BaseException, begun_ns: int) -> Fault:
        """What the fault tells the gate.

        When a gate further in refused the first attempt, nothing was called.

        An attempt that the deadline cut short of its own timeout is a timeout for the share of time that it was given:
        neither does a dependency that hangs stay unnoticed behind short deadlines, nor do callers in a hurry open the
        breaker of a healthy one.
        """
        if isinstance(error, RejectedError) and error.__cause__ is None:
            return replace(fault, made=False)
        until = deadline_ns()
        now = self._layer.site.clock.now_ns()
        cut = isinstance(fault.cause, DeadlineExceededError) or fault.kind is FaultKind.CANCELLED
        if not cut or until is None or now < until:
            return fault
        timeout = self._layer.timeout
        share = 1.0 if timeout is None else min(1.0, (now - begun_ns) / timeout.ns)
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
