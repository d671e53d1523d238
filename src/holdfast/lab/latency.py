"""How long things take: a log-normal distribution, which is skewed to the right as the latencies of services are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core._options import at_least, duration
from holdfast.core.clock import to_ns
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.lab.draws import Draws

__all__ = ["AT_ONCE", "Latency"]

_WIDEST = 5.0


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of times.

    Attributes:
        median: seconds, 0 or more; half of the draws are below.
        sigma: the standard deviation of the logarithm, 0 to 5. 0: every draw is the median; 0.5 puts the 99th
            percentile at 3.2 medians, 0.9 at eight.

    Raises:
        ConfigError: a value is out of its range.
    """

    median: float
    sigma: float = 0.0

    def __post_init__(self) -> None:
        duration("median", self.median, or_zero=True)
        if at_least("sigma", self.sigma, 0) > _WIDEST:
            raise ConfigError("sigma", self.sigma, f"must be at most {_WIDEST:g}")

    def draw_ns(self, draws: Draws, component: str, *key: object) -> int:
        """One time in nanoseconds, always the same for the same key."""
        if not self.sigma or not self.median:
            return to_ns(self.median)
        return to_ns(draws.lognormal(self.median, self.sigma, component, "latency", *key))


AT_ONCE = Latency(0.0)
"""No time at all."""
