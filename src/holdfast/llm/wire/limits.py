"""What a provider's headers say about how much it still accepts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Limit", "RateLimits", "rate_limits"]

_LONGEST_SPAN = 31 * 86_400.0  # seconds; a larger number is a date, or nonsense
_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_SPAN = re.compile(r"(?:\d{1,12}(?:\.\d{1,12})?(?:ms|us|µs|ns|d|h|m|s))+\Z", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit.

    Attributes:
        limit: how much is accepted a window; None where the provider does not say.
        remaining: what is left of it now; None where the provider does not say.
        reset_seconds: seconds until it is full again; None where the provider does not say.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """The limits of a key, or of a key and a model; None where the headers say nothing."""

    requests: Limit | None = None
    tokens: Limit | None = None


_UNKNOWN = RateLimits()


def rate_limits(headers: Mapping[str, str], *, now: float | None = None) -> RateLimits:
    """What the header fields of OpenAI, Azure or Anthropic say; what cannot be read counts as not said.

    Args:
        headers: names in lower case.
        now: seconds since 1970, for providers that name the time of a reset (Anthropic); by default what the
            response's own ``date`` says.
    """
    if not any("ratelimit" in name for name in headers):
        return _UNKNOWN
    if now is None:
        now = _date(headers.get("date", ""))
    requests = _openai(headers, "requests", now) or _anthropic(headers, "requests", now)
    tokens = _openai(headers, "tokens", now) or _anthropic(headers, "tokens", now) or _scarcer(headers, now)
    return RateLimits(requests=requests, tokens=tokens)


def _openai(headers: Mapping[str, str], what: str, now: float | None) -> Limit | None:
    return _limit(*(headers.get(f"x-ratelimit-{each}-{what}", "") for each in ("limit", "remaining", "reset")), now=now)


def _anthropic(headers: Mapping[str, str], what: str, now: float | None) -> Limit | None:
    prefix = f"anthropic-ratelimit-{what}"
    return _limit(*(headers.get(f"{prefix}-{each}", "") for each in ("limit", "remaining", "reset")), now=now)


def _scarcer(headers: Mapping[str, str], now: float | None) -> Limit | None:
    """Of the tokens read and the tokens written, those of which a smaller share is left."""
    both = [each for what in ("input-tokens", "output-tokens") if (each := _anthropic(headers, what, now)) is not None]
    return min(both, key=_share, default=None)


def _share(limit: Limit) -> float:
    return limit.remaining / limit.limit if limit.limit and limit.remaining is not None else 1.0


def _limit(limit: str, remaining: str, reset: str, *, now: float | None) -> Limit | None:
    found = Limit(limit=_number(limit), remaining=_number(remaining), reset_seconds=_span(reset.strip(), now))
    return None if found == Limit() else found


def _number(value: str) -> int | None:
    value = value.strip()
    if value.startswith("-") and value[1:].isdecimal():
        return 0  # more was used than allowed
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= 18 else None


def _span(value: str, now: float | None) -> float | None:
    """Seconds: a span as Go writes it ("6m0s", "120ms"), a plain number of seconds (Azure), or a time (RFC 3339)."""
    if _SPAN.match(value):
        return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(value))
    try:
        seconds = float(value)
    except ValueError:
        until = _time(value)
        return None if until is None or now is None else max(0.0, until - now)
    return seconds if 0 <= seconds <= _LONGEST_SPAN else None


def _time(value: str) -> float | None:
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return _timestamp(parsed)


def _date(value: str) -> float | None:
    try:
        parsed = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    return _timestamp(parsed)


def _timestamp(time: datetime) -> float:
    return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()
