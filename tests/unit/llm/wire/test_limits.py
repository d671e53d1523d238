"""Rate limits in headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.llm.wire.limits import Limit, RateLimits, rate_limits


def test_openai() -> None:
    """OpenAI's headers give both limits, with resets as Go writes spans."""
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert rate_limits(headers) == RateLimits(
        requests=Limit(limit=60, remaining=59, reset_seconds=0.12),
        tokens=Limit(limit=150_000, remaining=149_984, reset_seconds=360.0),
    )


def test_azure() -> None:
    """Azure says only what is left."""
    headers = {
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-remaining-tokens": "-5",
        "x-ratelimit-reset-tokens": "10",
    }
    assert rate_limits(headers) == RateLimits(
        requests=Limit(remaining=9), tokens=Limit(remaining=0, reset_seconds=10.0)
    )


def test_anthropic() -> None:
    """Anthropic names the time of a reset, which is compared with the response's own date."""
    headers = {
        "date": "Fri, 01 Mar 2024 12:00:00 GMT",
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2024-03-01T12:00:30Z",
        "anthropic-ratelimit-input-tokens-limit": "1000",
        "anthropic-ratelimit-input-tokens-remaining": "900",
        "anthropic-ratelimit-output-tokens-limit": "100",
        "anthropic-ratelimit-output-tokens-remaining": "10",
        "anthropic-ratelimit-output-tokens-reset": "2024-03-01T11:59:59",
    }
    limits = rate_limits(headers)
    assert limits.requests == Limit(limit=50, remaining=0, reset_seconds=30.0)
    assert limits.tokens == Limit(limit=100, remaining=10, reset_seconds=0.0)
    assert rate_limits(headers, now=1_709_294_400.0) == limits
    whole = {**headers, "anthropic-ratelimit-tokens-limit": "7"}
    assert rate_limits(whole).tokens == Limit(limit=7)
    del headers["date"]
    assert rate_limits(headers).requests == Limit(limit=50, remaining=0)


def test_shares_that_are_not_said() -> None:
    """A limit that does not say what is left of it counts as untouched."""
    headers = {"anthropic-ratelimit-input-tokens-limit": "10", "anthropic-ratelimit-output-tokens-remaining": "10"}
    assert rate_limits(headers).tokens == Limit(limit=10)


@pytest.mark.parametrize(
    ("span", "seconds"),
    [("1h2m3.5s", 3723.5), ("1d", 86_400.0), ("500us", 0.0005), ("500µs", 0.0005), ("8.64s", 8.64), ("0", 0.0)]
    + [
        (each, None)
        for each in ("", "soon", "-1", "nan", "inf", "1700000000", "5x", "1h2", "2024-99-99T00:00:00Z", "s")
    ],
)
def test_spans(span: str, seconds: float | None) -> None:
    """A span is read in all its spellings, and what is none counts as not said."""
    limit = rate_limits({"x-ratelimit-limit-tokens": "1", "x-ratelimit-reset-tokens": span}).tokens
    assert limit is not None
    assert limit.reset_seconds == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize("value", ["", "many", "1.5", "²", "9" * 5000, "- 3"])
def test_numbers_that_are_none(value: str) -> None:
    """What is not a number counts as not said, and headers that say nothing give no limit."""
    assert rate_limits({"x-ratelimit-limit-requests": value}) == RateLimits()


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "x-ratelimit-reset-tokens",
                "date",
                "anthropic-ratelimit-requests-reset",
                "anthropic-ratelimit-tokens-limit",
            ]
        ),
        st.text(),
    )
)
def test_any_text(headers: dict[str, str]) -> None:
    """No header makes the reader fail."""
    rate_limits(headers)
