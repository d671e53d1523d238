"""The switchboard: which faults are on, for how long, and which call meets one."""

from __future__ import annotations

import asyncio
from difflib import get_close_matches
from typing import TYPE_CHECKING

from holdfast.core._options import duration, positive
from holdfast.core.clock import to_ns
from holdfast.errors import ConfigError
from holdfast.rag.injection.kinds import SUPPORTED, Dependency, Kind, checked_parameters
from holdfast.telemetry.events import FaultEnded, FaultInjected

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Iterable, Mapping

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events

__all__ = ["LONGEST_SECONDS", "MOST_AT_ONCE", "Injection", "Injections"]

LONGEST_SECONDS = 3_600.0
"""A fault that was forgotten ends by itself after an hour at most."""

MOST_AT_ONCE = 100


class Injection:
    """A fault that is on, or was.

    Attributes:
        dependency: what fails, as it was named: ``"store"``, ``"model:openai"``.
        kind: how.
        rate: the share of the calls that meet it, above 0 and at most 1.
        seconds: how long it is on at most.
        parameters: those of its kind.
        hits: calls that have met it.
    """

    def __init__(
        self,
        dependency: str,
        kind: Kind,
        *,
        rate: float,
        seconds: float,
        parameters: Mapping[str, float],
        until_ns: int,
    ) -> None:
        self.dependency = dependency
        self.kind = kind
        self.rate = rate
        self.seconds = seconds
        self.parameters = dict(parameters)
        self.hits = 0
        self._until_ns = until_ns
        self._hanging: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<{self.kind} of {self.dependency}, rate {self.rate:g}, {self.hits} hits>"

    def __str__(self) -> str:
        options = "".join(f", {name} {value:g}" for name, value in self.parameters.items())
        share = "" if self.rate == 1 else f" in {self.rate:.0%} of the calls"
        return f"{self.dependency}: {self.kind}{share}{options}"

    @property
    def parks_keys(self) -> bool:
        """Whether providers' keys are put aside because of it, for longer than it is on."""
        return self.kind in {Kind.AUTH, Kind.QUOTA}

    def remaining_ns(self, now_ns: int) -> int:
        """How long it is on yet, in nanoseconds; 0 when it has ended."""
        return max(0, self._until_ns - now_ns)

    async def hang(self, clock: Clock, *, at_most_ns: int | None = None) -> bool:
        """Wait until the fault ends, or as long as is allowed.

        Returns:
            whether the fault has ended.
        """
        left = self.remaining_ns(clock.now_ns())
        wait = left if at_most_ns is None else min(left, at_most_ns)
        sleeper = asyncio.ensure_future(clock.asleep_ns(wait))
        self._hanging.add(sleeper)
        try:
            await asyncio.wait({sleeper})
        finally:
            sleeper.cancel()
            self._hanging.discard(sleeper)
        return not self.remaining_ns(clock.now_ns())

    def release(self, now_ns: int) -> None:
        """End it: what hangs, goes on."""
        self._until_ns = min(self._until_ns, now_ns)
        for sleeper in self._hanging:
            sleeper.cancel()


class Injections:
    """Faults by dependency; none at the start. Not for several threads: call it from the engine's event loop.

    Args:
        clock: times the faults.
        rng: draws which calls meet a fault with a rate below 1; used for nothing else while no fault is on.
        events: hears ``FaultInjected`` and ``FaultEnded``.

    Attributes:
        quiet: no fault is on; what stands in front of a dependency asks this first.
    """

    def __init__(self, *, clock: Clock, rng: random.Random, events: Events) -> None:
        self.quiet = True
        self.clock = clock
        self._rng = rng
        self._events = events
        self._active: list[Injection] = []
        self._in_use: dict[str, frozenset[Kind]] = {}
        self._menders: list[Callable[[Injection], object]] = []

    # -- what there is -----------------------------------------------------------------------------------------------

    def attach(self, dependency: Dependency, kinds: Collection[Kind], *, providers: Iterable[str] = ()) -> None:
        """Say that a dependency is in use, and in which ways it can fail."""
        allowed = frozenset(kinds) & SUPPORTED[dependency]
        for name in (dependency.value, *(f"{dependency}:{provider}" for provider in providers)):
            self._in_use[name] = self._in_use.get(name, frozenset()) | allowed

    def when_ended(self, mend: Callable[[Injection], object]) -> None:
        """Call ``mend`` with each fault that ends: for what an operator would do beside repairing the dependency."""
        self._menders.append(mend)

    def in_use(self) -> dict[str, frozenset[Kind]]:
        """What a fault can be injected into here, with the kinds that it can have."""
        return dict(self._in_use)

    def active(self) -> tuple[Injection, ...]:
        """The faults that are on, the oldest first."""
        return tuple(self._active)

    # -- on and off --------------------------------------------------------------------------------------------------

    def inject(
        self, dependency: str, kind: Kind | str, *, seconds: float, rate: float = 1.0, **parameters: float
    ) -> Injection:
        """Let a dependency fail, from now on.

        Args:
            dependency: a role (see :class:`Dependency`), or one provider: ``"model:openai"``.
            kind: how, see :class:`Kind`.
            seconds: how long, above 0 and at most 3,600; it ends by itself.
            rate: the share of the calls that fail, above 0 and at most 1.
            parameters: those of the kind, see :data:`~holdfast.rag.injection.kinds.KINDS`.

        Raises:
            ConfigError: there is no such dependency here, it cannot fail in this way, or a value is out of its range.
        """
        known = self._in_use.get(dependency)
        if known is None:
            raise ConfigError("dependency", dependency, f"must be in use here: one of {', '.join(self._in_use)}")
        if kind not in known:
            close = get_close_matches(str(kind), known, 1)
            hint = f"did you mean {close[0]}? It" if close else "it"
            raise ConfigError("kind", str(kind), f"{hint} must be one of {', '.join(sorted(known))} for {dependency}")
        if duration("seconds", seconds) > LONGEST_SECONDS:
            raise ConfigError("seconds", seconds, f"must be at most {LONGEST_SECONDS:,.0f} (an hour)")
        if positive("rate", rate) > 1:
            raise ConfigError("rate", rate, "must be above 0 and at most 1")
        if len(self._active) >= MOST_AT_ONCE:
            raise ConfigError("dependency", dependency, f"{MOST_AT_ONCE} faults are on already: clear some first")
        kind = Kind(kind)
        injection = Injection(
            dependency,
            kind,
            rate=rate,
            seconds=seconds,
            parameters=checked_parameters(kind, parameters),
            until_ns=self.clock.now_ns() + to_ns(seconds),
        )
        self._active.append(injection)
        self.quiet = False
        self.clock.call_later_ns(to_ns(seconds), lambda: self._end(injection, "expired"))
        if self._events.active:
            self._events.emit(
                FaultInjected(
                    time_ns=self.clock.wall_ns(), dependency=dependency, kind=kind, rate=rate, seconds=seconds
                )
            )
        return injection

    def clear(self, injection: Injection | None = None) -> int:
        """End a fault, or all of them. One that has ended is left alone.

        Returns:
            how many were ended.
        """
        ending = [each for each in self._active if injection is None or each is injection]
        for each in ending:
            self._end(each, "cleared")
        return len(ending)

    def draw(self, dependency: Dependency, provider: str = "") -> Injection | None:
        """The fault that a call made now meets, if it meets one."""
        now_ns = self.clock.now_ns()
        names = {dependency.value, f"{dependency}:{provider}"}
        for injection in self._active:
            if injection.dependency not in names or not injection.remaining_ns(now_ns):
                continue
            if injection.rate >= 1 or self._rng.random() < injection.rate:
                injection.hits += 1
                return injection
        return None

    def _end(self, injection: Injection, reason: str) -> None:
        if injection not in self._active:
            return
        self._active.remove(injection)
        self.quiet = not self._active
        injection.release(self.clock.now_ns())
        for mend in self._menders:
            mend(injection)
        if self._events.active:
            self._events.emit(
                FaultEnded(
                    time_ns=self.clock.wall_ns(),
                    dependency=injection.dependency,
                    kind=injection.kind,
                    hits=injection.hits,
                    reason=reason,
                )
            )
