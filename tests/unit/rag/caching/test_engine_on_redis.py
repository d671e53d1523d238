"""An engine as the settings build it, with its caches in a real Redis that fails: nobody who asks notices."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.redis_server import RedisServer, running_redis, slow_proxy

from holdfast.core.events import Events
from holdfast.rag.app import build_engine
from holdfast.rag.health import breaker_state
from holdfast.rag.query import Query
from holdfast.rag.settings import load_settings
from holdfast.rag.types import Source
from holdfast.telemetry.events import CacheLookup
from holdfast.testing.events import EventRecorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from holdfast.rag.engine import Engine

pytestmark = pytest.mark.process

QUESTION = Query(question="Within how many days of delivery can most products be sent back?")
LIMIT = 0.25
SCHEDULING = 0.15
"""What the answer itself takes, and what a busy machine may add."""

ARTICLE = """# Return an item

Most products can be sent back within 30 days of delivery.
"""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@asynccontextmanager
async def running(folder: Path, url: str, **settings: Any) -> AsyncIterator[Engine]:
    """An engine with one document, and its caches at ``url``."""
    documents = folder / "articles"
    documents.mkdir(exist_ok=True)
    (documents / "returns.md").write_text(ARTICLE)
    configured = load_settings(environ={}, data_dir=folder / "data", redis_url=url, embedder="none", **settings)
    engine = build_engine(configured, events=Events())
    await engine.open()
    try:
        await engine.ingestor.ingest_paths([documents])
        yield engine
    finally:
        await engine.close()


def other(number: int) -> Query:
    """A question that was not asked before."""
    return Query(question=f"Within how many days of delivery can {number} products be sent back?")


async def test_answers_and_searches_come_from_redis(tmp_path: Path, server: RedisServer) -> None:
    """What one process answered, another one knows, with everything that belongs to the answer."""
    async with running(tmp_path, server.url) as one, running(tmp_path, server.url) as two:
        first = await one.ask(QUESTION)
        again = await two.ask(QUESTION)
        assert (first.source, again.source) == (Source.EXTRACT, Source.CACHE)
        assert (again.text, again.citations) == (first.text, first.citations)
        recorder = EventRecorder(two.events, CacheLookup)
        two._recall._ttl = -1  # the answer is too old, the search is not
        assert (await two.ask(QUESTION)).source is Source.EXTRACT
        assert [(e.cache, e.hit) for e in recorder.of(CacheLookup)] == [("answer", False), ("search", True)]


async def test_services_with_other_names_share_nothing(tmp_path: Path, server: RedisServer) -> None:
    """Two services on one server, each with a namespace, do not see each other's answers."""
    async with (
        running(tmp_path, server.url) as one,
        running(tmp_path, server.url, redis_namespace="other") as two,
    ):
        await one.ask(QUESTION)
        assert (await two.ask(QUESTION)).source is Source.EXTRACT


@pytest.mark.parametrize("fault", ["dead", "paused", "slow"])
async def test_a_redis_that_fails_costs_no_answer_and_250_ms(tmp_path: Path, server: RedisServer, fault: str) -> None:
    """With Redis dead, paused, or 0.15 s late, every answer is whole and at most 250 ms later, all caches together."""
    async with slow_proxy(server.port) as proxy, running(tmp_path, proxy.url) as engine:
        expected = await engine.ask(QUESTION)
        if fault == "dead":
            server.kill()
        elif fault == "paused":
            server.pause()
        else:
            proxy.delay = 0.15
        for number in range(12):
            query = other(number)
            begun = time.monotonic()
            answer = await engine.ask(query)
            assert time.monotonic() - begun < LIMIT + SCHEDULING
            assert (answer.source, answer.degraded, answer.notice) == (Source.EXTRACT, False, "")
            assert answer.citations == expected.citations
        if fault != "slow":
            assert breaker_state(engine.guards()["cache:redis"]) == "open"


async def test_a_redis_that_is_full_costs_nothing(tmp_path: Path) -> None:
    """A server without room keeps nothing more; answers are as good and as fast as ever."""
    with running_redis("--maxmemory", "1mb", "--maxmemory-policy", "noeviction") as server:
        async with running(tmp_path, server.url) as engine:
            for number in range(5):
                begun = time.monotonic()
                answer = await engine.ask(other(number))
                assert time.monotonic() - begun < LIMIT
                assert (answer.source, answer.degraded) == (Source.EXTRACT, False)
            assert breaker_state(engine.guards()["cache:redis"]) == "closed"


async def test_a_process_goes_on_alone_and_rejoins(tmp_path: Path, server: RedisServer) -> None:
    """Redis lost in the middle: what this process answered it still knows, at once; when Redis is back, both share."""
    async with running(tmp_path, server.url) as one, running(tmp_path, server.url) as two:
        text = (await one.ask(QUESTION)).text
        server.kill()
        assert (await one.ask(QUESTION)).source is Source.CACHE  # from its own memory
        assert (await two.ask(QUESTION)).source is Source.EXTRACT  # that never heard of it
        assert (await two.ask(QUESTION)).source is Source.CACHE
        server.start()
        until = time.monotonic() + 5
        while (await one.ask(other(1))).source is not Source.CACHE:
            assert time.monotonic() < until
        answer = await two.ask(other(1))
        assert (answer.source, answer.text) == (Source.CACHE, (await one.ask(other(1))).text)
        assert text


async def test_a_deleted_document_never_comes_back(tmp_path: Path, server: RedisServer) -> None:
    """A deletion while Redis does not listen succeeds; its answers are not given, here and, once it is told, anywhere.

    Redis is told as soon as it is back, though nobody asks anything.
    """
    async with running(tmp_path, server.url) as one, running(tmp_path, server.url) as two:
        answer = await one.ask(QUESTION)
        (document_id,) = {citation.document_id for citation in answer.citations}
        server.pause()
        begun = time.monotonic()
        assert await one.delete_document(document_id)
        assert time.monotonic() - begun < LIMIT + SCHEDULING
        server.resume()
        telling: Any = one._caches.backends[0]
        await asyncio.wait_for(telling._paying, 20)  # begins a second later
        for engine in (one, two):
            await engine.store.close()  # the last good answer is all that is left
            assert "30 days" not in (await engine.ask(QUESTION)).text
