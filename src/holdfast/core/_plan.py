"""How policies fold into the layers that the drivers bind, and which orders can work.

A hedge stands between the retry and the gates. Both calls of a race are calls of the dependency: each has to pass the
gates, takes its own slot and its own token, tells the breaker how it ended (the loser is cancelled, which counts
neither way), and has its own timeout. Outside the retry, each of them would be repeated by itself.

A request queue stands in front of everything else: it admits calls, and what was admitted is not put back in line by
a repetition. The deadline may be outside it (the time in line counts) or inside; a fallback outside answers those whom
the queue sends away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from holdfast.core._door import asking
from holdfast.core.deadline import Deadline
from holdfast.core.fallback import Fallback
from holdfast.core.hedge import Hedge
from holdfast.core.policy import Gate
from holdfast.core.request_queue import RequestQueue
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Plan", "Policy", "Worst", "check_order", "check_together", "fold", "worst_case"]

Policy: TypeAlias = Deadline | Fallback | Retry | Hedge | Timeout | RequestQueue | Gate

_QUEUE, _DEADLINE, _FALLBACK, _RETRY, _HEDGE, _GATE, _TIMEOUT, _NEXT_LAYER = range(8)  # every policy is before the last
_ORDER = "request queue, deadline, fallback, retry, hedge, circuit breaker and other gates, timeout (outermost first)"
_WHY = {
    (_RETRY, _QUEUE): "every repetition would stand in line again, behind new calls",
    (_HEDGE, _QUEUE): "both calls would stand in the same line, and time in it would count as a slow answer",
    (_GATE, _QUEUE): "the gate's permit would be held while the call stands in line",
    (_TIMEOUT, _QUEUE): "the time in the line would be taken from the attempt",
    (_FALLBACK, _DEADLINE): "the alternatives would run after the deadline that should bound them",
    (_RETRY, _DEADLINE): "every attempt would get the whole deadline again; the limit of one attempt is a Timeout",
    (_HEDGE, _DEADLINE): "each call would get a deadline of its own; the limit of one attempt is a Timeout",
    (_GATE, _DEADLINE): "the deadline would not bound the retries; the limit of one attempt is a Timeout",
    (_TIMEOUT, _DEADLINE): "the timeout of one attempt would bound the whole call, and the deadline bound nothing",
    (_RETRY, _FALLBACK): "an alternative would answer the first failure, and nothing would ever be retried",
    (_HEDGE, _FALLBACK): "alternatives would be asked twice, and a quick one would beat the call",
    (_GATE, _FALLBACK): "the breaker would count the alternatives' answers as the dependency's",
    (_TIMEOUT, _FALLBACK): "the alternatives would have to share the time of the attempt that used it up",
    (_HEDGE, _RETRY): "each of the calls would be repeated by itself, which multiplies the load",
    (_GATE, _RETRY): "the breaker would see one failure where several attempts failed, and retries would not ask it",
    (_TIMEOUT, _RETRY): "all attempts and the waits between them would have to fit into the time of one",
    (_GATE, _HEDGE): "the gate would count one call where two are made, and the breaker not hear of the slow one",
    (_TIMEOUT, _HEDGE): "the second call would get what the first left of the time",
    (_TIMEOUT, _GATE): "the breaker would not see an attempt that is cut as a timeout",
}


@dataclass(slots=True)
class Plan:
    """One layer to be: everything about attempts, from the outside in."""

    deadline: Deadline | None = None
    fallback: Fallback | None = None
    retry: Retry | None = None
    hedge: Hedge | None = None
    gates: list[Gate | RequestQueue] = field(default_factory=list)
    timeout: Timeout | None = None


@dataclass(frozen=True, slots=True)
class Worst:
    """The most that one call can cost.

    Attributes:
        calls: calls of the function and of its alternatives.
        seconds: until the caller gets an answer or an error; None when nothing bounds it.
    """

    calls: int
    seconds: float | None


def _rank(policy: Policy) -> int:  # noqa: PLR0911  one for each sort
    """The policy's place in the order."""
    match policy:
        case Deadline():
            return _DEADLINE
        case Fallback():
            return _FALLBACK
        case Retry():
            return _RETRY
        case Hedge():
            return _HEDGE
        case Timeout():
            return _TIMEOUT
        case RequestQueue():
            return _QUEUE
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
            elif pair[0] == pair[1] != _GATE:  # several gates are common
                rule = f"{outer.label} is there twice; nest two pipelines if that is meant"
            else:
                continue
            raise ConfigError("policies", names, f"{rule}. The order is {_ORDER}; allow_order=True overrides")


def check_together(policies: Sequence[Policy]) -> None:
    """Refuse what cannot work in any order.

    Raises:
        ConfigError: one object is there twice, or two policies contradict each other; it says what to do.
    """
    for index, policy in enumerate(policies):
        if isinstance(policy, Gate | RequestQueue | Hedge) and any(each is policy for each in policies[:index]):
            names = [each.label for each in policies]
            rule = (
                f"the same {policy.label} is there twice, and each call would enter it twice and be counted twice: "
                f"list it once, or make a second one"
            )
            raise ConfigError("policies", names, rule)
    once = next((each for each in policies if isinstance(each, Retry) and not each.idempotent), None)
    if once is not None and any(isinstance(each, Hedge) for each in policies):
        rule = (
            "says that the call must not run twice, and the hedge makes it again when it is slow or fails: "
            "leave out the hedge, or make the call idempotent (a key by which its target knows a repetition)"
        )
        raise ConfigError("idempotent", once.idempotent, rule)


def fold(policies: Sequence[Policy]) -> list[Plan]:
    """The layers, from the outside in; there is at least one."""
    plans: list[Plan] = []
    last = _NEXT_LAYER
    for policy in policies:
        rank = _rank(policy)
        place = _GATE if rank == _QUEUE else rank
        if place < last or (place == last != _GATE):
            plans.append(Plan())
        plan = plans[-1]
        match policy:
            case Deadline():
                plan.deadline = policy
            case Fallback():
                plan.fallback = policy
            case Retry():
                plan.retry = policy
            case Hedge():
                plan.hedge = policy
            case Timeout():
                plan.timeout = policy
            case gate:
                plan.gates.append(gate)
        last = _NEXT_LAYER if rank in {_QUEUE, _HEDGE} else rank  # what follows is inside each of its passages
    return plans or [Plan()]


def worst_case(plans: Sequence[Plan]) -> Worst:
    """The most calls and seconds that one call can cost; sync code that overruns its limit is not counted."""
    calls = 1
    seconds: float | None = None
    for plan in reversed(plans):
        if plan.timeout is not None:
            seconds = plan.timeout.seconds if seconds is None else min(seconds, plan.timeout.seconds)
        for gate in plan.gates:
            wait = _longest_wait(gate)
            seconds = None if seconds is None or wait is None else seconds + wait
        if plan.hedge is not None:
            copies = plan.hedge.options.max_hedges + 1
            calls *= copies
            seconds = None if seconds is None else seconds * copies  # one after the other, when each fails at its end
        if plan.retry is not None:
            attempts = plan.retry.max_retries + 1
            calls *= attempts
            if seconds is not None:
                seconds = seconds * attempts + plan.retry.worst_wait()
        if plan.fallback is not None:
            calls += len(plan.fallback.alternatives)
            seconds = None
        if plan.deadline is not None:
            seconds = plan.deadline.seconds if seconds is None else min(seconds, plan.deadline.seconds)
    return Worst(calls, seconds)


def _longest_wait(gate: Gate | RequestQueue) -> float | None:
    """Seconds that a caller may have to wait at ``gate``; None when nothing bounds it."""
    if asking(gate) is None:
        return 0.0
    wait: float | None = getattr(getattr(gate, "options", None), "max_wait", None)
    return wait
