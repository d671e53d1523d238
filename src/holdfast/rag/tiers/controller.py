"""Which tier the service is at: down at once, up again step by step.

The service falls as soon as what its tier needs is ill, to the best tier that can do without. It climbs one tier at a
time, each step when everything that the next tier needs has been well for a while. Where it falls again soon after it
climbed, that while doubles, so that a dependency which comes and goes does not drag every answer up and down with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core._options import duration, options_by_name
from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.errors import ConfigError
from holdfast.rag.tiers.levels import Levels, Need, above, worse
from holdfast.rag.types import Reason, Tier

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.tiers.levels import Level
    from holdfast.rag.tiers.vitals import Vitals

__all__ = ["ControllerOptions", "TierController", "TierSnapshot"]


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerOptions:
    """How the service climbs.

    Attributes:
        climb_after: seconds for which what the next tier needs must have been well, above 0 (default 4).
        climb_after_most: the longest that this becomes by doubling, at least ``climb_after`` (default 30).
        relapse: a fall within so many seconds after a climb doubles it, 0 or more (default 60). As long without a fall
            makes it what it was.

    Raises:
        ConfigError: a value is out of its range.
    """

    climb_after: float = 4.0
    climb_after_most: float = 30.0
    relapse: float = 60.0

    def __post_init__(self) -> None:
        duration("climb_after", self.climb_after)
        duration("relapse", self.relapse, or_zero=True)
        if duration("climb_after_most", self.climb_after_most) < self.climb_after:
            rule = f"must be at least climb_after ({self.climb_after:g})"
            raise ConfigError("climb_after_most", self.climb_after_most, rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class TierSnapshot:
    """The service's tier at one moment.

    Attributes:
        tier: where it is.
        possible: where it could be by what is well now; it is on its way there when that is better.
        reasons: what keeps it from being full.
        seconds: how long it has been at its tier.
        climb_after: seconds of health that the next step up takes.
    """

    tier: Tier
    possible: Tier
    reasons: tuple[Reason, ...]
    seconds: float
    climb_after: float


class TierController:
    """Moves the service's tier.

    It has no timer of its own: :meth:`evaluate` is called with every question, and while the service is not full by the
    prober.

    Args:
        vitals: the dependencies.
        levels: what each tier needs.
        narrator: is told of each move.
    """

    def __init__(
        self,
        vitals: Vitals,
        *,
        clock: Clock,
        narrator: Narrator,
        levels: Levels | None = None,
        options: ControllerOptions | None = None,
    ) -> None:
        self.levels = levels or Levels()
        self.options = options or ControllerOptions()
        self._vitals = vitals
        self._clock = clock
        self._narrator = narrator
        self._tier = Tier.FULL
        self._reasons: tuple[Reason, ...] = ()
        self._ill = False
        self._since_ns = clock.now_ns()
        self._well_since_ns: int | None = None
        self._climbed_ns: int | None = None
        self._climb_ns = to_ns(self.options.climb_after)

    @property
    def tier(self) -> Tier:
        """Where the service is."""
        return self._tier

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What keeps it from being full."""
        return self._reasons

    @property
    def level(self) -> Level:
        """What its tier does."""
        return self.levels[self._tier]

    def evaluate(self) -> Tier:
        """Look at the dependencies, and move if they say so; gives the tier."""
        possible, reasons = self._possible()
        if reasons:
            self._reasons = reasons
        if possible is self._tier:
            self._well_since_ns = None
        elif worse(possible, self._tier) is possible:
            self._fall(possible, self._clock.now_ns())
        else:
            self._climb(self._clock.now_ns())
        if self._tier is Tier.FULL:
            self._reasons = ()
        return self._tier

    @property
    def anything_ill(self) -> bool:
        """Whether some dependency was ill at the last look, needed by a tier or not."""
        return self._ill

    def snapshot(self) -> TierSnapshot:
        """Where the service is, and where it could be."""
        possible, _ = self._possible()
        return TierSnapshot(
            tier=self._tier,
            possible=possible,
            reasons=self._reasons,
            seconds=(self._clock.now_ns() - self._since_ns) / NS_PER_SECOND,
            climb_after=self._climb_ns / NS_PER_SECOND,
        )

    def _possible(self) -> tuple[Tier, tuple[Reason, ...]]:
        missing: set[Need] = set()
        reasons: list[Reason] = []
        ill = self._vitals.ill
        self._ill = bool(ill)
        if not ill:
            return Tier.FULL, ()
        for vital in ill:
            if vital.need is not None:
                missing.add(vital.need)
                reasons.append(vital.reason)
        if Need.STORE in missing and not self._vitals.copied:
            missing.add(Need.DOCUMENTS)
            if not self._vitals.anything:
                missing.add(Need.ANYTHING)
                reasons.append(Reason.SERVICE_UNAVAILABLE)
        return self.levels.best(missing), tuple(dict.fromkeys(reasons))

    def _fall(self, to: Tier, now: int) -> None:
        relapse = self._climbed_ns is not None and now - self._climbed_ns < to_ns(self.options.relapse)
        self._climb_ns = min(2 * self._climb_ns, to_ns(self.options.climb_after_most)) if relapse else self._calm(now)
        self._well_since_ns = None
        self._move(to, now)

    def _climb(self, now: int) -> None:
        if self._well_since_ns is None:
            self._well_since_ns = now
        if now - self._well_since_ns < self._climb_ns:
            return
        self._well_since_ns = now
        self._climbed_ns = now
        self._move(above(self._tier), now)

    def _calm(self, now: int) -> int:
        """The while to begin with, unless the service is still on its way up from the last fall."""
        if self._tier is Tier.FULL and now - self._since_ns >= to_ns(self.options.relapse):
            return to_ns(self.options.climb_after)
        return self._climb_ns

    def _move(self, to: Tier, now: int) -> None:
        before, self._tier, self._since_ns = self._tier, to, now
        self._narrator.tier_changed(before, to, self._reasons)
