"""Rate limits: each provider's headers tell what is left, and what is too much gets a 429 with the time to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast.lab.simulator.limits import duration

if TYPE_CHECKING:
    from tests.unit.lab.simulator.conftest import MakeProvider

    from holdfast.testing.clock import FakeClock


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.12, "120ms"), (0.0001, "1ms"), (1, "1s"), (1.5, "1.5s"), (60, "1m0s"), (360, "6m0s"),
     (61.5, "1m1.5s")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    """Resets are written as OpenAI writes them."""
    assert duration(seconds) == text


async def test_requests_a_minute(provider: MakeProvider, clock: FakeClock) -> None:
    """The minute's allowance can be taken at once, and comes back evenly; a refused call takes nothing."""
    some = provider(requests_per_minute=2)
    first = await some.chat()
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-reset-requests"] == "30s"
    assert (await some.chat(stream=True)).headers["x-ratelimit-remaining-requests"] == "0"
    refused = await some.chat()
    assert (refused.status, refused.headers["retry-after"]) == (429, "30")
    assert refused.headers["x-ratelimit-reset-requests"] == "1m0s"
    assert refused.json["error"]["type"] == "requests"
    assert refused.json["error"]["code"] == "rate_limit_exceeded"
    assert "try again in 30s" in refused.json["error"]["message"]
    clock.advance(30)
    assert (await some.chat()).status == 200
    assert (await some.embed()).status == 429


async def test_tokens_a_minute(provider: MakeProvider, clock: FakeClock) -> None:
    """A call takes the tokens of its prompt and of its answer; one that needs more than a minute's is never served."""
    some = provider(tokens_per_minute=100, requests_per_minute=60)
    used = (await some.chat()).json["usage"]["total_tokens"]
    refused = await some.chat()
    assert refused.headers["x-ratelimit-remaining-tokens"] == str(100 - used)
    assert refused.headers["x-ratelimit-remaining-requests"] == "59"
    assert refused.json["error"]["type"] == "tokens"
    wait = int(refused.headers["retry-after"])
    clock.advance(wait)
    assert (await some.chat()).status == 200
    assert (await some.chat("word " * 200)).status == 429


async def test_anthropic_headers(provider: MakeProvider) -> None:
    """Anthropic's headers have their own names, and resets as dates."""
    some = provider(requests_per_minute=1, tokens_per_minute=1_000)
    headers = (await some.messages()).headers
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert headers["anthropic-ratelimit-requests-reset"] == "2026-01-01T00:01:00Z"
    assert headers["anthropic-ratelimit-tokens-limit"] == "1000"
    refused = await some.messages()
    assert (refused.status, refused.json["error"]["type"], refused.headers["retry-after"]) == (
        429,
        "rate_limit_error",
        "60",
    )


async def test_each_key_has_its_own(provider: MakeProvider) -> None:
    """One key's calls take nothing from another's, and the keys that are remembered are bounded."""
    some = provider(requests_per_minute=1)

    async def status(key: str) -> int:
        body = {"model": "m", "input": "a"}
        return (await some.send("POST", "/v1/embeddings", body, {"authorization": f"Bearer {key}"})).status

    assert [await status(key) for key in ("a", "a", "b")] == [200, 429, 200]
    for number in range(1_000):
        await status(str(number))
    assert await status("a") == 200


async def test_without_limits_there_are_no_headers(provider: MakeProvider) -> None:
    """A provider without limits tells none."""
    assert not [name for name in (await provider().chat()).headers if "ratelimit" in name]
