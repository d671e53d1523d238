"""How long outages hurt: from their beginning, and from their end, until the service is good again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.lab.runs.course import place_of
from holdfast.lab.runs.outcome import BUCKET_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.lab.runs.outcome import Bucket

__all__ = ["GOOD_IN_A_ROW", "Recovered", "good", "recovered", "share_good"]

GOOD_IN_A_ROW = 3
"""Good buckets in a row that end an outage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The outages of one run.

    Attributes:
        mttr, recovery, unrecovered: see :class:`holdfast.lab.runs.outcome.Measures`.
    """

    mttr: tuple[float, ...] = ()
    recovery: tuple[float, ...] = ()
    unrecovered: int = 0


def good(bucket: Bucket, slo: float) -> bool:
    """Whether the share of questions with a useful answer met the objective; a bucket without questions is good."""
    return bucket.errors <= (1 - slo) * bucket.offered + 1e-9


def share_good(buckets: Sequence[Bucket], slo: float) -> float:
    """The share of good buckets; 1 of none."""
    return sum(good(each, slo) for each in buckets) / len(buckets) if buckets else 1.0


def recovered(
    buckets: Sequence[Bucket], spans: Sequence[tuple[float, float]], *, slo: float, seconds: float
) -> Recovered:
    """What the outages did to the buckets.

    The first bad bucket since the outage began is looked for, and from there the first of three good ones in a row:
    that is the point of recovery. An outage with no bad bucket until three good ones follow its end hurt nobody, and
    what is bad after that is not its doing.

    Args:
        buckets: of the whole run.
        spans: from when to when something failed, in order, apart from each other.
        slo: the objective of a bucket.
        seconds: how long the run was.
    """
    marks = [good(each, slo) for each in buckets]
    mttr: list[float] = []
    recovery: list[float] = []
    unrecovered = 0
    for place, (begin, end) in enumerate(spans):
        horizon = spans[place + 1][0] if place + 1 < len(spans) else seconds
        last = min(len(marks), place_of(horizon - 1e-9) + 1)
        point = _good_again(marks, place_of(begin), place_of(min(end, horizon)), last)
        back = horizon if point is None else point
        mttr.append(round(max(0.0, back - begin), 3))
        if end >= seconds:
            continue
        recovery.append(round(max(0.0, back - end), 3))
        unrecovered += point is None
    return Recovered(mttr=tuple(mttr), recovery=tuple(recovery), unrecovered=unrecovered)


def _good_again(marks: Sequence[bool], first: int, end: int, last: int) -> float | None:
    """When the first of three good buckets in a row begins after the first bad one; None: there is no such point.

    Args:
        first, end: the places of the buckets in which the outage begins and ends.
        last: the place behind the last bucket that is looked at.
    """
    bad = next((place for place in range(first, min(last, end + GOOD_IN_A_ROW)) if not marks[place]), None)
    if bad is None:
        return first * BUCKET_SECONDS
    for place in range(bad + 1, last - GOOD_IN_A_ROW + 1):
        if all(marks[place : place + GOOD_IN_A_ROW]):
            return place * BUCKET_SECONDS
    return None
