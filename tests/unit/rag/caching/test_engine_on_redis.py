"""The engine with its answers in a real Redis that fails: nobody who asks notices."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.integration.redis_server import RedisServer, running_redis

from holdfast.errors import StateUnavailableError
from holdfast.rag.caching.answers import BackedAnswerCache
from holdfast.rag.query import Query
from holdfast.rag.types import Source
from holdfast.state.redis import RedisCache
from holdfast.state.redis_client import RedisClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.unit.rag.conftest import MakeEngine, Parts

pytestmark = pytest.mark.process

QUESTION = Query(question="Within how many days of delivery can most products be sent back?")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
async def parts(make_engine: MakeEngine, server: RedisServer) -> AsyncIterator[Parts]:
    backend = RedisCache(RedisClient(server.url))
    parts = make_engine(cache=BackedAnswerCache(backend))
    await parts.engine.open()
    await parts.engine.ingestor.ingest_paths([parts.documents])
    yield parts
    await parts.engine.close()
    await backend.close()


async def source_of(parts: Parts) -> Source:
    return (await parts.engine.ask(QUESTION)).source


async def test_answers_come_from_redis(parts: Parts) -> None:
    """The second time a question is asked its answer comes from the cache, whole."""
    first = await parts.engine.ask(QUESTION)
    again = await parts.engine.ask(QUESTION)
    assert (first.source, again.source) == (Source.EXTRACT, Source.CACHE)
    assert (again.text, again.citations) == (first.text, first.citations)


@pytest.mark.parametrize("fault", ["kill", "pause"])
async def test_a_redis_that_fails_is_not_noticed(parts: Parts, server: RedisServer, fault: str) -> None:
    """With Redis down or paused every answer is a new one, whole, and at most two waits of 0.2 s later."""
    expected = (await parts.engine.ask(QUESTION)).text
    getattr(server, fault)()
    for _ in range(8):
        begun = time.monotonic()
        answer = await parts.engine.ask(QUESTION)
        assert time.monotonic() - begun < 0.6
        assert (answer.source, answer.text, answer.degraded) == (Source.EXTRACT, expected, False)
    if fault == "kill":
        server.start()
    else:
        server.resume()
    parts.clock.advance(10)
    seen = {await source_of(parts) for _ in range(10)}
    assert Source.CACHE in seen


async def test_a_deleted_document_never_comes_back(parts: Parts, server: RedisServer) -> None:
    """What was forgotten while Redis did not listen is not given when it listens again, and the store is down."""
    answer = await parts.engine.ask(QUESTION)
    (document_id,) = {citation.document_id for citation in answer.citations}
    server.pause()
    with pytest.raises(StateUnavailableError):
        await parts.cache.forget(document_id)
    server.resume()
    parts.store.error = OSError("down")
    assert answer.text not in (await parts.engine.ask(QUESTION)).text
