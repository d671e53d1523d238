"""Outages of random times and lengths, as a plan: the same for every configuration with the same seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core._options import duration
from holdfast.lab.faults.plan import Fault, Kind

if TYPE_CHECKING:
    from holdfast.lab.draws import Draws

__all__ = ["random_outages"]


def random_outages(
    component: str,
    draws: Draws,
    *,
    until: float,
    every: float,
    shortest: float,
    tail: float = 1.5,
    longest: float = 3_600.0,
    kind: Kind = Kind.DOWN,
    rate: float = 1.0,
    group: str = "",
) -> list[Fault]:
    """Outages that begin at random and last as outages do: most are short, and some are very long.

    Times between one's end and the next one's beginning are exponential; lengths have a Pareto tail.

    Args:
        draws: chance.
        until: seconds of the world's life; none begins after.
        every: the mean time between outages, in seconds.
        shortest: the least length, in seconds.
        tail: the exponent: the share of outages above x is (shortest/x)**tail. Lower is heavier; up to 1 the mean would
            be infinite without ``longest``.
        longest: the most.
        kind, rate: what fails during an outage, and for which share of the calls: below 1 it is a partial outage.
        group: components of one group share the times of their outages, as two providers in one data centre do.

    Raises:
        ConfigError: a time is not above 0.
    """
    for name, value in (("until", until), ("every", every), ("shortest", shortest), ("longest", longest)):
        duration(name, value)
    key = group or component
    faults: list[Fault] = []
    begin = draws.exponential(every, key, "outage", 0)
    while begin < until:
        number = len(faults) + 1
        end = begin + min(longest, draws.pareto(shortest, tail, key, "length", number))
        faults.append(Fault(component=component, kind=kind, rate=rate, begin=begin, end=end))
        begin = end + draws.exponential(every, key, "outage", number)
    return faults
