"""The dependencies as the tiers see them: whether each one is well, and how to find out that it is again.

A dependency is ill when its circuit breaker is not closed, or when it failed some times in a row though no breaker
minds (a model that is not installed, for instance, is nobody's outage). It is well again when it answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.breaker_snapshot import BreakerState
from holdfast.core.pipeline import Pipeline
from holdfast.core.timeout import Timeout
from holdfast.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from holdfast.core.clock import Clock
    from holdfast.rag.tiers.levels import Need
    from holdfast.rag.types import Reason

__all__ = ["Vital", "Vitals", "breaker_of"]

_IS_WELL = attrgetter("well")
_FAILURES_IN_A_ROW = 3
_CHECK_SECONDS = 2.0
"""The time that a dependency has to answer a check."""


@dataclass(slots=True, kw_only=True)
class Vital:
    """One dependency.

    Attributes:
        name: the dependency's name, as in pipelines and metrics.
        need: what of the tiers' needs it is; None: no tier needs it, it is only helped back.
        reason: what answers say while it is ill.
        guard: the pipeline around its calls.
        check: asks it something cheap; raises when it does not answer. None: it cannot be asked by itself.
        check_seconds: the time that it has to answer.
        well_otherwise: asked when no breaker of the guard decides, such as for models.
        one_of: others of which one is enough; beside them it has nothing but its own failures. None: it is by itself.
    """

    name: str
    need: Need | None
    reason: Reason
    guard: Pipeline | None = None
    check: Callable[[], Awaitable[object]] | None = None
    check_seconds: float = _CHECK_SECONDS
    well_otherwise: Callable[[], bool] | None = None
    one_of: Sequence[Vital] | None = None
    failures: int = field(default=0, init=False)
    _breaker: CircuitBreaker | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._breaker = None if self.guard is None else breaker_of(self.guard)

    @property
    def well(self) -> bool:
        """Whether it can be counted on, as far as anybody knows."""
        if self.failures >= _FAILURES_IN_A_ROW:
            return False
        if self.one_of is not None:
            return any(map(_IS_WELL, self.one_of))
        breaker, otherwise = self._breaker, self.well_otherwise
        if breaker is not None and breaker.state is not BreakerState.CLOSED and not breaker.options.shadow:
            return False
        return otherwise is None or otherwise()

    def note(self, *, ok: bool) -> None:
        """What became of a call to it, after all repetitions."""
        self.failures = 0 if ok else self.failures + 1

    async def revive(self, clock: Clock) -> None:
        """Ask it past its breaker; when it answers, let the breaker find out by calls of its own, and close.

        One that cannot be asked by itself gets another chance: the next question finds out.

        Raises:
            Exception: it does not answer.
        """
        if self.check is None:
            self.failures = min(self.failures, _FAILURES_IN_A_ROW - 1)
            return
        await Pipeline(Timeout(seconds=self.check_seconds), name=f"{self.name}:check", clock=clock).call(self.check)
        breaker = self._breaker
        if self.guard is not None and breaker is not None:
            breaker.allow_probe()
            for _ in range(breaker.options.success_threshold):
                if breaker.state is BreakerState.CLOSED:
                    break
                try:
                    await self.guard.call(self.check)
                except RejectedError:  # a question is the probe just now: it finds out as well
                    break
        if breaker is None or breaker.state is BreakerState.CLOSED:
            self.failures = 0


class Vitals:
    """All dependencies.

    Args:
        vitals: each once, and with one that rests on several those as well.
        anything: whether there is something to say without any of them: remembered answers, a list of frequent
            questions.
        copied: whether the documents can be searched without the store; None: never.
    """

    def __init__(
        self, vitals: Sequence[Vital], *, anything: Callable[[], bool], copied: Callable[[], bool] | None = None
    ) -> None:
        self.all = tuple(vitals)
        self._single = [vital for vital in self.all if vital.one_of is None]
        self._several = [vital for vital in self.all if vital.one_of is not None]
        self._by_need: dict[Need | None, list[Vital]] = {}
        for vital in self.all:
            self._by_need.setdefault(vital.need, []).append(vital)
        self._anything = anything
        self._copied = copied

    def note(self, need: Need, *, ok: bool) -> None:
        """What became of a call to what the tiers call ``need``; nothing, where the service has no such part."""
        for vital in self._by_need.get(need, ()):
            vital.note(ok=ok)

    @property
    def ill(self) -> tuple[Vital, ...]:
        """Those that cannot be counted on now."""
        failing = [vital for vital in self._several if vital.failures >= _FAILURES_IN_A_ROW]
        if not failing and all(map(_IS_WELL, self._single)):
            return ()  # as mostly: then one of several is well, too, and need not be looked for
        return tuple([vital for vital in self.all if not vital.well])

    @property
    def anything(self) -> bool:
        """Whether there is something to say without any of them."""
        return self._anything()

    @property
    def copied(self) -> bool:
        """Whether the documents can be searched without the store."""
        return self._copied is not None and self._copied()


def breaker_of(guard: Pipeline) -> CircuitBreaker | None:
    """A pipeline's circuit breaker."""
    return next((policy for policy in guard.policies if isinstance(policy, CircuitBreaker)), None)
