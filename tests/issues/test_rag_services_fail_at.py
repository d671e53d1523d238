"""What other RAG services fail at, by their issue threads: for each of them, what is true here."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.unit.rag.ingest.world import PROBE, ScriptedEmbedder, quota, refusal, sections, upload, world

from holdfast.errors import InvalidInputError, ProviderError, RejectedError, StoreLockedError, StoreUnavailableError
from holdfast.rag.app import build_engine
from holdfast.rag.ingest.faults import OutageError
from holdfast.rag.injection.kinds import Dependency
from holdfast.rag.settings import load_settings
from holdfast.rag.store.jobs import JobItem, JobState
from holdfast.rag.store.sqlite import FILE_NAME
from holdfast.rag.types import Scope
from holdfast.server.problems import problem_for
from holdfast.telemetry.events import StageFailed
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock
from holdfast.testing.job_conformance import sample_letter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from holdfast.rag.engine import Engine


# -- a hash that was stored before the embedding: the document was skipped for ever ------------------------------------


async def test_a_document_whose_embedding_failed_is_not_taken_for_done(tmp_path: Path) -> None:
    """After a run in which the embedder failed, the same run again stores the document: nothing says it was done."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("A text about parcels.")
    there = world(tmp_path / "data")
    there.embedder.trouble = lambda texts: refusal(400) if PROBE not in texts else None
    report = await there.ingestor.ingest_paths([tmp_path / "docs"])
    assert [each.kind for each in report.failed] == ["bad_request"]
    assert await there.texts() == set()
    there.embedder.trouble = lambda texts: None
    report = await there.ingestor.ingest_paths([tmp_path / "docs"])
    assert (report.added, report.unchanged, report.failed) == (1, 0, ())


async def test_document_chunks_vectors_and_hash_are_one_commit(tmp_path: Path) -> None:
    """A failure in the middle of storing leaves nothing of the document: no row, no words, no vector, no hash."""
    there = world(tmp_path / "data")
    await there.store.open()
    with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME)) as connection:
        connection.execute(
            "CREATE TRIGGER fail BEFORE INSERT ON sentence_vectors BEGIN SELECT RAISE(ABORT, 'the disk is gone'); END"
        )
        connection.commit()
        job_id = await there.job(upload("A text about parcels.", "a"))
        await there.work(lambda: failed_twice(there.recorder.events))
        for table in ("documents", "chunks", "vectors", "sentence_vectors"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
        connection.execute("DROP TRIGGER fail")
        connection.commit()
    assert (await there.finish(job_id)).status is JobState.DONE
    assert await there.texts() == {"A text about parcels."}


async def failed_twice(events: Sequence[object]) -> bool:
    return sum(isinstance(each, StageFailed) for each in events) >= 2


# -- a 429 in the middle: nobody knew what was embedded, and the start was the start -----------------------------------


async def test_a_rate_limit_in_the_middle_costs_a_wait_and_nothing_else(tmp_path: Path) -> None:
    """The Retry-After is honoured, the calls that come later are paced, and no text is embedded twice."""
    (tmp_path / "long.md").write_text(sections(400))
    there = world(tmp_path / "data")
    calls = 0

    def limited(texts: Sequence[str]) -> Exception | None:
        nonlocal calls
        calls += PROBE not in texts
        return refusal(429, retry_after="20") if calls in {3, 4} else None

    there.embedder.trouble = limited
    report = await there.ingestor.ingest_paths([tmp_path / "long.md"])
    assert (report.added, report.failed, report.stopped) == (1, (), "")
    assert len(there.embedder.paid) == len(set(there.embedder.paid))
    assert there.clock.now_ns() >= 20e9


async def test_a_run_that_a_limit_ended_says_what_is_done_and_goes_on_there(tmp_path: Path) -> None:
    """When the limit lasts, the run says so and what is stored; the next run pays for no text again."""
    (tmp_path / "docs").mkdir()
    for n in range(6):
        (tmp_path / "docs" / f"{n}.md").write_text(sections(250, of=f"document {n}"))
    there = world(tmp_path / "data")
    there.embedder.trouble = lambda texts: (
        refusal(429, retry_after="3600") if len(there.embedder.paid) > 1_500 else None
    )
    report = await there.ingestor.ingest_paths([tmp_path / "docs"])
    paid = len(there.embedder.paid)
    assert 0 < report.added < 6
    assert "429" in report.stopped
    assert (await there.store.status()).documents == report.added
    there.embedder.trouble = lambda texts: None
    again = await there.ingestor.ingest_paths([tmp_path / "docs"])
    assert (again.added, again.unchanged, again.stopped) == (6 - report.added, report.added, "")
    assert len(there.embedder.paid) == len(set(there.embedder.paid))
    assert len(there.embedder.paid) > paid


async def test_a_job_that_waits_for_a_limit_says_so(tmp_path: Path) -> None:
    """Over the API one sees how many passages are embedded, and what the job waits for."""
    there = world(tmp_path / "data")
    job_id = await there.job(upload("A text.", "a"), upload(sections(400), "b", name="b.md"))
    there.embedder.trouble = lambda texts: refusal(429, retry_after="3600") if len(there.embedder.paid) > 300 else None

    async def waits() -> bool:
        return (await there.look(job_id)).stage == "wait"

    await there.work(waits)
    job = await there.look(job_id)
    assert (job.status, job.done, job.total, job.documents) == (JobState.RUNNING, 1, 2, 1)
    assert "429" in job.detail
    assert job.chunks >= 1
    there.embedder.trouble = lambda texts: None
    assert (await there.finish(job_id)).status is JobState.DONE
    assert len(there.embedder.paid) == len(set(there.embedder.paid))


# -- failed upserts recorded as done; documents without vectors --------------------------------------------------------


async def test_nothing_is_done_before_it_is(tmp_path: Path) -> None:
    """An item whose upsert fails is open until it is stored, and never a document without vectors."""
    there = world(tmp_path / "data")
    job_id = await there.job(upload("One text.", "a"))
    put = there.store.put
    failures = 0

    async def broken(*args: object, **kwargs: object) -> None:
        nonlocal failures
        failures += 1
        if failures <= 6:
            raise StoreLockedError("Another process is writing: try again.")
        await put(*args, **kwargs)  # type: ignore[arg-type]

    there.store.put = broken  # type: ignore[method-assign]
    await there.work(lambda: failed_twice([*there.recorder.events, *there.recorder.events]))
    job = await there.look(job_id)
    assert (job.status, job.done, job.documents) == (JobState.RUNNING, 0, 0)
    assert (await there.finish(job_id)).status is JobState.DONE
    status = await there.store.status()
    assert status.documents == 1
    assert status.vectors == {there.embedder.id: status.chunks}


@pytest.mark.parametrize(("texts", "state"), [(["good", "bad"], "partial"), (["bad"], "failed"), (["good"], "done")])
async def test_a_job_that_failed_says_so_with_the_reason(tmp_path: Path, texts: list[str], state: str) -> None:
    """Some documents failed: partial; all of them: failed; each with a reason and a kind."""
    there = world(tmp_path / "data")
    there.embedder.trouble = lambda some: refusal(400, "bad text") if any("bad" in each for each in some) else None
    job = await there.finish(await there.job(*(upload(f"A {text} text.", text) for text in texts)))
    assert job.status == state
    assert [(each.document_id, each.kind) for each in job.failures] == [("bad", "bad_request")] * texts.count("bad")
    assert all("bad text" in each.reason for each in job.failures)


# -- one corrupt file or chunk looped for ever, or lost the document ---------------------------------------------------


@pytest.mark.parametrize("status", [400, 413])
async def test_one_bad_passage_costs_its_document_only(tmp_path: Path, status: int) -> None:
    """A call that is refused is halved until the bad text is alone; the neighbours are stored, each paid once."""
    there = world(tmp_path / "data")
    there.embedder.trouble = lambda some: refusal(status) if any("poison" in each for each in some) else None
    items = [upload(f"A harmless text, number {n}.", f"d{n}") for n in range(30)]
    lines = [{"id": f"l{n}", "text": "poison" if n == 17 else f"A line, number {n}."} for n in range(60)]
    payload = "\n".join(map(json.dumps, lines)).encode()
    job = await there.finish(await there.job(*items, JobItem(name="lines.jsonl", payload=payload)))
    assert job.status is JobState.PARTIAL
    assert (await there.store.status()).documents == 30 + 59
    (letter,) = await there.letters()
    assert (letter.document_id, letter.stage, letter.retryable) == ("l17", "embed", True)
    assert "passage 1 of 1" in letter.reason
    assert len(there.embedder.paid) == len(set(there.embedder.paid))
    assert len(there.embedder.asked) < 120


async def test_a_corrupt_file_is_a_dead_letter_and_not_a_loop(tmp_path: Path) -> None:
    """A damaged PDF fails once, with its bytes kept; the job ends, and the other documents are stored."""
    there = world(tmp_path / "data")
    job = await there.finish(
        await there.job(JobItem(name="broken.pdf", payload=b"%PDF-1.7 nothing"), upload("A text.", "a"))
    )
    assert (job.status, job.done) == (JobState.PARTIAL, 2)
    (letter,) = await there.letters()
    assert (letter.kind, letter.stage, letter.tries) == ("unreadable", "read", 1)
    kept = await there.store.dead_letter(letter.id)
    assert kept is not None
    assert kept.item is not None
    assert kept.item.payload == b"%PDF-1.7 nothing"


@pytest.mark.parametrize("where", ["while it is read", "while it is embedded"])
async def test_a_document_that_ends_its_process_is_given_up_in_the_end(tmp_path: Path, where: str) -> None:
    """An item that twenty processes in a row worked on when they ended is a dead letter, and the rest goes on."""
    there = world(tmp_path / "data")
    job_id = await there.job(upload("A text that ends the process.", "a"), upload("Another text.", "b"))
    for _ in range(21):
        assert await there.store.next_job() is not None
        if where == "while it is embedded":
            await there.store.note_progress(job_id, stage="embed")
        there.store.release_job(job_id)  # as the end of the process does
    job = await there.finish(job_id)
    assert (job.status, [(each.document_id, each.kind) for each in job.failures]) == (
        JobState.PARTIAL,
        [("a", "crash")],
    )
    assert await there.texts() == {"Another text."}
    assert [each.retryable for each in await there.letters()] == [True]


# -- the store was found down after everything was paid ----------------------------------------------------------------


async def test_the_store_is_asked_before_embeddings_are_paid(tmp_path: Path) -> None:
    """A store that takes no writes costs no embedding and no parsing, although it can be read."""
    (tmp_path / "a.md").write_text("A text.")
    there = world(tmp_path / "data", busy_timeout=0.01)
    await there.store.open()
    with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Exception, match="Another process is writing") as caught:
            await there.ingestor.ingest_paths([tmp_path / "a.md"])
        assert problem_for(caught.value).status == 503
    assert there.embedder.asked == []


async def test_a_store_that_fails_later_ends_the_run_soon(tmp_path: Path) -> None:
    """A store that stops taking documents ends a run of hundreds of files after a few, and says why."""
    (tmp_path / "docs").mkdir()
    for n in range(300):
        (tmp_path / "docs" / f"{n}.md").write_text(f"A text, number {n}.")
    there = world(tmp_path / "data")

    async def broken(*_: object, **__: object) -> None:
        raise StoreUnavailableError("The disk is full; make room, then try again.")

    there.store.put = broken  # type: ignore[method-assign]
    report = await there.ingestor.ingest_paths([tmp_path / "docs"])
    assert "disk is full" in report.stopped
    assert len(report.failed) == 3
    assert len(there.embedder.paid) <= 2 * 64


# -- a provider's quota was shown as a 500 -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (quota(), "quota"),
        (refusal(401), "auth"),
        (refusal(429), "throttled"),
        (refusal(503), "overloaded"),
        (refusal(500), "transient"),
        (TimeoutError("no answer"), "timeout"),
        (RejectedError("The breaker is open.", retry_after=3.0), "overloaded"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_every_cause_has_its_status_and_its_sentence(tmp_path: Path, error: Exception, kind: str) -> None:
    """An embedder that is down ends a run in its own words, is a 503 over HTTP, and no document is blamed."""
    (tmp_path / "a.md").write_text("A text.")
    there = world(tmp_path / "data")
    there.embedder.trouble = lambda texts: error
    with pytest.raises(OutageError) as caught:
        await there.ingestor.ingest_paths([tmp_path / "a.md"])
    assert (caught.value.kind, caught.value.dependency) == (kind, there.embedder.name)
    assert str(error) in str(caught.value)
    if isinstance(error, ProviderError | RejectedError):
        assert problem_for(error).status == 503
    assert await there.letters() == []


async def test_a_job_says_which_dependency_failed(tmp_path: Path) -> None:
    """The event of a job that stalls names the embedder when the embedder failed, and the store when the store did."""
    there = world(tmp_path / "data")
    job_id = await there.job(upload("A text.", "a"))
    there.embedder.trouble = lambda texts: quota()
    await there.work(lambda: failed_twice([*there.recorder.events] * 2))
    (first,) = there.recorder.of(StageFailed)[:1]
    assert (first.dependency, first.reason_code) == (there.embedder.name, "embedder_unavailable")
    assert "quota" in (await there.look(job_id)).detail
    there.embedder.trouble = lambda texts: None
    there.recorder.clear()

    async def broken(*_: object, **__: object) -> None:
        raise StoreLockedError("Another process is writing.")

    there.store.put = broken  # type: ignore[method-assign]
    await there.work(lambda: failed_twice([*there.recorder.events] * 2))
    (first,) = there.recorder.of(StageFailed)[:1]
    assert (first.dependency, first.reason_code) == ("store:sqlite", "vector_store_unavailable")


# -- orphan vectors, and a dimension that did not fit after the embedder was changed -----------------------------------


async def test_a_changed_embedder_never_meets_the_old_vectors(tmp_path: Path) -> None:
    """Vectors are compared within their space only, whatever the dimension; a question of another space finds none."""
    folder = tmp_path / "data"
    old = world(folder)
    await old.finish(await old.job(upload("Parcels arrive in three days.", "a")))
    for other in (ScriptedEmbedder(space="b"), ScriptedEmbedder(space="b", dimension=32)):
        vector = (await other.embed(["Parcels arrive"], kind="query"))[0]
        assert not await old.store.dense(vector, embedder_id=other.id, k=5, scope=Scope())
    with pytest.raises(InvalidInputError, match="64"):
        await old.store.dense(np.ones(32, np.float32), embedder_id=old.embedder.id, k=5, scope=Scope())


async def test_embedding_anew_changes_document_by_document(tmp_path: Path) -> None:
    """At every moment a document has the vectors of exactly one embedder; interrupted, it goes on; nothing is lost."""
    folder = tmp_path / "data"
    old = world(folder)
    lines = b"\n".join(json.dumps({"id": f"d{n}", "text": f"Text number {n}."}).encode() for n in range(150))
    await old.finish(await old.job(JobItem(name="lines.jsonl", payload=lines)))
    new = world(folder, embedder=ScriptedEmbedder(space="b"))
    new.embedder.trouble = lambda texts: quota() if len(new.embedder.paid) > 70 else None
    report = await new.ingestor.reembed()
    assert 0 < report.changed < 150
    assert "quota" in report.stopped
    records = {each.id: each for each in (await new.store.list(limit=1_000)).documents}
    assert len(records) == 150
    assert {each.embedder_id for each in records.values()} == {old.embedder.id, new.embedder.id}
    question = (await old.embedder.embed(["Text number 149."], kind="query"))[0]
    found = await new.store.dense(question, embedder_id=old.embedder.id, k=200, scope=Scope())
    assert len(found) == 150 - report.changed
    new.embedder.trouble = lambda texts: None
    again = await new.ingestor.reembed()
    assert report.changed + again.changed == 150
    status = await new.store.status()
    assert (status.documents, status.vectors) == (150, {new.embedder.id: status.chunks})
    assert (await new.ingestor.reembed()).changed == 0


ARTICLES = {
    "returns.md": "# Return an item\n\nA return label costs 2.95 pounds per parcel, and we take it off the refund.\n",
    "warranty.md": "# Warranty\n\nSofas and bed frames are covered for twelve years.\n",
}
QUESTION = "What does a return label cost per parcel?"


@dataclass(kw_only=True)
class Service:
    """An engine as the service has it, with an embedder that can be broken."""

    engine: Engine
    embedder: ScriptedEmbedder
    clock: FakeClock
    folder: Path


@asynccontextmanager
async def service(folder: Path) -> AsyncIterator[Service]:
    """The engine with two articles."""
    (folder / "docs").mkdir()
    for name, text in ARTICLES.items():
        (folder / "docs" / name).write_text(text)
    embedder, clock = ScriptedEmbedder(dimension=256), FakeClock()
    settings = load_settings(environ={}, data_dir=folder / "data", embedder="local")
    engine = build_engine(
        settings,
        clock=clock,
        rng=random.Random(7),
        blocking=InlineBlocking(),
        wrap=lambda dependency, part: embedder if dependency is Dependency.EMBEDDER else part,
    )
    await engine.open()
    try:
        await engine.ingestor.ingest_paths([folder / "docs"])
        yield Service(engine=engine, embedder=embedder, clock=clock, folder=folder / "data")
    finally:
        await engine.close()


async def test_deleting_is_total(tmp_path: Path) -> None:
    """A deleted document leaves no row, no word, no vector, no remembered answer and no dead letter."""
    async with service(tmp_path) as there:
        engine = there.engine
        (record,) = [each for each in (await engine.store.list()).documents if "Return" in each.title]
        assert "2.95" in (await engine.ask(QUESTION)).text
        await engine.jobs.bury([sample_letter(record.id)])
        assert await engine.delete_document(record.id)
        assert not await engine.delete_document(record.id)
        answer = await engine.ask(QUESTION)
        assert "2.95" not in answer.text
        assert record.id not in {each.document_id for each in answer.citations}
        assert (await engine.jobs.dead_letters()).letters == []
        status = await engine.store.status()
        assert status.documents == 1
        with closing(sqlite3.connect(there.folder / FILE_NAME)) as connection:
            for table in ("chunks", "vectors", "sentence_vectors"):
                (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
                assert count == status.chunks, table
        with closing(sqlite3.connect(there.folder / "journal.sqlite3")) as connection:
            assert connection.execute("SELECT count(*) FROM vectors").fetchone() == (0,)


async def test_what_was_handed_in_before_a_deletion_stays_deleted(tmp_path: Path) -> None:
    """A document that is deleted while its job is under way does not come back, nor does its dead letter."""
    there = world(tmp_path / "data")
    lines = b"\n".join(json.dumps({"id": f"l{n}", "text": f"Line number {n}."}).encode() for n in range(5))
    job_id = await there.job(
        upload("The named one.", "named"), JobItem(name="lines.jsonl", payload=lines), upload("The last one.", "last")
    )
    there.clock.advance(1)
    assert await there.ingestor.forget("named", collection="default")
    await there.ingestor.forget("l3", collection="default")
    put = there.store.put

    async def put_and_delete(document: object, *args: object, **kwargs: object) -> None:
        await put(document, *args, **kwargs)  # type: ignore[arg-type]
        if getattr(document, "id") == "last":  # noqa: B009
            there.clock.advance(1)
            await there.ingestor.forget("last", collection="default")

    there.store.put = put_and_delete  # type: ignore[method-assign]
    job = await there.finish(job_id)
    assert job.status is JobState.DONE
    assert await there.texts() == {f"Line number {n}." for n in (0, 1, 2, 4)}


# -- a search by words only, silently, for days ------------------------------------------------------------------------


async def test_a_search_by_words_only_says_so(tmp_path: Path) -> None:
    """While the embedder is down every answer is degraded, with the tier and the reason in it."""
    async with service(tmp_path) as there:
        there.embedder.trouble = lambda texts: refusal(503)
        answer = await there.engine.ask(QUESTION)
        assert answer.degraded
        assert "embedder_unavailable" in answer.reasons
        assert answer.tier != "full"
        assert answer.notice


async def test_documents_without_vectors_of_this_embedder_are_told(tmp_path: Path) -> None:
    """A question embedded by another model is answered by words, and says that vectors are missing."""
    async with service(tmp_path) as there:
        there.embedder.space = "b"
        answer = await there.engine.ask(QUESTION)
        assert "vectors_missing" in answer.reasons
        assert "2.95" in answer.text


# -- 48 seconds of retries before the fall-back ------------------------------------------------------------------------


async def test_a_dead_embedder_costs_a_question_little(tmp_path: Path) -> None:
    """A question waits for its embedding for some seconds at most, and is then searched by words."""
    async with service(tmp_path) as there:

        async def hang(texts: Sequence[str], *, kind: str) -> object:
            await there.clock.asleep_ns(48_000_000_000)
            raise AssertionError(texts, kind)

        there.embedder.embed = hang  # type: ignore[method-assign, assignment]
        started = there.clock.now_ns()
        answer = await asyncio.wait_for(there.engine.ask(QUESTION), 30)
        assert "embedder_unavailable" in answer.reasons
        assert (there.clock.now_ns() - started) / 1e9 < 5
