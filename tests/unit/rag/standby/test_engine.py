"""With the store down questions are answered from the copy; with the store back, as before."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rag.conftest import Fault
from tests.unit.rag.scripted import ARTICLES, NONSENSE, QUESTION, Provider

from holdfast.core.events import Events
from holdfast.errors import CircuitOpenError, ConfigError, StoreError, StoreUnavailableError
from holdfast.rag.app import build_engine
from holdfast.rag.health import breaker_state
from holdfast.rag.injection.kinds import Dependency
from holdfast.rag.policies import Policies
from holdfast.rag.query import Query
from holdfast.rag.settings import load_settings
from holdfast.rag.types import Answer, Reason, Source, Tier
from holdfast.telemetry.events import Searched, StageFailed, TierChanged
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from holdfast.rag.engine import Engine
    from holdfast.rag.standby.standby import Standby

GONE = StoreUnavailableError("the server is gone")
REASONS = (Reason.VECTOR_STORE_UNAVAILABLE,)


@dataclass(kw_only=True)
class Desk:
    engine: Engine
    store: Any
    clock: FakeClock
    recorder: EventRecorder
    articles: Path

    @property
    def standby(self) -> Standby:
        assert self.engine.standby is not None
        return self.engine.standby

    async def pass_time(self, seconds: float) -> None:
        """Let the clock run, and whatever waits for it."""
        for _ in range(round(2 * seconds)):
            self.clock.advance(0.5)
            for _ in range(40):
                await asyncio.sleep(0)


@asynccontextmanager
async def desk(
    folder: Path,
    provider: Provider | None = None,
    *,
    policies: Policies | None = None,
    copied: bool = True,
    **settings: Any,
) -> AsyncIterator[Desk]:
    """An engine whose store fails on command, with two documents in it and in the copy."""
    clock, events, stores = FakeClock(), Events(), []

    def wrap(role: Dependency, part: Any) -> Any:
        if role is not Dependency.STORE:
            return part
        stores.append(Fault(part))
        return stores[0]

    chosen: dict[str, Any] = {"embedder": "none", "model": "openai/gpt-4o-mini", **settings}
    engine = build_engine(
        load_settings(environ={}, data_dir=folder / "data", **chosen),
        clock=clock,
        rng=random.Random(7),
        blocking=InlineBlocking(),
        events=events,
        http=provider or Provider(),
        environ={"OPENAI_API_KEY": "sk-openai-secret"},
        wrap=wrap,
        policies=policies or Policies(),
    )
    articles = folder / "articles"
    articles.mkdir()
    for name, text in ARTICLES.items():
        (articles / name).write_text(text)
    await engine.open()
    try:
        await engine.ingestor.ingest_paths([articles])
        if copied and engine.standby is not None:
            assert await engine.standby.catch_up()
        recorder = EventRecorder(events)
        yield Desk(engine=engine, store=stores[0], clock=clock, recorder=recorder, articles=articles)
    finally:
        await engine.close()


async def test_a_new_question_is_answered_while_the_store_is_down(tmp_path: Path) -> None:
    """The model writes from the passages of the copy, cites them exactly, and the answer says what was missing."""
    provider = Provider()
    async with desk(tmp_path, provider) as service:
        text = next(iter(ARTICLES.values()))
        service.store.error = GONE
        answer = await service.engine.ask(QUESTION)
    assert (answer.source, answer.tier, answer.degraded, answer.reasons) == (Source.LIVE, Tier.DEGRADED, True, REASONS)
    assert answer.notice == "The documents could not be searched fully right now."
    assert answer.answered
    citation = answer.citations[0]
    assert text[citation.start : citation.end] == citation.text
    assert "30 days of delivery" in provider.prompt
    found = [event for event in service.recorder.of(Searched) if event.dependency == "store:standby"]
    assert [event.results_count > 0 for event in found] == [True]
    failed = service.recorder.of(StageFailed)
    assert [(event.stage, event.dependency) for event in failed if event.stage == "search"] == [
        ("search", "store:sqlite")
    ]


async def test_a_stream_is_no_different(tmp_path: Path) -> None:
    """The pieces of a streamed answer from the copy make up its text."""
    async with desk(tmp_path) as service:
        service.store.error = GONE
        items = [item async for item in service.engine.stream(QUESTION)]
    answer = items[-1]
    assert isinstance(answer, Answer)
    assert (answer.tier, answer.reasons) == (Tier.DEGRADED, REASONS)
    assert "".join(item for item in items[:-1] if isinstance(item, str)) == answer.text


async def test_a_conversation_is_no_different(tmp_path: Path) -> None:
    """A follow-up question is put with what was said before, and answered from the copy, while the store is down."""
    provider = Provider()
    async with desk(tmp_path, provider) as service:
        service.store.error = GONE
        await service.engine.ask(
            Query(question="How long is the warranty of kitchen appliances?", conversation_id="c1")
        )
        answer = await service.engine.ask(Query(question="And what about a return label?", conversation_id="c1"))
    assert (answer.tier, answer.conversation_id, answer.answered) == (Tier.DEGRADED, "c1", True)
    assert answer.citations
    assert "How long is the warranty" in provider.prompt  # what was said before
    assert Reason.VECTOR_STORE_UNAVAILABLE in answer.reasons


async def test_the_service_is_degraded_and_full_again_when_the_store_is_back(tmp_path: Path) -> None:
    """With the copy at hand an ill store makes the service degraded; probes go on, and make it full again."""
    async with desk(tmp_path, cache_size=0) as service:
        service.store.error = GONE
        for _ in range(5):
            await service.engine.ask(QUESTION)
        assert breaker_state(service.engine.guards()["store:sqlite"]) == "open"
        assert service.engine.tiers.tier is Tier.DEGRADED
        answer = await service.engine.ask(QUESTION)
        assert (answer.source, answer.tier) == (Source.LIVE, Tier.DEGRADED)
        assert answer.answered
        await service.pass_time(60.0)
        assert service.engine.tiers.tier is Tier.DEGRADED
        service.store.error = None
        await service.pass_time(20.0)
        answer = await service.engine.ask(QUESTION)
    assert (answer.tier, answer.reasons) == (Tier.FULL, ())
    moves = [(event.from_tier, event.to_tier) for event in service.recorder.of(TierChanged)]
    assert moves == [("full", "degraded"), ("degraded", "full")]


async def test_with_the_models_down_as_well_the_copy_is_quoted(tmp_path: Path) -> None:
    """When neither store nor model works, sentences of the copy answer."""
    provider = Provider()
    async with desk(tmp_path, provider, cache_size=0) as service:
        service.store.error = GONE
        provider.pieces = [ConnectionRefusedError("nobody is there")]
        for _ in range(6):
            await service.engine.ask(QUESTION)
        assert service.engine.tiers.tier is Tier.MINIMAL
        answer = await service.engine.ask(QUESTION)
    assert (answer.source, answer.tier, answer.answered) == (Source.EXTRACT, Tier.MINIMAL, True)
    assert "30 days" in answer.text


async def test_a_young_answer_comes_before_the_copy_and_an_old_one_behind_it(tmp_path: Path) -> None:
    """Within ``cache_ttl`` the earlier answer is given; after it a new one is made, and it stands in where none is."""
    async with desk(tmp_path, cache_ttl=60.0) as service:
        good = await service.engine.ask(QUESTION)
        service.store.error = GONE
        young = await service.engine.ask(QUESTION)
        assert (young.text, young.source, young.tier) == (good.text, Source.CACHE, Tier.DEGRADED)
        service.clock.advance(120.0)
        assert (await service.engine.ask(QUESTION)).source is Source.LIVE
        for each in (await service.store._part.list()).documents:
            await service.standby.forget(each.id, collection="default")
        stale = await service.engine.ask(QUESTION)
    assert (stale.source, stale.tier) == (Source.STALE_CACHE, Tier.MINIMAL)


async def test_an_answer_from_the_copy_is_not_remembered(tmp_path: Path) -> None:
    """With the store back the question is answered anew, from the store."""
    async with desk(tmp_path) as service:
        service.store.error = GONE
        await service.engine.ask(QUESTION)
        service.store.error = None
        await service.pass_time(20.0)
        answer = await service.engine.ask(QUESTION)
    assert (answer.source, answer.tier) == (Source.LIVE, Tier.FULL)


async def test_what_the_copy_does_not_know_is_as_without_it(tmp_path: Path) -> None:
    """A question that no word of fits, and a collection that nobody asked for, get the polite sentence."""
    async with desk(tmp_path) as service:
        service.store.error = GONE
        for query in (Query(question=NONSENSE), Query(question=QUESTION, collection="other")):
            answer = await service.engine.ask(query)
            assert (answer.source, answer.tier) == (Source.STATIC, Tier.OFFLINE)


async def test_a_copy_that_fails_is_as_none(tmp_path: Path) -> None:
    """A copy that cannot be searched costs nobody an error, and is told."""
    async with desk(tmp_path, faq_file=None) as service:
        service.store.error = GONE
        copy: Any = service.standby

        async def broken(*_args: object, **_options: object) -> Any:
            raise StoreUnavailableError("the disk is gone")

        copy._copy.lexical = broken
        answer = await service.engine.ask(QUESTION)
    assert (answer.source, answer.tier) == (Source.STATIC, Tier.OFFLINE)
    assert "store:standby" in {event.dependency for event in service.recorder.of(StageFailed)}


async def test_a_deleted_document_is_gone_from_the_copy_at_once(tmp_path: Path) -> None:
    """After its deletion no answer cites a document, even when the store fails in the same moment."""
    provider = Provider()
    async with desk(tmp_path, provider) as service:
        cited = (await service.engine.ask(QUESTION)).citations[0].document_id
        assert await service.engine.delete_document(cited)
        service.store.error = GONE
        answer = await service.engine.ask(QUESTION)
        found = await service.engine.search(QUESTION)
    assert "30 days" not in provider.prompt
    assert cited not in {citation.document_id for citation in answer.citations}
    assert cited not in {hit.stored.chunk.document_id for hit in found.hits}


async def test_a_deletion_that_fails_is_forgotten_by_the_copy_all_the_same(tmp_path: Path) -> None:
    """Nobody gets to read what somebody wanted deleted; the store, which still has it, brings it back later."""
    async with desk(tmp_path, cache_size=0) as service:
        cited = (await service.engine.ask(QUESTION)).citations[0].document_id
        service.store.error = GONE
        with pytest.raises(StoreError):
            await service.engine.delete_document(cited)
        assert (await service.engine.ask(QUESTION)).citations[0].document_id != cited
        service.store.error = None
        assert await service.standby.catch_up()
        service.store.error = GONE
        assert (await service.engine.ask(QUESTION)).citations[0].document_id == cited


async def test_the_bare_search_uses_the_copy(tmp_path: Path) -> None:
    """A search without an answer gives the passages of the copy, labelled; without any it raises what failed."""
    async with desk(tmp_path) as service:
        before = await service.engine.search(QUESTION)
        service.store.error = GONE
        found = await service.engine.search(QUESTION)
        with pytest.raises((StoreError, CircuitOpenError)):
            await service.engine.search(NONSENSE)
    assert (found.tier, found.reasons, found.degraded) == (Tier.DEGRADED, REASONS, True)
    assert found.hits[0].stored.chunk.id == before.hits[0].stored.chunk.id


async def test_filters_bound_the_search_of_the_copy(tmp_path: Path) -> None:
    """A filter that no document meets finds nothing in the copy either."""
    async with desk(tmp_path) as service:
        service.store.error = GONE
        with pytest.raises((StoreError, CircuitOpenError)):
            await service.engine.search(Query(question=QUESTION, filters={"lang": "fr"}))


async def test_words_alone_can_be_had_from_the_copy(tmp_path: Path) -> None:
    """Where the store fails at the search by words only, the copy gives the same passages with the same counts."""
    query = Query(question=QUESTION)
    async with desk(tmp_path) as service:
        there = await service.store.lexical(QUESTION, k=5, scope=query.scope)
        counted = await service.store.document_frequency(["days", "delivery"])
        service.store.error = GONE
        found = await service.standby.by_words(query, k=5)
        assert found is not None
        passages, frequencies, count = found
        assert [each.chunk_id for each in passages] == [each.chunk_id for each in there]
        assert count == counted[1]
        assert frequencies["days"] == counted[0]["days"]
        assert await service.standby.by_words(Query(question=QUESTION, collection="other"), k=5) is None


async def nothing(*_args: object, **_options: object) -> list[Any]:
    return []


async def test_where_the_store_finds_nothing_and_should_the_copy_does(tmp_path: Path) -> None:
    """A search index that lost its rows costs no answer: the documents have not changed, and the copy finds them."""
    async with desk(tmp_path) as service:
        service.store._part.lexical = nothing
        answer = await service.engine.ask(QUESTION)
        found = await service.engine.search(QUESTION)
    assert (answer.tier, answer.reasons, answer.answered) == (Tier.DEGRADED, REASONS, True)
    assert answer.citations
    assert (found.tier, len(found.hits) > 0) == (Tier.DEGRADED, True)


async def test_where_the_documents_have_changed_the_store_is_believed(tmp_path: Path) -> None:
    """A store that finds nothing any more after a change is right: the copy is not asked until it is like it."""
    async with desk(tmp_path) as service:
        for each in (await service.store.list()).documents:
            await service.store.delete(each.id)  # as another process does
        answer = await service.engine.ask(QUESTION)
        with_documents = await service.engine.search(QUESTION)
    assert answer.reasons == (Reason.STORE_EMPTY,)
    assert list(with_documents.hits) == []


async def test_a_collection_that_was_asked_is_copied(tmp_path: Path) -> None:
    """Asking a collection that has documents is enough to have it copied soon; one without is not followed."""
    async with desk(tmp_path) as service:
        await service.engine.ingestor.ingest_paths([service.articles], collection="staff")
        query = Query(question=QUESTION, collection="staff")
        await service.engine.ask(query)
        await service.engine.ask(Query(question=QUESTION, collection="no such"))
        await service.pass_time(1.0)
        service.store.error = GONE
        service.clock.advance(400.0)
        answer = await service.engine.ask(query)
        held = service.standby.snapshot().held
    assert (answer.tier, answer.answered) == (Tier.DEGRADED, True)
    assert set(held) == {"default", "staff"}


async def test_health_says_what_is_copied(tmp_path: Path) -> None:
    """The copy has a line of its own: its documents, its age, and what is wrong."""
    async with desk(tmp_path) as service:
        check = (await service.engine.health()).checks["store:standby"]
        assert (check.status, check.breaker) == ("ok", "closed")
        assert check.detail == "a copy of 2 documents; as they were 0 s ago"
        service.store.error = GONE
        await service.standby.catch_up()
        check = (await service.engine.health()).checks["store:standby"]
        assert check.status == "degraded"
        assert "the store does not answer: the server is gone" in check.detail


async def test_it_is_made_in_the_background(tmp_path: Path) -> None:
    """Nobody has to ask for it: some seconds after an ingest the copy has the documents."""
    async with desk(tmp_path, copied=False) as service:
        await service.pass_time(16.0)
        assert service.standby.snapshot().held["default"].documents == 2


@pytest.mark.parametrize("off", [{"standby_megabytes": 0}, {"policies": Policies(standby=False)}])
async def test_it_can_be_switched_off(tmp_path: Path, off: dict[str, Any]) -> None:
    """Without the copy nothing is copied, and an outage is what it was."""
    async with desk(tmp_path, **off) as service:
        assert service.engine.standby is None
        service.store.error = GONE
        answer = await service.engine.ask(QUESTION)
        assert not (tmp_path / "data" / "standby").exists()
    assert (answer.source, answer.tier) == (Source.STATIC, Tier.OFFLINE)


def test_a_size_below_nothing_is_refused() -> None:
    """The setting names itself when it is wrong."""
    with pytest.raises(ConfigError, match="standby_megabytes"):
        load_settings(environ={}, standby_megabytes=-1)
