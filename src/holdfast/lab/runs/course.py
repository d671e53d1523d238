"""The course of a run: what happened in each bucket of five seconds, folded as soon as nothing can be added to it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from holdfast.lab.runs.outcome import BUCKET_SECONDS, Bucket
from holdfast.lab.runs.sketch import Sketch
from holdfast.rag.types import Tier

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Course", "place_of"]

_TIERS = [each.value for each in Tier]


def place_of(second: float) -> int:
    """The number of the bucket that a time of the run belongs to, from 0."""
    return int(second / BUCKET_SECONDS)


class _Open:
    """A bucket that may still get something."""

    __slots__ = ("breakers", "counts", "latencies", "tier")

    def __init__(self, tier: str, breakers: set[str]) -> None:
        self.counts: Counter[str] = Counter()
        self.latencies = Sketch()
        self.tier = tier
        self.breakers = set(breakers)


class Course:
    """The buckets of one run.

    Args:
        seconds: how long questions are asked; what is later belongs to no bucket.
        settle: seconds after a bucket's end in which questions that were asked in it may still end.

    Attributes:
        seconds_in_tier: how long the service was in each tier.
        full_since: since when it is at its full tier; None when it is not.
    """

    def __init__(self, seconds: float, *, settle: float) -> None:
        self.seconds_in_tier: Counter[str] = Counter()
        self.full_since: float | None = 0.0
        self._seconds = seconds
        self._settle = settle
        self._done: list[Bucket] = []
        self._open: dict[int, _Open] = {}
        self._tier = Tier.FULL.value
        self._tier_since = 0.0
        self._breakers: set[str] = set()
        self._reached = -1

    def ended(self, asked_at: float, seconds: float, *, useful: bool, degraded: bool) -> None:
        """A question that was asked at a time ended ``seconds`` later."""
        bucket = self._bucket(asked_at)
        if bucket is not None:
            bucket.counts["offered"] += 1
            bucket.counts["useful" if useful else "errors"] += 1
            bucket.counts["degraded"] += useful and degraded
            bucket.latencies.add(seconds)

    def called(self, at: float) -> None:
        """A provider of models was called."""
        self._count(at, "attempts")

    def retried(self, at: float) -> None:
        """Some dependency was called again."""
        self._count(at, "retries")

    def tier(self, at: float, tier: str) -> None:
        """The service moved to a tier."""
        self._reach(at)
        self._spend(at)
        self._tier = tier
        self.full_since = at if tier == Tier.FULL.value else None
        bucket = self._bucket(at)
        if bucket is not None and _TIERS.index(tier) > _TIERS.index(bucket.tier):
            bucket.tier = tier

    def breaker(self, at: float, dependency: str, *, opened: bool) -> None:
        """A breaker opened, or is not open any more."""
        self._reach(at)
        (self._breakers.add if opened else self._breakers.discard)(dependency)
        bucket = self._bucket(at)
        if bucket is not None and opened:
            bucket.breakers.add(dependency)

    def finish(self) -> tuple[Bucket, ...]:
        """All buckets, in order. Call it once, when everything has ended."""
        self._reach(self._seconds - 1e-9)
        self._spend(self._seconds)
        self._fold(len(self._done) + len(self._open))
        return tuple(self._done)

    def _count(self, at: float, what: str) -> None:
        bucket = self._bucket(at)
        if bucket is not None:
            bucket.counts[what] += 1

    def _bucket(self, at: float) -> _Open | None:
        if at >= self._seconds:
            return None
        place = place_of(at)
        if place > self._reached:
            self._reach(at)
        return self._open.get(place)

    def _reach(self, at: float) -> None:
        """Open all buckets until ``at``: they begin with the tier and the breakers of now."""
        wanted = place_of(min(at, self._seconds - 1e-9))
        while self._reached < wanted:
            self._reached += 1
            self._open[self._reached] = _Open(self._tier, self._breakers)
            self._fold(place_of(max(0.0, self._reached * BUCKET_SECONDS - self._settle)))

    def _fold(self, until: int) -> None:
        while len(self._done) < until:
            place = len(self._done)
            self._done.append(_folded(place, self._open.pop(place)))

    def _spend(self, until: float) -> None:
        until = min(until, self._seconds)
        if until > self._tier_since:
            self.seconds_in_tier[self._tier] += until - self._tier_since  # type: ignore[assignment]
            self._tier_since = until


def _folded(place: int, bucket: _Open) -> Bucket:
    counts: Mapping[str, int] = bucket.counts
    return Bucket(
        at=place * BUCKET_SECONDS,
        offered=counts["offered"],
        useful=counts["useful"],
        degraded=counts["degraded"],
        errors=counts["errors"],
        attempts=counts["attempts"],
        retries=counts["retries"],
        tier=bucket.tier,
        open_breakers=tuple(sorted(bucket.breakers)),
        p95=round(bucket.latencies.percentile(0.95), 4),
    )
