"""Outages of a scenario: exponential times between them, lengths of a Pareto tail, alone and in groups."""

from __future__ import annotations

import math
import statistics
from functools import cache
from itertools import pairwise

from tests.unit.lab.oracles.bounds import near, of_share

from holdfast.lab.draws import Draws
from holdfast.lab.scenarios.failing import OutageLine, interruptions

EVERY, SHORTEST, LONGEST, TAIL = 100.0, 5.0, 600.0, 1.5
UNTIL = 700_000.0


@cache
def outages(*components: str, group: str = "") -> dict[str, list[tuple[float, float]]]:
    """From when to when each component is down."""
    line = OutageLine(components=components, every=EVERY, shortest=SHORTEST, longest=LONGEST, tail=TAIL, group=group)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in components}
    for fault in line.faults(None, Draws(7), UNTIL):
        found[fault.component].append((fault.begin, fault.end))
    return found


def mean_length(power: int = 1) -> float:
    """Of the lengths' powers: the integral of power x^(power-1) (shortest/x)^tail up to the longest."""
    over = power - TAIL
    mean: float = SHORTEST**power + power * SHORTEST**TAIL * (LONGEST**over - SHORTEST**over) / over
    return mean


def test_lengths_have_the_tail_that_is_asked_for() -> None:
    """A share (shortest/x)^tail lasts longer than x, within 7% at twice and 25% at eight times the shortest."""
    lengths = [end - begin for begin, end in outages("store")["store"]]
    count = len(lengths)
    for times, bound in ((1.5, 0.05), (2, 0.07), (4, 0.14), (8, 0.25), (16, 0.45)):
        share = (1 / times) ** TAIL
        longer = sum(length > times * SHORTEST for length in lengths) / count
        assert longer == near(share, of_share(share, count), bound=bound)
    assert min(lengths) >= SHORTEST - 1e-6
    assert max(lengths) <= LONGEST + 1e-6
    spread = math.sqrt(mean_length(2) - mean_length() ** 2)
    assert statistics.fmean(lengths) == near(mean_length(), spread / math.sqrt(count), bound=0.15)


def test_onsets_are_as_far_apart_as_pauses_and_lengths_together() -> None:
    """From onset to onset it is the mean pause and the mean length, within 6%; pauses are exponential."""
    spans = outages("store")["store"]
    count = len(spans) - 1
    pauses = [after[0] - before[1] for before, after in pairwise(spans)]
    assert statistics.fmean(pauses) == near(EVERY, EVERY / math.sqrt(count), bound=0.06)
    share = math.exp(-1)
    assert sum(pause > EVERY for pause in pauses) / count == near(share, of_share(share, count), bound=0.08)
    onsets = [after[0] - before[0] for before, after in pairwise(spans)]
    spread = math.sqrt(EVERY**2 + mean_length(2) - mean_length() ** 2)
    assert statistics.fmean(onsets) == near(EVERY + mean_length(), spread / math.sqrt(count), bound=0.06)


def test_the_share_of_the_time_in_which_something_is_down() -> None:
    """One component is down for E(length)/(pause + E(length)) of the time; two of them as two independent ones are."""
    alone = mean_length() / (EVERY + mean_length())
    found = outages("store", "cache")
    count = len(found["store"])
    # The share of an alternating renewal process: its error is that of a ratio of means.
    variance = mean_length(2) - mean_length() ** 2
    error = math.sqrt((EVERY**2 * variance + (mean_length() * EVERY) ** 2) / count) / (EVERY + mean_length()) ** 2
    for spans in found.values():
        assert sum(end - begin for begin, end in spans) / UNTIL == near(alone, error, bound=0.15)
    line = OutageLine(components=("store", "cache"), every=EVERY, shortest=SHORTEST, longest=LONGEST, tail=TAIL)
    either = sum(end - begin for begin, end in interruptions(line.faults(None, Draws(7), UNTIL), UNTIL)) / UNTIL
    assert either == near(1 - (1 - alone) ** 2, math.sqrt(2) * (1 - alone) * error, bound=0.12)


def test_a_group_is_down_together() -> None:
    """Components of a group have the same outages, and their tail is the same."""
    found = outages("model:openai", "model:anthropic", group="region")
    assert found["model:openai"] == found["model:anthropic"]
    lengths = [end - begin for begin, end in found["model:openai"]]
    share = 0.5**TAIL
    assert sum(length > 2 * SHORTEST for length in lengths) / len(lengths) == near(
        share, of_share(share, len(lengths)), bound=0.07
    )
