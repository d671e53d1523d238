"""Holdfast, as its documentation says: a route with two targets, and default options."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.failover.drive import main
from benchmarks.failover.scenarios import QUESTION, Job
from holdfast.llm.client import ModelClient
from holdfast.llm.http import AiohttpHttp
from holdfast.llm.messages import ChatRequest, Message
from holdfast.llm.routing.options import RouteOptions
from holdfast.llm.routing.targets import Key, ModelRoute, Provider, Routes, Target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_REQUEST = ChatRequest(messages=(Message(role="user", content=QUESTION),), max_tokens=200)


class Holdfast:
    """One client for one job."""

    def __init__(self, job: Job, *, continued: bool) -> None:
        anthropic = job.protocol == "anthropic"
        primary = Provider(
            name="primary",
            kind="anthropic" if anthropic else "openai",
            base_url=job.primary + ("" if anthropic else "/v1"),
            keys=(Key(name="primary", value="sk-primary-simulated"),),
        )
        second = Provider(
            name="second", base_url=job.second + "/v1", keys=(Key(name="second", value="sk-second-simulated"),)
        )
        targets = (Target(provider=primary, model="model"), Target(provider=second, model="model"))
        route = ModelRoute(name="answers", targets=targets, options=RouteOptions(continue_streams=continued))
        self._client = ModelClient(Routes(models={"answers": route}), http=AiohttpHttp())
        self._streamed = job.mode == "stream"

    async def ask(self) -> AsyncIterator[str]:
        """See :class:`benchmarks.failover.drive.Candidate`."""
        if not self._streamed:
            yield (await self._client.complete("answers", _REQUEST)).completion.text
            return
        async with self._client.stream("answers", _REQUEST) as chunks:
            async for chunk in chunks:
                yield chunk.text

    async def close(self) -> None:
        """See :class:`benchmarks.failover.drive.Candidate`."""
        await self._client.close()


if __name__ == "__main__":
    main(lambda job: Holdfast(job, continued="--continue" in sys.argv))
