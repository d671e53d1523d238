"""A component as it is, with the faults of a plan in front of it."""

from __future__ import annotations

import inspect
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.errors import ConfigError
from holdfast.lab.faults.plan import Kind
from holdfast.lab.faults.roles import ROLES
from holdfast.lab.latency import AT_ONCE, Latency

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from holdfast.core.clock import Clock
    from holdfast.lab.draws import Attempt, Draws
    from holdfast.lab.faults.plan import Fault, FaultPlan
    from holdfast.lab.faults.roles import Role

__all__ = ["Faults"]

ComponentT = TypeVar("ComponentT")

_AN_HOUR_NS = 3_600 * NS_PER_SECOND
_DRAWN = (Kind.DOWN, Kind.SLOW, Kind.ERRORS, Kind.GARBAGE, Kind.HANG)
"""What ``mixed`` is drawn from."""


class Faults:
    """Plays a plan on the components of one engine.

    Args:
        plan: may get more faults while it is played.
        clock, draws: time and chance. Time 0 of the plan is now.

    Attributes:
        calls: calls to each component.
        played: calls that were hit, by component and kind: ``("store:sqlite", "slow")``.
    """

    def __init__(self, plan: FaultPlan, *, clock: Clock, draws: Draws) -> None:
        self.plan = plan
        self.clock = clock
        self.draws = draws
        self.calls: Counter[str] = Counter()
        self.played: Counter[tuple[str, str]] = Counter()
        self._names: set[str] = set()
        self._started_ns = clock.now_ns()

    @property
    def seconds(self) -> float:
        """Time of the plan."""
        return (self.clock.now_ns() - self._started_ns) / NS_PER_SECOND

    def add(self, fault: Fault) -> None:
        """One fault more.

        Raises:
            ConfigError: it wants a component to fail in a way that it does not have.
        """
        for name in self._names:
            if fault.concerns(name):
                check_way(fault, ROLES[name.partition(":")[0]])
        self.plan.add(fault)

    def around(self, component: ComponentT, name: str, *, latency: Latency = AT_ONCE) -> ComponentT:
        """``component``, with faults before its coroutine methods; everything else is its own.

        Args:
            name: what the plan calls it; begins with ``store``, ``embedder`` or ``cache``.
            latency: what a call takes without any fault, besides what it takes by itself.

        Raises:
            ConfigError: the plan wants it to fail in a way that it does not have.
        """
        role = ROLES[name.partition(":")[0]]
        for _, fault in self.plan.of(name):
            check_way(fault, role)
        self._names.add(name)
        return cast("ComponentT", _Faulty(component, _Front(self, name, role, latency)))

    def met(self, name: str, operation: str, attempt: Attempt) -> tuple[Fault, Kind] | None:
        """The fault that a call meets now, if any, and what it plays."""
        faults = self.plan.of(name)
        if not faults:
            return None
        now, (request, number) = self.seconds, attempt
        for place, fault in faults:
            if not fault.begin <= now < fault.end:
                continue
            if self.draws.chance(fault.rate, name, "fault", operation, request, number, place):
                kind = fault.kind
                if kind is Kind.MIXED:
                    kind = self.draws.choice(_DRAWN, name, "kind", operation, request, number, place)
                return fault, kind
        return None


def check_way(fault: Fault, role: Role) -> None:
    """Refuse a way of failing that the role does not have.

    Raises:
        ConfigError: it has none of this name.
    """
    known: Mapping[Kind, Mapping[str, object]] = {Kind.ERRORS: role.errors, Kind.GARBAGE: role.garbage}
    ways = known.get(fault.kind, {})
    if fault.way and fault.way not in ways:
        rule = f"must be one of {', '.join(ways)}" if ways else f"is nothing that {fault.kind} has"
        raise ConfigError("way", fault.way, f"{rule}, for {fault.component}")


class _Front:
    """What a call meets before it reaches one component."""

    def __init__(self, faults: Faults, name: str, role: Role, latency: Latency) -> None:
        self._faults = faults
        self._name = name
        self._role = role
        self._latency = latency

    def spares(self, operation: str) -> bool:
        """Whether an operation goes through as it is."""
        return operation in self._role.spared

    def guarded(self, operation: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """``method``, with what its calls meet before it."""
        faults, name, latency = self._faults, self._name, self._latency
        draws, what = faults.draws, f"{name} {operation}"

        async def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the component's own
            faults.calls[name] += 1
            attempt = draws.next_attempt(what)
            if latency.median:
                await faults.clock.asleep_ns(latency.draw_ns(draws, name, operation, *attempt))
            met = faults.met(name, operation, attempt)
            if met is None or (way := self._way(*met, operation, attempt)) is None:
                return await method(*args, **kwargs)
            return await self._play(*met, way, operation, partial(method, *args, **kwargs))

        return call

    async def _play(
        self, fault: Fault, kind: Kind, way: str, operation: str, work: Callable[[], Awaitable[Any]]
    ) -> Any:  # noqa: ANN401 - as above
        faults = self._faults
        faults.played[self._name, kind.value] += 1
        if kind is Kind.SLOW:
            await faults.clock.asleep_ns(to_ns(fault.seconds))
            return await work()
        if kind is Kind.GARBAGE:
            return await self._spoilt(way, operation, work())
        if kind is Kind.HANG:
            await self._hang(fault)
        # Without a name: a frame that holds the error it raises keeps both alive until the garbage collector comes.
        raise self._role.errors[way]() if kind is Kind.ERRORS else self._role.down()

    def _way(self, fault: Fault, kind: Kind, operation: str, attempt: Attempt) -> str | None:
        """Which of the ways of its kind a fault takes; None when it has none for this operation."""
        known: Sequence[str] = [""]
        if kind is Kind.ERRORS:
            known = sorted(self._role.errors)
        elif kind is Kind.GARBAGE:
            known = sorted(way for way, spoilt in self._role.garbage.items() if operation in spoilt)
        if fault.way:
            known = [way for way in known if way == fault.way]
        if len(known) < 2:
            return known[0] if known else None
        return self._faults.draws.choice(known, self._name, "way", operation, *attempt)

    async def _spoilt(self, way: str, operation: str, work: Awaitable[Any]) -> Any:  # noqa: ANN401 - as above
        spoilt = self._role.garbage[way][operation](await work)
        if isinstance(spoilt, Exception):
            try:
                raise spoilt
            finally:
                del spoilt  # as above
        return spoilt

    async def _hang(self, fault: Fault) -> None:
        while (left := fault.end - self._faults.seconds) > 0:
            await self._faults.clock.asleep_ns(min(_AN_HOUR_NS, to_ns(min(left, 1e6)) + 1))


class _Faulty:
    """The component's face."""

    def __init__(self, component: object, front: _Front) -> None:
        self._component = component
        self._front = front

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the component has
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self._component, name)
        if not callable(value) or not inspect.iscoroutinefunction(value) or self._front.spares(name):
            return value
        guarded = self._front.guarded(name, value)
        self.__dict__[name] = guarded  # found without this method from now on
        return guarded
