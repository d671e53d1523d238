"""Which caches an engine gets from its settings."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core.events import Events
from holdfast.errors import ConfigError, StateUnavailableError
from holdfast.rag.cache import CachedAnswer
from holdfast.rag.caching.caches import Caches, build_caches, cache_name
from holdfast.rag.narrator import Narrator
from holdfast.rag.settings import Settings, load_settings
from holdfast.rag.types import Answer, Citation, Reason, Source, Tier
from holdfast.state.guard import cache_guard
from holdfast.state.memory import MemoryCache
from holdfast.state.shared import SharedCache
from holdfast.telemetry.events import StageFailed
from holdfast.testing.clock import FakeClock
from holdfast.testing.embedders import HashEmbedder
from holdfast.testing.events import EventRecorder

if TYPE_CHECKING:
    from holdfast.state.base import CacheBackend

NOWHERE = "redis://127.0.0.1:1/0"


def settings(**values: Any) -> Settings:
    return load_settings(environ={}, **values)


def built(configured: Settings, *, events: Events | None = None, embedder: bool = True, **options: Any) -> Caches:
    clock, events = FakeClock(), events or Events()
    return build_caches(
        configured,
        embedder=HashEmbedder(dimension=8) if embedder else None,
        guard=cache_guard(cache_name(configured), clock=clock, rng=random.Random(1), events=events),
        narrator=Narrator(events, clock),
        clock=clock,
        **{"remote_embedder": False, **options},
    )


def kinds(caches: Caches) -> list[str]:
    """The backends, in the order of answers, vectors, results, document vectors."""
    return [type(backend).__name__ for backend in caches.backends]


def test_in_memory() -> None:
    """Without a server all caches are in memory, but for vectors of documents; questions in other words are others."""
    caches = built(settings())
    assert kinds(caches) == ["MemoryCache"] * 3
    assert caches.answers is not None
    assert caches.answers.name == "cache:memory"
    assert caches.vectors is not None
    assert caches.results is not None
    assert (caches.document_vectors, caches.semantic) == (None, None)


@pytest.mark.parametrize("remote", [True, False])
async def test_through_redis(*, remote: bool) -> None:
    """With a server all go there, but for vectors of questions that this machine makes faster than a call takes."""
    configured = settings(redis_url=NOWHERE)
    caches = built(configured, remote_embedder=remote)
    assert kinds(caches) == ["SharedCache", "SharedCache" if remote else "MemoryCache", "SharedCache", "SharedCache"]
    assert cache_name(configured) == "cache:redis"
    assert caches.answers is not None
    assert caches.answers.name == "cache:redis"
    assert caches.document_vectors is not None
    await caches.close()


@pytest.mark.parametrize("url", [None, NOWHERE])
def test_no_caches(url: str | None) -> None:
    """A size of 0 switches all of them off, with a server too."""
    configured = settings(cache_size=0, redis_url=url, semantic_cache=True)
    assert built(configured) == Caches()
    assert cache_name(configured) == "cache:memory"


def test_by_words_only() -> None:
    """Without an embedder there are no vectors to remember, and no questions in other words."""
    caches = built(settings(semantic_cache=True, redis_url=NOWHERE), embedder=False)
    assert (caches.vectors, caches.document_vectors, caches.semantic) == (None, None, None)
    assert caches.results is not None


def test_the_semantic_cache_is_a_setting() -> None:
    """Questions in other words are recognised when the setting says so."""
    assert built(settings(semantic_cache=True)).semantic is not None


async def test_the_size_is_that_of_the_answers() -> None:
    """No more than cache_size answers are kept, the least recently used goes; nothing else pushes one out."""
    caches = built(settings(cache_size=2))
    answers = caches.answers
    assert answers is not None
    for key in "abc":
        await answers.put(key, CachedAnswer(answer=answer(), generation=1, stored_ns=0))
    assert [await answers.get(key) is not None for key in "abc"] == [False, True, True]
    await caches.close()


async def test_the_process_goes_on_alone_and_says_so() -> None:
    """With the server away answers are kept in the process, the failure is told, and a deletion stays owed."""
    events = Events()
    recorder = EventRecorder(events, StageFailed)
    caches = built(settings(redis_url=NOWHERE), events=events)
    answers = caches.answers
    assert answers is not None
    await answers.put("k", CachedAnswer(answer=answer(), generation=1, stored_ns=0))
    assert await answers.get("k") is not None
    assert answers.alone
    assert {(e.stage, e.dependency, e.reason_code) for e in recorder.of(StageFailed)} == {
        ("cache", "cache:redis", Reason.CACHE_UNAVAILABLE)
    }
    with pytest.raises(StateUnavailableError):
        await answers.forget("d")
    assert await answers.get("k") is None
    await caches.close()


async def test_faults_on_purpose_have_a_spare_behind_them() -> None:
    """What is put in front of the caches stands in front of memory, too, and behind it is a spare."""
    wrapped: list[CacheBackend] = []

    def wrap(backend: CacheBackend) -> CacheBackend:
        wrapped.append(backend)
        return backend

    caches = built(settings(), wrap=wrap)
    assert kinds(caches) == ["SharedCache"] * 3
    assert [type(each) for each in wrapped] == [MemoryCache] * 3
    wrapped.clear()
    caches = built(settings(redis_url=NOWHERE), wrap=wrap)
    assert [each.name for each in wrapped] == ["cache:redis", "cache:memory"]
    assert isinstance(caches.backends[0], SharedCache)
    await caches.close()


@pytest.mark.parametrize("namespace", ["", "with space", "x" * 65, "a:b", "a\n"])
def test_a_namespace_of_other_characters_is_refused(namespace: str) -> None:
    """A namespace that could be mistaken for a part of a key is refused when the settings are read."""
    with pytest.raises(ConfigError, match=r"redis_namespace.*must be 1 to 64 letters"):
        settings(redis_namespace=namespace)


def answer() -> Answer:
    citation = Citation(document_id="d", chunk_id="d/1", title="", uri="", text="", start=0, end=0, score=1.0)
    return Answer(text="30 days", source=Source.LIVE, tier=Tier.FULL, citations=(citation,))
