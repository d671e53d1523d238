"""A plan of faults: which component fails, in which way, from when to when, for which share of its calls."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING

from holdfast.core._options import duration, not_negative, text
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Fault", "FaultPlan", "Kind"]


class Kind(StrEnum):
    """How a component fails."""

    DOWN = "down"
    """It refuses at once."""
    SLOW = "slow"
    """It works, ``seconds`` later than usual."""
    ERRORS = "errors"
    """It fails with an error of its own that may pass."""
    GARBAGE = "garbage"
    """It answers, and the answer is not what it should be."""
    HANG = "hang"
    """It takes the call and says nothing until the fault ends; then the connection breaks."""
    MIXED = "mixed"
    """Each call that is hit gets one of the others, drawn for it, each as likely as the next."""


_SLOW_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One line of a plan.

    Attributes:
        component: ``"cache"``, ``"embedder"``, ``"store"``, or ``"model:openai/gpt-4o-mini"``. A name stands for all
            that begin with it and a colon or a slash: ``"model"`` is every model, ``"model:openai"`` every one of
            OpenAI.
        kind: how it fails.
        begin, end: seconds since the start of the world; it is on from ``begin`` until before ``end``.
        rate: the share of calls that it hits, 0 to 1.
        seconds: how much later, for ``slow``.
        way: which error, or which garbage, where it is to be one of them: a component says what it has.

    Raises:
        ConfigError: a value is out of its range.
    """

    component: str
    kind: Kind
    begin: float = 0.0
    end: float = inf
    rate: float = 1.0
    seconds: float = _SLOW_SECONDS
    way: str = ""

    def __post_init__(self) -> None:
        if not text("component", self.component):
            raise ConfigError("component", self.component, "must name a component, e.g. store")
        if self.kind not in list(Kind):
            raise ConfigError("kind", self.kind, f"must be one of {', '.join(Kind)}")
        object.__setattr__(self, "kind", Kind(self.kind))
        duration("begin", self.begin, or_zero=True)
        if not self.end > self.begin:
            raise ConfigError("end", self.end, f"must be above begin, which is {self.begin:g}")
        if not_negative("rate", self.rate) > 1:
            raise ConfigError("rate", self.rate, "must be from 0 to 1")
        duration("seconds", self.seconds, or_zero=True)

    def concerns(self, component: str) -> bool:
        """Whether it is a fault of ``component``."""
        mine = self.component
        return component == mine or (component.startswith(mine) and component[len(mine)] in ":/")


class FaultPlan:
    """Faults in their order; a call gets the first that hits it.

    The place of a fault in the plan is part of the key of its draws, so that two runs with equal plans hit the same
    calls. New ones come last.
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = list(faults)
        self._known: dict[str, list[tuple[int, Fault]]] = {}

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)

    def __len__(self) -> int:
        return len(self._faults)

    def add(self, fault: Fault) -> None:
        """One more."""
        self._faults.append(fault)
        self._known.clear()

    def of(self, component: str) -> Sequence[tuple[int, Fault]]:
        """The faults of a component at any time, each with its place in the plan."""
        known = self._known.get(component)
        if known is None:
            known = [(place, fault) for place, fault in enumerate(self._faults) if fault.concerns(component)]
            self._known[component] = known
        return known

    @classmethod
    def everywhere(
        cls, rate: float, *, components: Iterable[str] = ("cache", "embedder", "store", "model"),
        kind: Kind = Kind.MIXED, begin: float = 0.0, end: float = inf,
    ) -> FaultPlan:  # fmt: skip
        """The same share of the calls of each component, each on its own draw."""
        return cls(Fault(component=each, kind=kind, rate=rate, begin=begin, end=end) for each in components)
