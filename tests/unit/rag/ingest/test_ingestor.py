"""Ingest: what is stored, what is skipped, and what a second run does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import DependencyError, ModelUnavailableError, StoreLockedError, StoreUnavailableError
from holdfast.rag.chunking import ChunkOptions
from holdfast.rag.query import Query
from holdfast.rag.store.jobs import JobItem, JobState
from holdfast.telemetry.events import DocumentIngested, DocumentSkipped, JobFinished, StageFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.rag.conftest import MakeEngine, Parts

    from holdfast.rag.ingest import IngestReport


def counts(report: IngestReport) -> tuple[int, int, int]:
    return report.added, report.changed, report.unchanged


async def test_a_second_run_does_nothing(make_engine: MakeEngine) -> None:
    """Documents that are stored as they are cost neither chunking nor embedding."""
    parts = make_engine()
    assert counts(await parts.engine.ingestor.ingest_paths([parts.documents])) == (2, 0, 0)
    before, generation = parts.embedder.calls, await parts.store.generation()
    report = await parts.engine.ingestor.ingest_paths([parts.documents])
    assert counts(report) == (0, 0, 2)
    assert parts.embedder.calls == before + 1  # the look whether the embedder is there
    assert await parts.store.generation() == generation


async def test_a_changed_file_replaces_its_chunks(make_engine: MakeEngine) -> None:
    """After a change only the new text is found, and the other document is left alone."""
    parts = make_engine()
    await parts.engine.ingestor.ingest_paths([parts.documents])
    (parts.documents / "warranty.md").write_text("# Warranty\n\nEverything is covered for seven years.\n")
    assert counts(await parts.engine.ingestor.ingest_paths([parts.documents])) == (0, 1, 1)
    hits = (await parts.engine.search(Query(question="warranty of sofas and bed frames covered years"))).hits
    text = " ".join(hit.stored.chunk.text for hit in hits)
    assert "seven years" in text
    assert "twelve years" not in text


async def test_other_chunk_sizes_make_other_chunks(make_engine: MakeEngine) -> None:
    """After the sizes of chunks were changed, the next run cuts every document anew."""
    parts = make_engine()
    await parts.engine.ingestor.ingest_paths([parts.documents])
    writer = parts.engine.ingestor._writer._preparer
    writer._chunk_options = ChunkOptions(target_chars=300, max_chars=400, min_chars=50)
    assert counts(await parts.engine.ingestor.ingest_paths([parts.documents])) == (0, 2, 0)


async def test_plain_text_is_quoted_as_it_stands(make_engine: MakeEngine) -> None:
    """What looks like Markdown in a plain text file is text: it is quoted with its signs."""
    parts = make_engine()
    (parts.documents / "formula.txt").write_text("The volume of a parcel is width*height*depth in litres.\n")
    await parts.engine.ingestor.ingest_paths([parts.documents / "formula.txt"])
    answer = await parts.engine.ask(Query(question="What is the volume of a parcel in litres?"))
    assert "width*height*depth" in answer.text


async def test_what_cannot_be_read_is_named_and_the_rest_is_stored(make_engine: MakeEngine) -> None:
    """Empty, binary, wrongly encoded, too large and missing files are skipped with reasons; the rest is stored."""
    parts = make_engine()
    (parts.documents / "empty.md").write_text("")
    (parts.documents / "binary.txt").write_bytes(bytes(range(256)) * 4)
    (parts.documents / "latin.md").write_bytes("Größe und Maß".encode("latin-1"))
    (parts.documents / "broken.pdf").write_bytes(b"%PDF-1.7 nothing more")
    (parts.documents / "large.txt").write_text("word " * 30_000)
    (parts.documents / "photo.jpeg").write_bytes(b"\xff\xd8")
    report = await parts.engine.ingestor.ingest_paths([parts.documents, Path("/nowhere/at/all")])
    assert counts(report) == (2, 0, 0)
    names = {Path(problem.uri).name for problem in report.skipped}
    assert names == {"empty.md", "binary.txt", "latin.md", "broken.pdf", "large.txt", "all"}
    assert all(problem.reason.endswith(".") for problem in report.skipped)
    assert report.ignored == {".jpeg": 1}
    told = {e.uri for e in parts.recorder.events if isinstance(e, DocumentSkipped)}
    assert told == {problem.uri for problem in report.skipped}


async def test_two_documents_of_one_id_are_not_silently_one(make_engine: MakeEngine) -> None:
    """A second document under an id that this run already used is reported, and the first one stays."""
    parts = make_engine()
    for name, text in (("one", "The first text."), ("two", "The second text.")):
        (parts.documents / f"{name}.jsonl").write_text(f'{{"id": "a", "text": "{text}"}}\n')
    report = await parts.engine.ingestor.ingest_paths([parts.documents / "one.jsonl", parts.documents / "two.jsonl"])
    assert report.added == 1
    assert "already" in report.skipped[0].reason


async def test_one_bad_document_does_not_take_its_neighbours_down(make_engine: MakeEngine) -> None:
    """A batch that cannot be embedded is halved until only the bad document is left out; the next run tries it."""
    parts = make_engine()
    embed = parts.embedder._part.embed

    async def picky(texts: list[str], *, kind: str) -> object:
        if any("poison" in text for text in texts):
            raise DependencyError("this text cannot be embedded")
        return await embed(texts, kind=kind)

    parts.embedder._part.embed = picky
    for n in range(5):
        (parts.documents / f"note{n}.txt").write_text("poison\n" if n == 3 else f"A harmless note, number {n}.\n")
    report = await parts.engine.ingestor.ingest_paths([parts.documents])
    assert report.added == 6
    assert [(Path(p.uri).name, "could not be embedded" in p.reason) for p in report.failed] == [("note3.txt", True)]
    parts.embedder._part.embed = embed
    assert counts(await parts.engine.ingestor.ingest_paths([parts.documents])) == (1, 0, 6)


async def test_a_store_that_is_not_there_costs_nothing(make_engine: MakeEngine, tmp_path: Path) -> None:
    """The store is looked at before anything is read or embedded."""
    parts = make_engine()
    parts.folder.parent.mkdir(exist_ok=True)
    parts.folder.write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailableError):
        await parts.engine.ingestor.ingest_paths([parts.documents])
    assert parts.embedder.calls == 0
    assert "file.read" not in parts.blocking.kinds


async def test_without_the_model_vectors_are_kept(make_engine: MakeEngine) -> None:
    """A run without the embedding model leaves documents that have vectors as they are."""
    parts = make_engine()
    await parts.engine.ingestor.ingest_paths([parts.documents])
    parts.embedder.error = ModelUnavailableError("run `holdfast model`")
    report = await parts.engine.ingestor.ingest_paths([parts.documents])
    assert (report.embedded, counts(report)) == (False, (0, 0, 2))
    status = await parts.store.status()
    assert sum(status.vectors.values()) == status.chunks


async def test_progress_counts_files_to_the_end(make_engine: MakeEngine) -> None:
    """Progress never goes back and ends at the number of files."""
    parts = make_engine()
    seen: list[tuple[str, int, int]] = []
    await parts.engine.ingestor.ingest_paths(
        [parts.documents], progress=lambda stage, done, total, detail: seen.append((stage, done, total))
    )
    done = [d for stage, d, _ in seen if stage == "ingest"]
    assert done == sorted(done)
    assert seen[-1] == ("ingest", 2, 2)


async def test_small_files_are_embedded_together(make_engine: MakeEngine) -> None:
    """The end of a file does not end a batch: files of a passage or two share a call of the embedder."""
    parts = make_engine()
    await parts.engine.ingestor.ingest_paths([parts.documents])
    assert len(parts.embedder._part.calls) == 3  # the look whether it is there, all passages, all sentences


async def test_a_large_document_is_embedded_in_slices(make_engine: MakeEngine) -> None:
    """No call of the embedder gets more than 128 texts, and every chunk gets its own vector."""
    parts = make_engine()
    text = "\n\n".join(f"## Part {n}\n\nThis is sentence one of part {n}. This is sentence two." for n in range(400))
    (parts.documents / "long.md").write_text(text)
    await parts.engine.ingestor.ingest_paths([parts.documents])
    sizes = [len(texts) for texts, _ in parts.embedder._part.calls]
    assert max(sizes) == 128
    status = await parts.store.status()
    assert sum(status.vectors.values()) == status.chunks


async def test_progress_counts_documents_inside_a_file(make_engine: MakeEngine) -> None:
    """A file of many documents says how many of them were taken."""
    parts = make_engine()
    write_lines(parts, [f"Note {n}." for n in range(1_500)])
    seen: list[tuple[int, str]] = []
    await parts.engine.ingestor.ingest_paths(
        [parts.documents / "notes.jsonl"], progress=lambda stage, done, total, detail: seen.append((done, detail))
    )
    assert (0, "articles/notes.jsonl: 1,216 documents") in seen


async def test_a_locked_store_is_told_in_its_own_words(make_engine: MakeEngine) -> None:
    """The reason of a failure is the store's sentence, not that of the retries around it."""
    parts = make_engine()
    parts.store.error, parts.store.only = StoreLockedError("Another process is writing: try again."), {"put"}
    report = await parts.engine.ingestor.ingest_paths([parts.documents])
    assert {p.reason for p in report.failed} == {"it could not be stored: Another process is writing: try again."}
    parts.store.error, parts.store.only = None, set()
    embed = parts.embedder._part.embed

    async def ill(texts: list[str], *, kind: str) -> object:
        if texts != ["warm up"] or len(parts.embedder._part.calls) > 1:
            raise DependencyError("The model is ill.")
        return await embed(texts, kind=kind)

    parts.embedder._part.calls.clear()
    parts.embedder._part.embed = ill
    report = await parts.engine.ingestor.ingest_paths([parts.documents])
    assert {p.reason for p in report.failed} == {"it could not be embedded: The model is ill."}


# -- what a file does not hold any more ------------------------------------------------------------------------------


def write_lines(parts: Parts, texts: list[str], name: str = "notes.jsonl") -> Path:
    path = parts.documents / name
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


async def stored_texts(parts: Parts) -> set[str]:
    page = await parts.store.list()
    return {(await parts.store.get(record.id)).text for record in page.documents}


async def test_a_changed_jsonl_file_leaves_no_old_lines(make_engine: MakeEngine) -> None:
    """Lines that were taken out or rewritten are removed, the others stay once, wherever they stand now."""
    parts = make_engine()
    path = write_lines(parts, ["one", "two", "three"])
    await parts.engine.ingestor.ingest_paths([path])
    write_lines(parts, ["zero", "three", "one, rewritten"])
    report = await parts.engine.ingestor.ingest_paths([path])
    assert await stored_texts(parts) == {"zero", "three", "one, rewritten"}
    assert (counts(report), report.removed) == ((2, 1, 0), 2)
    report = await parts.engine.ingestor.ingest_paths([path])
    assert (counts(report), report.removed) == ((0, 0, 3), 0)


@pytest.mark.parametrize("content", [b"", b" \n", b"\xef\xbb\xbf", "\n".encode("utf-16")])
async def test_an_emptied_file_loses_its_text(make_engine: MakeEngine, content: bytes) -> None:
    """The document of a file that is empty now is removed, which is reported, and so are the lines of one."""
    parts = make_engine()
    path = write_lines(parts, ["one", "two"])
    await parts.engine.ingestor.ingest_paths([parts.documents])
    path.write_bytes(content)
    (parts.documents / "returns.md").write_bytes(content)
    report = await parts.engine.ingestor.ingest_paths([parts.documents])
    assert (counts(report), report.removed) == ((0, 0, 1), 3)
    assert {Path(p.uri).name for p in report.skipped} == {"notes.jsonl", "returns.md"}
    assert (await parts.store.status()).documents == 1


async def test_text_that_cannot_be_searched_takes_the_old_one_along(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of which no passage can be made any more loses its document."""
    parts = make_engine()
    await parts.engine.ingestor.ingest_paths([parts.documents])
    (parts.documents / "returns.md").write_text("...\n")
    monkeypatch.setattr("holdfast.rag.ingest.preparing.chunk", lambda _document, _options: [])
    report = await parts.engine.ingestor.ingest_paths([parts.documents])
    assert (report.removed, len(report.skipped)) == (1, 1)


async def test_a_file_that_is_not_read_whole_keeps_what_it_had(make_engine: MakeEngine) -> None:
    """A bad line, damage and a file that is gone remove nothing."""
    parts = make_engine()
    path = write_lines(parts, ["one", "two"])
    await parts.engine.ingestor.ingest_paths([parts.documents])
    path.write_text('{"text": "three"}\nbroken\n')
    (parts.documents / "returns.md").write_bytes(bytes(100))
    (parts.documents / "warranty.md").unlink()
    report = await parts.engine.ingestor.ingest_paths([parts.documents])
    assert (counts(report), report.removed) == ((1, 0, 0), 0)
    assert (await parts.store.status()).documents == 5


async def test_nothing_is_removed_before_its_successor_is_stored(make_engine: MakeEngine) -> None:
    """While a new line cannot be stored, the old ones of its file stay; the next run removes them."""
    parts = make_engine()
    path = write_lines(parts, ["one"])
    await parts.engine.ingestor.ingest_paths([path])
    write_lines(parts, ["two"])
    parts.store.error, parts.store.only = StoreLockedError("locked"), {"put"}
    report = await parts.engine.ingestor.ingest_paths([path])
    assert (len(report.failed), report.removed, await stored_texts(parts)) == (1, 0, {"one"})
    parts.store.only = {"delete"}
    report = await parts.engine.ingestor.ingest_paths([path])
    assert (counts(report), report.removed) == ((1, 0, 0), 0)
    assert [p.reason for p in report.failed] == ["what it does not hold any more could not be removed: locked"]
    parts.store.error = None
    report = await parts.engine.ingestor.ingest_paths([path])
    assert (report.removed, await stored_texts(parts)) == (1, {"two"})


async def test_a_document_that_moved_to_another_file_stays(make_engine: MakeEngine) -> None:
    """A line with an id that stands in another file now is that file's, in whichever order they are read."""
    parts = make_engine()
    one, two = parts.documents / "1.jsonl", parts.documents / "2.jsonl"
    texts = {each: json.dumps(dict.fromkeys(("id", "title", "uri", "text"), each)) + "\n" for each in "abc"}
    one.write_text(texts["a"] + texts["b"])
    two.write_text(texts["c"])
    await parts.engine.ingestor.ingest_paths([one, two])
    one.write_text(texts["a"])
    two.write_text(texts["b"] + texts["c"])
    await parts.engine.ingestor.ingest_paths([one, two])
    assert {each.id for each in (await parts.store.list()).documents} == {"a", "b", "c"}
    report = await parts.engine.ingestor.ingest_paths([one, two])
    assert (counts(report), report.removed) == ((0, 0, 3), 0)
    one.write_text(texts["a"] + texts["c"])
    two.write_text(texts["b"])
    report = await parts.engine.ingestor.ingest_paths([one, two])
    assert {each.id for each in (await parts.store.list()).documents} == {"a", "b", "c"}
    assert report.removed == 0
    assert (await parts.engine.ingestor.ingest_paths([two])).removed == 0  # "c" is the other file's now
    assert {each.id for each in (await parts.store.list()).documents} == {"a", "b", "c"}


async def test_collections_and_the_api_are_left_alone(make_engine: MakeEngine) -> None:
    """A file removes only what it brought into the collection of this run; what came by a job has no file."""
    parts = make_engine()
    await parts.engine.open()
    path = write_lines(parts, ["one"])
    await parts.engine.ingestor.ingest_paths([path], collection="other")
    await parts.engine.ingestor.ingest_paths([path])
    job = await parts.store.create_job([JobItem(name="notes.jsonl", payload=b'{"text": "x"}')], collection="default")
    await finished(parts, job.id)
    write_lines(parts, ["two"])
    assert (await parts.engine.ingestor.ingest_paths([path])).removed == 1
    assert await stored_texts(parts) == {"two", "x"}
    assert len((await parts.store.list(collection="other")).documents) == 1


# -- jobs ------------------------------------------------------------------------------------------------------------


async def finished(parts: Parts, job_id: str) -> None:
    worker = asyncio.create_task(parts.engine.ingestor.run_jobs())
    try:
        for _ in range(10_000):
            job = await parts.store.job(job_id)
            if job.status not in {JobState.QUEUED, JobState.RUNNING}:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"the job {job_id} is not finished")
    finally:
        worker.cancel()


async def test_a_job_is_done_when_its_documents_can_be_found(make_engine: MakeEngine) -> None:
    """A job's documents are stored under the ids, titles and uris that the caller named."""
    parts = make_engine()
    await parts.engine.open()
    item = JobItem(
        name="a.md",
        payload=b"# Gift cards\n\nGift cards are valid for 36 months.\n",
        document_id="gift",
        uri="https://x/g",
    )
    job = await parts.store.create_job([item], collection="default")
    await finished(parts, job.id)
    job = await parts.store.job(job.id)
    assert (job.status, job.done, job.total) == (JobState.DONE, 1, 1)
    document = await parts.store.get("gift")
    assert (document.title, document.uri) == ("Gift cards", "https://x/g")
    told = [e for e in parts.recorder.events if isinstance(e, DocumentIngested | JobFinished)]
    assert [type(e) for e in told] == [DocumentIngested, JobFinished]
    assert {e.correlation_id for e in told} == {job.id}


async def test_a_job_tells_which_documents_failed(make_engine: MakeEngine) -> None:
    """A bad document is a failure with its reason; the others of the job are stored: the job is partial."""
    parts = make_engine()
    await parts.engine.open()
    items = [
        JobItem(name="good.txt", payload=b"Parcels arrive in three days."),
        JobItem(name="bad.pdf", payload=b"not a pdf", document_id="bad"),
    ]
    job = await parts.store.create_job(items, collection="default")
    await finished(parts, job.id)
    job = await parts.store.job(job.id)
    assert (job.status, [f.document_id for f in job.failures]) == (JobState.PARTIAL, ["bad"])
    assert (await parts.store.status()).documents == 1


async def test_the_worker_outlives_an_outage_of_the_store(make_engine: MakeEngine) -> None:
    """While the store is down a job waits; when it is back the same worker finishes it."""
    parts = make_engine()
    await parts.engine.open()
    job = await parts.store.create_job([JobItem(name="a.txt", payload=b"A text.")], collection="default")
    parts.store.error = StoreUnavailableError("away")
    worker = asyncio.create_task(parts.engine.ingestor.run_jobs())
    try:
        for _ in range(100):
            await asyncio.sleep(0)
        assert not worker.done()
        parts.store.error = None
        parts.engine.ingestor.wake()
        for _ in range(10_000):
            if (await parts.store.job(job.id)).status is JobState.DONE:
                break
            await asyncio.sleep(0)
        assert (await parts.store.job(job.id)).status is JobState.DONE
    finally:
        worker.cancel()


async def job_of(parts: Parts, *payloads: bytes, name: str = "a.txt") -> str:
    await parts.engine.open()
    items = [JobItem(name=name, payload=payload, document_id=f"d{n}") for n, payload in enumerate(payloads)]
    job = await parts.store.create_job(items, collection="default")
    return str(job.id)


async def until(parts: Parts, happened: Callable[[], bool]) -> None:
    for _ in range(20_000):
        if happened():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not happen")


@pytest.mark.parametrize("method", ["put", "finish_item", "next_items", "records"])
async def test_an_outage_in_the_middle_of_a_job_costs_nothing(make_engine: MakeEngine, method: str) -> None:
    """A job that the store fails in the middle is given back, waits, and is done by the same worker afterwards."""
    parts = make_engine()
    job_id = await job_of(parts, b"One text.", b"Another text.")
    parts.store.error, parts.store.only = StoreUnavailableError("away"), {method}
    worker = asyncio.create_task(parts.engine.ingestor.run_jobs())
    try:
        await until(parts, lambda: any(isinstance(e, StageFailed) for e in parts.recorder.events))
        job = await parts.store.job(job_id)
        assert (job.status, job.done, list(job.failures)) == (JobState.RUNNING, 0, [])
        parts.store.error = None
    finally:
        worker.cancel()
    await finished(parts, job_id)
    job = await parts.store.job(job_id)
    assert (job.status, list(job.failures)) == (JobState.DONE, [])
    assert (await parts.store.status()).documents == 2


async def test_the_same_worker_goes_on_after_a_failure_in_the_middle(make_engine: MakeEngine) -> None:
    """The worker waits 10 s after a failure, whoever wakes it, and then finishes the job that it had begun."""
    parts = make_engine()
    job_id = await job_of(parts, b"One text.")
    parts.store.error, parts.store.only = StoreUnavailableError("away"), {"finish_item"}
    worker = asyncio.create_task(parts.engine.ingestor.run_jobs())
    try:
        await until(parts, lambda: parts.clock.sleeps_ns.count(10_000_000_000) == 2)
        parts.store.error = None
        for _ in range(10_000):
            if (await parts.store.job(job_id)).status is JobState.DONE:
                break
            await asyncio.sleep(0)
        assert (await parts.store.job(job_id)).status is JobState.DONE
    finally:
        worker.cancel()


async def test_a_job_is_given_back_when_its_worker_is_cancelled(make_engine: MakeEngine) -> None:
    """Whoever runs jobs next in this process gets the job at once."""
    parts = make_engine()
    job_id = await job_of(parts, b"One text.")
    embed, reached = parts.embedder._part.embed, asyncio.Event()

    async def hang(texts: list[str], *, kind: str) -> object:
        if texts != ["warm up"]:
            reached.set()
            await asyncio.Event().wait()
        return await embed(texts, kind=kind)

    parts.embedder._part.embed = hang
    worker = asyncio.create_task(parts.engine.ingestor.run_jobs())
    await reached.wait()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    parts.embedder._part.embed = embed
    taken = await parts.store.next_job()
    assert taken is not None
    assert taken.id == job_id


@pytest.mark.parametrize("error", [DependencyError("this text cannot be embedded"), RuntimeError("a bug")])
async def test_one_poison_document_does_not_block_a_job_for_ever(make_engine: MakeEngine, error: Exception) -> None:
    """A document that the embedder fails at, while it embeds others, is a failure with its reason at once."""
    parts = make_engine()
    embed, tries = parts.embedder._part.embed, 0

    async def picky(texts: list[str], *, kind: str) -> object:
        if any("poison" in text for text in texts):
            nonlocal tries
            tries += 1
            raise error
        return await embed(texts, kind=kind)

    parts.embedder._part.embed = picky
    job_id = await job_of(parts, b"This is poison.", b"A harmless text.")
    await finished(parts, job_id)
    job = await parts.store.job(job_id)
    assert (job.status, [f.document_id for f in job.failures]) == (JobState.PARTIAL, ["d0"])
    assert str(error) in job.failures[0].reason
    assert tries <= 4  # the guard's repetitions
    assert await stored_texts(parts) == {"A harmless text."}


async def test_a_long_outage_does_not_use_up_the_tries(make_engine: MakeEngine) -> None:
    """Rounds that do not get as far as the item cost it nothing, however many there are."""
    parts = make_engine()
    job_id = await job_of(parts, b"One text.")
    parts.embedder.error = DependencyError("The embedder is away.")
    worker = asyncio.create_task(parts.engine.ingestor.run_jobs())
    try:
        await until(parts, lambda: parts.clock.sleeps_ns.count(10_000_000_000) > 20)
        job = await parts.store.job(job_id)
        assert (job.status, list(job.failures)) == (JobState.RUNNING, [])
        parts.embedder.error = None
    finally:
        worker.cancel()
    await finished(parts, job_id)
    assert (await parts.store.job(job_id)).status is JobState.DONE


async def test_deleting_a_job_stops_it_between_items(make_engine: MakeEngine) -> None:
    """After a job was cancelled no more of its documents is embedded or stored."""
    parts = make_engine()
    job_id = await job_of(parts, *(f"Text number {n}.".encode() for n in range(12)))
    put, stored = parts.store._part.put, 0

    async def put_and_cancel(*args: object, **kwargs: object) -> None:
        nonlocal stored
        await put(*args, **kwargs)
        stored += 1
        if stored == 3:
            await parts.store.cancel_job(job_id)

    parts.store._part.put = put_and_cancel
    await finished(parts, job_id)
    worker = asyncio.create_task(parts.engine.ingestor.run_jobs())
    await until(parts, lambda: any(isinstance(e, JobFinished) for e in parts.recorder.events))
    worker.cancel()
    assert (await parts.store.status()).documents == stored == 3
    assert parts.blocking.kinds.count("ingest.load") == 3


async def test_deleting_a_job_stops_it_inside_a_long_item(make_engine: MakeEngine) -> None:
    """A JSONL file of thousands of lines is not stored to its end when its job is cancelled."""
    parts = make_engine()
    lines = "".join(json.dumps({"text": f"Text number {n}."}) + "\n" for n in range(1_000))
    job_id = await job_of(parts, lines.encode(), name="a.jsonl")
    put, stored = parts.store._part.put, 0

    async def put_and_cancel(*args: object, **kwargs: object) -> None:
        nonlocal stored
        await put(*args, **kwargs)
        stored += 1
        if stored == 70:
            await parts.store.cancel_job(job_id)

    parts.store._part.put = put_and_cancel
    worker = asyncio.create_task(parts.engine.ingestor.run_jobs())
    await until(parts, lambda: any(isinstance(e, JobFinished) for e in parts.recorder.events))
    worker.cancel()
    assert (await parts.store.job(job_id)).status is JobState.CANCELLED
    assert stored == 70
