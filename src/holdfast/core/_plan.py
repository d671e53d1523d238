"""How policies fold into the layers that the drivers bind, and which orders can work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from holdfast.core.deadline import Deadline
from holdfast.core.fallback import Fallback
from holdfast.core.policy import Gate, GateStack
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Plan", "Policy", "Worst", "check_order", "fold", "worst_case"]

Policy: TypeAlias = Deadline | Fallback | Retry | Timeout | Gate

_DEADLINE, _FALLBACK, _RETRY, _GATE, _TIMEOUT = range(5)
_ORDER = "deadline, fallback, retry, circuit breaker, timeout (outermost first)"
_WHY = {
    (_FALLBACK, _DEADLINE): "the alternatives would run after the deadline that should bound them",
    (_RETRY, _DEADLINE): "every attempt would get the whole deadline again; the limit of one attempt is a Timeout",
    (_GATE, _DEADLINE): "the deadline would not bound the retries; the limit of one attempt is a Timeout",
    (_TIMEOUT, _DEADLINE): "the timeout of one attempt would bound the whole call, and the deadline bound nothing",
    (_RETRY, _FALLBACK): "an alternative would answer the first failure, and nothing would ever be retried",
    (_GATE, _FALLBACK): "the breaker would count the alternatives' answers as the dependency's",
    (_TIMEOUT, _FALLBACK): "the alternatives would have to share the time of the attempt that used it up",
    (_GATE, _RETRY): "the breaker would see one failure where several attempts failed, and retries would not ask it",
    (_TIMEOUT, _RETRY): "all attempts and the waits between them would have to fit into the time of one",
    (_TIMEOUT, _GATE): "the breaker would not see an attempt that is cut as a timeout",
}


@dataclass(slots=True)
class Plan:
    """One layer to be: either a deadline, or everything about attempts."""

    deadline: Deadline | None = None
    fallback: Fallback | None = None
    retry: Retry | None = None
    gates: list[Gate] = field(default_factory=list)
    timeout: Timeout | None = None

    @property
    def gate(self) -> Gate | None:
        """The gates as one."""
        if not self.gates:
            return None
        return self.gates[0] if len(self.gates) == 1 else GateStack(self.gates)


@dataclass(frozen=True, slots=True)
class Worst:
    """The most that one call can cost.

    Attributes:
        calls: calls of the function and of its alternatives.
        seconds: until the caller gets an answer or an error; None when nothing bounds it.
    """

    calls: int
    seconds: float | None


def _rank(policy: Policy) -> int:
    """The policy's place in the order."""
    match policy:
        case Deadline():
            return _DEADLINE
        case Fallback():
            return _FALLBACK
        case Retry():
            return _RETRY
        case Timeout():
            return _TIMEOUT
        case Gate():
            return _GATE
        case _:
            raise ConfigError("policies", policy, f"must be policies, in the order {_ORDER}")


def check_order(policies: Sequence[Policy]) -> None:
    """Refuse an order that cannot do what its policies are for.

    Raises:
        ConfigError: two policies are the wrong way round, or one is there twice; it says why, and the right order.
    """
    for index, outer in enumerate(policies):
        for inner in policies[index + 1 :]:
            pair = _rank(outer), _rank(inner)
            names = [each.label for each in policies]
            if pair in _WHY:
                rule = f"{outer.label} must not be outside {inner.label}: {_WHY[pair]}"
            elif pair[0] == pair[1] != _GATE:
                rule = f"{outer.label} is there twice; nest two pipelines if that is meant"
            else:
                continue
            raise ConfigError("policies", names, f"{rule}. The order is {_ORDER}; allow_order=True overrides")


def fold(policies: Sequence[Policy]) -> list[Plan]:
    """The layers, from the outside in; the last is always one of attempts."""
    plans: list[Plan] = []
    last = _TIMEOUT + 1
    for policy in policies:
        here = _rank(policy)
        if isinstance(policy, Deadline):
            plans.append(Plan(deadline=policy))
            last = _TIMEOUT + 1
            continue
        if last == _TIMEOUT + 1 or here < last or (here == last != _GATE):
            plans.append(Plan())
        last = here
        plan = plans[-1]
        match policy:
            case Fallback():
                plan.fallback = policy
            case Retry():
                plan.retry = policy
            case Timeout():
                plan.timeout = policy
            case gate:
                plan.gates.append(gate)
    if not plans or plans[-1].deadline is not None:
        plans.append(Plan())
    return plans


def worst_case(plans: Sequence[Plan]) -> Worst:
    """The most calls and seconds that one call can cost; sync code that overruns its limit is not counted."""
    calls = 1
    seconds: float | None = None
    for plan in reversed(plans):
        if plan.timeout is not None:
            seconds = plan.timeout.seconds if seconds is None else min(seconds, plan.timeout.seconds)
        if plan.retry is not None:
            attempts = plan.retry.max_retries + 1
            calls *= attempts
            if seconds is not None:
                seconds = seconds * attempts + sum(plan.retry.worst_delay(n) for n in range(1, attempts))
        if plan.fallback is not None:
            calls += len(plan.fallback.alternatives)
            seconds = None
        if plan.deadline is not None:
            seconds = plan.deadline.seconds if seconds is None else min(seconds, plan.deadline.seconds)
    return Worst(calls, seconds)
