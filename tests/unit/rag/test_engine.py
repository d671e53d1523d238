"""The path of a question, whole and with every part broken."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import (
    CircuitOpenError,
    InvalidInputError,
    ModelUnavailableError,
    RejectedError,
    StoreError,
    StoreUnavailableError,
)
from holdfast.rag.health import breaker_state
from holdfast.rag.query import Query
from holdfast.rag.types import Answer, Reason, Source, Tier
from holdfast.telemetry.events import (
    AnswerGenerated,
    AnswerReturned,
    CacheLookup,
    QuestionEmbedded,
    QuestionReceived,
    Searched,
    StageFailed,
    TierChanged,
)

if TYPE_CHECKING:
    from tests.unit.rag.conftest import MakeEngine, Parts

QUESTION = Query(question="Within how many days of delivery can most products be sent back?")
GONE = StoreUnavailableError("the disk is gone")


async def ready(make_engine: MakeEngine, **options: object) -> Parts:
    parts = make_engine(**options)
    await parts.engine.open()
    report = await parts.engine.ingestor.ingest_paths([parts.documents])
    assert report.added == 2
    return parts


async def test_a_question_is_answered_with_citations_into_the_document(make_engine: MakeEngine) -> None:
    """The answer quotes the document, and its citation's span is exactly the cited text."""
    parts = await ready(make_engine)
    answer = await parts.engine.ask(QUESTION)
    assert "30 days" in answer.text
    assert (answer.source, answer.tier, answer.degraded) == (Source.EXTRACT, Tier.FULL, False)
    citation = answer.citations[0]
    document = await parts.store.get(citation.document_id)
    assert document.text[citation.start : citation.end] == citation.text
    assert citation.title == "Return an item"
    assert {"cache", "embed", "search", "answer", "total"} <= set(answer.timings_ms)


async def test_a_question_may_be_a_plain_string(make_engine: MakeEngine) -> None:
    """A string is a question to the default collection, checked like any other."""
    parts = await ready(make_engine)
    assert "30 days" in (await parts.engine.ask(QUESTION.question)).text
    with pytest.raises(InvalidInputError, match="question: is empty"):
        await parts.engine.ask("  ")


async def test_the_life_of_a_question_is_told_in_order(make_engine: MakeEngine) -> None:
    """Every stage is told once, under the request's id, from received to returned."""
    parts = await ready(make_engine)
    parts.recorder.events.clear()
    answer = await parts.engine.ask(QUESTION)
    told = [e for e in parts.recorder.events if e.correlation_id == answer.request_id]
    stages = (QuestionReceived, CacheLookup, QuestionEmbedded, Searched, AnswerGenerated, AnswerReturned)
    assert [type(e) for e in told if isinstance(e, stages)] == list(stages)


async def test_the_same_question_is_answered_from_the_cache_until_the_documents_change(make_engine: MakeEngine) -> None:
    """A cached answer is served with its age, and a changed document makes it useless at once."""
    parts = await ready(make_engine)
    first = await parts.engine.ask(QUESTION)
    parts.clock.advance(7.0)
    again = await parts.engine.ask(QUESTION)
    assert (again.source, again.age_seconds, again.text) == (Source.CACHE, 7.0, first.text)
    assert again.tier is Tier.FULL
    (parts.documents / "returns.md").write_text("# Return an item\n\nProducts can be sent back within 45 days.\n")
    await parts.engine.ingestor.ingest_paths([parts.documents])
    changed = await parts.engine.ask(QUESTION)
    assert changed.source is Source.EXTRACT
    assert "45 days" in changed.text


async def test_a_cached_answer_expires(make_engine: MakeEngine) -> None:
    """An answer older than cache_ttl is made anew."""
    parts = await ready(make_engine, cache_ttl=60.0)
    await parts.engine.ask(QUESTION)
    parts.clock.advance(61.0)
    assert (await parts.engine.ask(QUESTION)).source is Source.EXTRACT


async def test_a_broken_cache_is_not_noticed(make_engine: MakeEngine) -> None:
    """With the cache down an answer is as good as ever, and operators are told."""
    parts = await ready(make_engine)
    parts.cache.error = ConnectionError("no cache")
    answer = await parts.engine.ask(QUESTION)
    assert (answer.source, answer.degraded, answer.notice) == (Source.EXTRACT, False, "")
    codes = [e.reason_code for e in parts.recorder.events if isinstance(e, StageFailed)]
    assert codes == [Reason.CACHE_UNAVAILABLE, Reason.CACHE_UNAVAILABLE]  # the look-up and the write


async def test_without_a_cache_nothing_is_remembered(make_engine: MakeEngine) -> None:
    """A service without a cache answers every question anew."""
    parts = await ready(make_engine, cache=None)
    await parts.engine.ask(QUESTION)
    assert (await parts.engine.ask(QUESTION)).source is Source.EXTRACT


@pytest.mark.parametrize(
    "error", [ModelUnavailableError("run `holdfast model`"), ConnectionError("refused"), ValueError("x")]
)
async def test_without_the_embedder_the_search_goes_by_words(make_engine: MakeEngine, error: Exception) -> None:
    """Whatever is wrong with the embedder, the question is answered by words, labelled so."""
    parts = await ready(make_engine)
    parts.embedder.error = error
    answer = await parts.engine.ask(QUESTION)
    assert "30 days" in answer.text
    assert (answer.tier, answer.degraded, answer.reasons) == (Tier.DEGRADED, True, (Reason.EMBEDDER_UNAVAILABLE,))
    assert "by its words only" in answer.notice
    assert answer.quality == 0.75


async def test_a_degraded_answer_is_not_kept(make_engine: MakeEngine) -> None:
    """An answer made without the embedder is not served from the cache once the embedder is back."""
    parts = await ready(make_engine)
    parts.embedder.error = ConnectionError("refused")
    await parts.engine.ask(QUESTION)
    parts.embedder.error = None
    answer = await parts.engine.ask(QUESTION)
    assert (answer.source, answer.tier) == (Source.EXTRACT, Tier.FULL)


async def test_words_only_by_choice_is_not_degraded(make_engine: MakeEngine) -> None:
    """An operator who switches the embedder off gets full answers by words."""
    parts = await ready(make_engine, embedder=None)
    answer = await parts.engine.ask(QUESTION)
    assert "30 days" in answer.text
    assert (answer.tier, answer.reasons) == (Tier.FULL, ())


async def test_documents_without_vectors_are_told(make_engine: MakeEngine) -> None:
    """Documents that were ingested before the model was there are found by words, and the answer says why."""
    parts = make_engine()
    parts.embedder.error = ModelUnavailableError("run `holdfast model`")
    await parts.engine.open()
    report = await parts.engine.ingestor.ingest_paths([parts.documents])
    assert not report.embedded
    parts.embedder.error = None
    assert (await parts.engine.ask(QUESTION)).reasons == (Reason.VECTORS_MISSING,)
    again = await parts.engine.ingestor.ingest_paths([parts.documents])
    assert again.changed == 2
    assert (await parts.engine.ask(QUESTION)).reasons == ()


async def test_with_the_store_down_the_last_good_answer_is_served(make_engine: MakeEngine) -> None:
    """A question that was answered before gets that answer with its age; another one gets a polite sentence."""
    parts = await ready(make_engine, cache_ttl=60.0, stale_ttl=600.0)
    good = await parts.engine.ask(QUESTION)
    parts.store.error = GONE
    young = await parts.engine.ask(QUESTION)
    assert (young.text, young.source, young.tier) == (good.text, Source.CACHE, Tier.DEGRADED)
    assert young.reasons == (Reason.VECTOR_STORE_UNAVAILABLE,)
    parts.clock.advance(120.0)
    stale = await parts.engine.ask(QUESTION)
    assert (stale.source, stale.tier) == (Source.STALE_CACHE, Tier.MINIMAL)
    assert "2 minutes old" in stale.notice
    parts.clock.advance(600.0)
    assert (await parts.engine.ask(QUESTION)).tier is Tier.OFFLINE


async def test_with_the_store_down_an_unknown_question_gets_a_polite_sentence(make_engine: MakeEngine) -> None:
    """With nothing to fall back on, the answer says when to try again and whom to contact, and no more."""
    parts = await ready(make_engine)
    parts.store.error = GONE
    answer = await parts.engine.ask(Query(question="Is there a warranty?"))
    assert (answer.source, answer.tier, answer.quality) == (Source.STATIC, Tier.OFFLINE, 0.0)
    assert "help@shop.example" in answer.text
    assert "disk" not in answer.text
    assert Reason.SERVICE_UNAVAILABLE in answer.reasons


async def pass_time(parts: Parts, seconds: float) -> None:
    """Let the clock run, and whatever waits for it."""
    for _ in range(round(seconds)):
        parts.clock.advance(1.0)
        for _ in range(30):
            await asyncio.sleep(0)


async def test_the_service_climbs_back_by_itself(make_engine: MakeEngine) -> None:
    """After an outage that opened the breaker, a question asked 20 s after the repair is answered in full."""
    parts = await ready(make_engine, cache=None)
    parts.store.error = GONE
    for _ in range(5):
        await parts.engine.ask(QUESTION)
    assert breaker_state(parts.engine.guards()["store:sqlite"]) == "open"
    asked = parts.store.calls
    await parts.engine.ask(QUESTION)
    assert parts.store.calls == asked  # an open breaker spares the store
    await pass_time(parts, 60.0)
    assert (await parts.engine.health()).tier is Tier.OFFLINE  # there is no cache, and no list of questions
    parts.store.error = None
    await pass_time(parts, 20.0)
    assert (await parts.engine.ask(QUESTION)).tier is Tier.FULL
    moves = [(e.from_tier, e.to_tier) for e in parts.recorder.events if isinstance(e, TierChanged)]
    assert moves == [("full", "offline"), ("offline", "minimal"), ("minimal", "degraded"), ("degraded", "full")]
    await parts.engine.close()


async def test_the_folder_may_be_deleted_while_running(make_engine: MakeEngine) -> None:
    """With the store's folder deleted the service degrades; ingested again, it answers in full without a restart."""
    parts = await ready(make_engine)
    await parts.engine.ask(QUESTION)
    shutil.rmtree(parts.folder)
    assert (await parts.engine.ask(QUESTION)).source is Source.CACHE
    assert (await parts.engine.ask(Query(question="Is there a warranty?"))).tier is Tier.OFFLINE
    await parts.engine.ingestor.ingest_paths([parts.documents])
    await pass_time(parts, 20.0)
    answer = await parts.engine.ask(QUESTION)
    assert answer.tier is Tier.FULL
    await parts.engine.close()


async def test_a_deleted_document_is_not_quoted_in_an_outage(make_engine: MakeEngine) -> None:
    """After its deletion no remembered answer cites a document, even when the store is down."""
    parts = await ready(make_engine)
    cited = (await parts.engine.ask(QUESTION)).citations[0].document_id
    assert await parts.engine.delete_document(cited)
    parts.store.error = GONE
    assert (await parts.engine.ask(QUESTION)).tier is Tier.OFFLINE


async def test_a_large_document_may_take_its_time_to_be_deleted(make_engine: MakeEngine) -> None:
    """A deletion that takes ten seconds succeeds: the two seconds that a question has are not for it."""
    parts = await ready(make_engine)

    async def slow(document_id: str, *, collection: str) -> bool:
        await parts.clock.asleep_ns(10_000_000_000)
        return True

    parts.store._part.delete = slow
    assert await parts.engine.delete_document("large")


async def test_a_clock_set_back_makes_no_answer_young(make_engine: MakeEngine) -> None:
    """An answer from the future has no known age and is not served."""
    parts = await ready(make_engine)
    await parts.engine.ask(QUESTION)
    wall_ns = parts.clock.wall_ns
    parts.clock.wall_ns = lambda: wall_ns() - 3_600_000_000_000  # type: ignore[method-assign]
    assert (await parts.engine.ask(QUESTION)).source is Source.EXTRACT


async def test_words_that_cannot_be_searched_are_not_an_empty_store(make_engine: MakeEngine) -> None:
    """When the search by words fails and there are no vectors, the store is down and not empty."""
    parts = make_engine()
    parts.embedder.error = ModelUnavailableError("run `holdfast model`")
    await parts.engine.open()
    await parts.engine.ingestor.ingest_paths([parts.documents])
    parts.embedder.error = None

    async def broken(*args: object, **kwargs: object) -> list[object]:
        raise GONE

    parts.store._part.lexical = broken
    answer = await parts.engine.ask(QUESTION)
    assert (answer.tier, answer.reasons[0]) == (Tier.OFFLINE, Reason.VECTOR_STORE_UNAVAILABLE)


async def test_one_caller_does_not_move_the_tier_of_the_service(make_engine: MakeEngine) -> None:
    """A collection that holds nothing lowers the tier of its own answer and of nobody else's."""
    parts = await ready(make_engine)
    answer = await parts.engine.ask(Query(question="Anyone there?", collection="nope"))
    assert answer.tier is Tier.MINIMAL
    assert (await parts.engine.health()).tier is Tier.FULL
    assert not [e for e in parts.recorder.events if isinstance(e, TierChanged)]


async def test_more_questions_than_the_line_holds_are_refused(make_engine: MakeEngine) -> None:
    """Questions wait in a bounded line; what does not fit into it is refused, and nothing else suffers."""
    parts = await ready(make_engine, cache=None)
    release = asyncio.Event()
    answer_now = parts.answerer._part.answer

    async def slow(request: object) -> object:
        await release.wait()
        return await answer_now(request)

    parts.answerer._part.answer = slow
    questions = [replace(QUESTION, filters={"number": number}) for number in range(600)]
    tasks = [asyncio.create_task(parts.engine.ask(each)) for each in questions]
    for _ in range(2_000):
        await asyncio.sleep(0)
    release.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, RejectedError)]
    answered = [each for each in outcomes if isinstance(each, Answer)]
    assert (len(refused), len(answered)) == (600 - 508, 508)
    assert {each.tier for each in answered} == {Tier.FULL}


async def test_a_health_check_does_not_wait_for_ever(make_engine: MakeEngine) -> None:
    """A store that hangs is unavailable after two seconds."""
    parts = await ready(make_engine)

    async def hang() -> object:
        await asyncio.Event().wait()
        raise AssertionError

    parts.store._part.status = hang
    check = asyncio.create_task(parts.engine.health())
    while not check.done():
        await asyncio.sleep(0)
        parts.clock.advance(0.1)
    assert (await check).checks["store:sqlite"].status == "unavailable"


async def test_an_embedder_that_hangs_does_not_keep_the_service_from_starting(make_engine: MakeEngine) -> None:
    """Opening ends in time though the embedder never answers, and questions are answered by their words."""
    parts = await ready(make_engine)
    await parts.engine.tiers.close()

    async def hang(*_args: object, **_options: object) -> object:
        await asyncio.Event().wait()
        raise AssertionError

    parts.embedder._part.embed = hang
    opening = asyncio.create_task(parts.engine.open())
    while not opening.done():
        await asyncio.sleep(0)
        parts.clock.advance(0.5)
    await opening
    assert parts.clock.now_ns() < 60 * 10**9


async def test_with_the_answerer_down_the_passages_are_the_answer(make_engine: MakeEngine) -> None:
    """When no answer can be composed, the best passages are quoted word for word."""
    parts = await ready(make_engine)
    parts.answerer.error = RuntimeError("bug")
    answer = await parts.engine.ask(QUESTION)
    assert "30 days" in answer.text
    assert (answer.tier, answer.reasons) == (Tier.MINIMAL, (Reason.ANSWERER_UNAVAILABLE,))
    assert answer.citations[0].text in answer.text


async def test_an_empty_store_says_so(make_engine: MakeEngine) -> None:
    """Before anything was ingested the answer says that, and names the collection."""
    parts = make_engine()
    await parts.engine.open()
    answer = await parts.engine.ask(Query(question="Anyone there?", collection="handbook"))
    assert "“handbook”" in answer.text
    assert (answer.source, answer.reasons) == (Source.STATIC, (Reason.STORE_EMPTY,))


async def test_a_stream_ends_with_the_whole_answer(make_engine: MakeEngine) -> None:
    """The pieces of a stream make up the text of the answer that comes last."""
    parts = await ready(make_engine)
    items = [item async for item in parts.engine.stream(QUESTION)]
    answer = items[-1]
    assert isinstance(answer, Answer)
    assert "".join(item for item in items[:-1] if isinstance(item, str)) == answer.text


async def test_search_raises_what_failed_in_the_store(make_engine: MakeEngine) -> None:
    """The bare search has nothing to fall back on: it raises the store's error, then that of the open breaker."""
    parts = await ready(make_engine)
    parts.store.error = GONE
    with pytest.raises(StoreError, match="the disk is gone"):
        await parts.engine.search(QUESTION)
    while breaker_state(parts.engine.guards()["store:sqlite"]) != "open":
        with pytest.raises((StoreError, CircuitOpenError)):
            await parts.engine.search(QUESTION)
    with pytest.raises(CircuitOpenError):
        await parts.engine.search(QUESTION)


async def test_filters_and_collections_bound_the_search(make_engine: MakeEngine) -> None:
    """Another collection finds nothing, and a filter that no document meets finds nothing."""
    parts = await ready(make_engine)
    other = await parts.engine.search(Query(question="warranty", collection="other"))
    filtered = await parts.engine.search(Query(question="warranty", filters={"lang": "fr"}))
    assert (list(other.hits), list(filtered.hits)) == ([], [])
    assert len((await parts.engine.search(Query(question="warranty", top_k=1))).hits) == 1


async def test_questions_can_be_asked_side_by_side(make_engine: MakeEngine) -> None:
    """Many questions at once each get their own request id and their own answer."""
    parts = await ready(make_engine)
    answers = await asyncio.gather(
        *(
            parts.engine.ask(Query(question=f"How many years of warranty do kitchen appliances carry? {n}"))
            for n in range(20)
        )
    )
    assert len({answer.request_id for answer in answers}) == 20
    assert all("years" in answer.text for answer in answers)


async def test_health_names_what_is_wrong(make_engine: MakeEngine) -> None:
    """Health is ok when everything is, degraded with the failing part's own sentence, unavailable when closed."""
    parts = await ready(make_engine)
    health = await parts.engine.health()
    assert (health.status, health.checks["store:sqlite"].detail) == ("ok", "2 documents, 3 chunks")
    parts.store.error = GONE
    parts.embedder.error = ModelUnavailableError("run `holdfast model`")
    health = await parts.engine.health()
    assert health.status == "degraded"
    assert health.checks["store:sqlite"].status == "unavailable"
    assert health.checks["store:sqlite"].detail == "the disk is gone"
    assert health.checks["embedder:hash"].detail == "run `holdfast model`"
    await parts.engine.close()
    assert (await parts.engine.health()).status == "unavailable"
