"""A plan's faults of models as rules of the simulator that plays their provider."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from holdfast.errors import ConfigError
from holdfast.lab.faults.plan import Fault, FaultPlan, Kind
from holdfast.lab.simulator.fault_rules import FaultRule
from holdfast.lab.simulator.fault_table import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from holdfast.lab.simulator.fault_table import Value

__all__ = ["rules_for"]


class _Play(NamedTuple):
    """A fault of the simulator; of those that only some calls can have, the others are spared."""

    fault: str
    parameters: Mapping[str, Value] = {}


_DOWN = (_Play("refused"),)
_ERRORS = (
    _Play("server_error"),
    _Play("overloaded"),
    _Play("rate_limited", {"retry_after": 2.0}),
    _Play("rate_limited_bare"),
    _Play("reset"),
    _Play("bad_gateway_html"),
)
_HANG = (_Play("slow_headers", {"seconds": inf}),)
_CHAT_GARBAGE = (_Play("empty_content"), _Play("wrong_schema"), _Play("not_json"), _Play("cut", {"after": 3.0}))
_VECTOR_GARBAGE = (_Play("wrong_dimension"), _Play("nan_vector"), _Play("missing_vector"), _Play("not_json"))


def rules_for(plan: FaultPlan, component: str, *, begun: float = 0.0, embeddings: bool = False) -> list[FaultRule]:
    """The rules that play the plan's faults of one model.

    Args:
        component: ``"model:PROVIDER/MODEL"``, or ``"embedder"`` with ``embeddings``.
        begun: seconds of the plan's time at which the simulator was started.
        embeddings: whether the model embeds.

    Raises:
        ConfigError: a fault's ``way`` is no fault of the simulator.
    """
    model = component.partition(":")[2].partition("/")[2] or None
    return [
        rule
        for _, fault in plan.of(component)
        for rule in _rules(fault, model=model, begun=begun, embeddings=embeddings)
    ]


def _rules(fault: Fault, *, model: str | None, begun: float, embeddings: bool) -> Iterator[FaultRule]:
    """One rule for each thing that the fault may play, at rates that give each of them its share of the calls.

    The first rule that hits a call is played, and the draws of rules are independent: what has the share s of the calls
    is asked only when those before it, with the shares b together, did not hit, and has to hit s/(1 - b) of these.
    """
    before = 0.0
    for play, part in _plays(fault, embeddings=embeddings):
        share = fault.rate * part
        left = 1 - before
        yield FaultRule(
            fault=play.fault,
            rate=min(1.0, share / left) if left > share else 1.0,
            begin=max(0.0, fault.begin - begun),
            end=fault.end - begun,
            endpoint="embeddings" if embeddings else None,
            model=None if embeddings else model,
            parameters=play.parameters,
        )
        before += share


def _plays(fault: Fault, *, embeddings: bool) -> Iterator[tuple[_Play, float]]:
    """What a fault may play, each with its part of the hits: kinds have equal ones, and so has what is of one kind."""
    if fault.way:
        if fault.way not in FAULTS:
            raise ConfigError("way", fault.way, f"must be a fault of the simulator: {', '.join(FAULTS)}")
        yield _Play(fault.way), 1.0
        return
    plays: Mapping[Kind, Sequence[_Play]] = {
        Kind.DOWN: _DOWN,
        Kind.SLOW: (_Play("slow_headers", {"seconds": fault.seconds}),),
        Kind.ERRORS: _ERRORS,
        Kind.GARBAGE: _VECTOR_GARBAGE if embeddings else _CHAT_GARBAGE,
        Kind.HANG: _HANG,
    }
    kinds = list(plays) if fault.kind is Kind.MIXED else [fault.kind]
    for kind in kinds:
        for play in plays[kind]:
            yield play, 1 / (len(kinds) * len(plays[kind]))
