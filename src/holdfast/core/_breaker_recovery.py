"""How long a breaker stays open, and how the calls come back after it closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core._breaker_windows import ONE, units
from holdfast.core.clock import to_ns

if TYPE_CHECKING:
    import random

    from holdfast.core.breaker_options import BreakerOptions

__all__ = ["OpenTimes", "Ramp"]


class OpenTimes:
    """The length of each opening: growing from one to the next, capped, and shortened a little by chance.

    The jitter takes away from the capped length, so that replicas spread out even when all of them wait the longest.
    """

    __slots__ = ("_base_ns", "_jitter", "_longest_ns", "_multiplier", "_next_ns")

    def __init__(self, options: BreakerOptions) -> None:
        self._go_by(options)
        self._next_ns = self._base_ns

    def retune(self, options: BreakerOptions) -> None:
        """Other lengths for the openings to come; they begin with the first one, unless only chance has changed."""
        before = self._base_ns, self._longest_ns, self._multiplier
        self._go_by(options)
        if (self._base_ns, self._longest_ns, self._multiplier) != before:
            self.forget()

    def _go_by(self, options: BreakerOptions) -> None:
        self._base_ns = to_ns(options.recovery_timeout)
        self._longest_ns = options.longest_open_ns
        self._multiplier = options.recovery_multiplier
        self._jitter = options.recovery_jitter

    def take(self, rng: random.Random) -> int:
        """The nanoseconds of an opening that begins now."""
        full = self._next_ns
        self._next_ns = min(self._longest_ns, round(full * self._multiplier))
        return round(full * (1 - self._jitter * rng.random())) if self._jitter else full

    def forget(self) -> None:
        """Begin with the first length again."""
        self._next_ns = self._base_ns


class Ramp:
    """Lets a share of calls in that grows in a straight line to all of them.

    Each call adds the present share to a credit, and is let in when that makes a whole one: every tenth call at a share
    of a tenth, without chance and without bunches (the error diffusion of image printing). The first call is let in.
    """

    __slots__ = ("_begun_ns", "_credit", "_length_ns", "_start")

    def __init__(self, options: BreakerOptions) -> None:
        self._length_ns = to_ns(options.ramp_seconds)
        self._start = units(options.ramp_start)
        self._begun_ns: int | None = None
        self._credit = 0

    def retune(self, options: BreakerOptions) -> None:
        """Another length and another start, for a ramp that is under way too."""
        self._length_ns = to_ns(options.ramp_seconds)
        self._start = units(options.ramp_start)
        if not self._length_ns:
            self.end()

    @property
    def running(self) -> bool:
        """Whether it was begun and not ended."""
        return self._begun_ns is not None

    def begin(self, now_ns: int) -> None:
        """Start at the smallest share; nothing, for a ramp without length."""
        if self._length_ns:
            self._begun_ns = now_ns
            self._credit = ONE - self._start

    def end(self) -> None:
        """Let every call in."""
        self._begun_ns = None

    def share(self, now_ns: int) -> int:
        """The share let in, in millionths; all of them where no ramp runs."""
        if self._begun_ns is None:
            return ONE
        done = min(now_ns - self._begun_ns, self._length_ns)
        return self._start + (ONE - self._start) * done // self._length_ns

    def left_ns(self, now_ns: int) -> int:
        """Until every call is let in."""
        return 0 if self._begun_ns is None else max(0, self._begun_ns + self._length_ns - now_ns)

    def admits(self, now_ns: int) -> bool:
        """Whether this call is let in. Ends the ramp when its time is over."""
        share = self.share(now_ns)
        if share >= ONE:
            self.end()
            return True
        self._credit += share
        if self._credit < ONE:
            return False
        self._credit -= ONE
        return True
