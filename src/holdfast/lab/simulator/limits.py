"""The rate limits of a provider: a bucket of requests and one of tokens for each key, refilled all the time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING

from holdfast.core.clock import NS_PER_SECOND
from holdfast.lab.simulator.failures import Failure, Problem

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.lab.simulator.failures import ProviderKind

__all__ = ["RateLimits", "duration"]

_MOST_KEYS = 1_000
_PER_MINUTE_NS = 60 * NS_PER_SECOND


@dataclass(slots=True)
class _Bucket:
    limit: int
    level: float
    filled_ns: int

    def fill(self, now_ns: int) -> None:
        gained = (now_ns - self.filled_ns) * self.limit / _PER_MINUTE_NS
        self.level, self.filled_ns = min(float(self.limit), self.level + gained), now_ns

    def seconds_to(self, level: float) -> float:
        return max(0.0, level - self.level) * 60 / self.limit


class RateLimits:
    """Requests and tokens a minute, for each key on its own.

    A bucket holds a minute's allowance and is refilled evenly. A call takes one request, and as many tokens as it will
    have used in the end: the simulator knows its answer before it gives it.

    Args:
        requests: a minute; None is no limit.
        tokens: a minute; None is no limit.
    """

    def __init__(self, requests: int | None, tokens: int | None, clock: Clock) -> None:
        self._limits = {
            name: limit for name, limit in (("requests", requests), ("tokens", tokens)) if limit is not None
        }
        self._clock = clock
        self._keys: dict[str | None, dict[str, _Bucket]] = {}

    def take(self, key: str | None, tokens: int, provider: ProviderKind) -> dict[str, str]:
        """Take what a call needs, and return the header fields that tell what is left.

        Raises:
            Problem: there is not enough; nothing was taken.
        """
        if not self._limits:
            return {}
        buckets, now_ns = self._buckets(key), self._clock.now_ns()
        for bucket in buckets.values():
            bucket.fill(now_ns)
        needs = {"requests": 1, "tokens": tokens}
        waits = {name: bucket.seconds_to(needs[name]) for name, bucket in buckets.items()}
        short = max(waits, key=waits.__getitem__)
        if waits[short] > 0:
            self._refuse(short, waits[short], needs[short], buckets, provider)
        for name, bucket in buckets.items():
            bucket.level -= needs[name]
        return self._headers(buckets, provider)

    def _refuse(self, name: str, wait: float, need: int, buckets: dict[str, _Bucket], provider: ProviderKind) -> None:
        bucket = buckets[name]
        headers = self._headers(buckets, provider) | {"retry-after": str(ceil(wait))}
        words = (
            f"Rate limit reached for {name} per minute: Limit {bucket.limit}, "
            f"Used {ceil(bucket.limit - bucket.level)}, Requested {need}. Please try again in {duration(wait)}."
        )
        raise Problem(Failure.REQUESTS if name == "requests" else Failure.TOKENS, words, headers=headers)

    def _headers(self, buckets: dict[str, _Bucket], provider: ProviderKind) -> dict[str, str]:
        fields: dict[str, str] = {}
        for name, bucket in buckets.items():
            full = bucket.seconds_to(bucket.limit)
            values = {"limit": str(bucket.limit), "remaining": str(int(bucket.level))}
            if provider == "anthropic":
                values["reset"] = _rfc3339(self._clock.wall_ns() / NS_PER_SECOND + full)
                fields |= {f"anthropic-ratelimit-{name}-{what}": value for what, value in values.items()}
            else:
                values["reset"] = duration(full)
                fields |= {f"x-ratelimit-{what}-{name}": value for what, value in values.items()}
        return fields

    def _buckets(self, key: str | None) -> dict[str, _Bucket]:
        if key not in self._keys:
            if len(self._keys) >= _MOST_KEYS:
                del self._keys[next(iter(self._keys))]
            now_ns = self._clock.now_ns()
            self._keys[key] = {name: _Bucket(limit, limit, now_ns) for name, limit in self._limits.items()}
        return self._keys[key]


def duration(seconds: float) -> str:
    """``seconds`` as OpenAI writes them: ``120ms``, ``1.5s``, ``6m0s``."""
    milliseconds = ceil(round(seconds * 1_000, 6))
    if milliseconds < 1_000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds / 1_000, 60)
    return f"{minutes:.0f}m{rest:g}s" if minutes else f"{rest:g}s"


def _rfc3339(unix: float) -> str:
    return datetime.fromtimestamp(ceil(unix), UTC).isoformat().replace("+00:00", "Z")
