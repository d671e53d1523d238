"""Ingest: what is stored, what is skipped, and what a second run does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import DependencyError, ModelUnavailableError, StoreUnavailableError
from holdfast.rag.chunking import ChunkOptions
from holdfast.rag.query import Query
from holdfast.rag.store.jobs import JobItem, JobState
from holdfast.telemetry.events import DocumentIngested, DocumentSkipped, JobFinished

if TYPE_CHECKING:
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
    writer = parts.engine.ingestor._writer
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


async def test_a_large_document_is_embedded_in_slices(make_engine: MakeEngine) -> None:
    """No call of the embedder gets more than 256 texts, and every chunk gets its own vector."""
    parts = make_engine()
    text = "\n\n".join(f"## Part {n}\n\nThis is sentence one of part {n}. This is sentence two." for n in range(400))
    (parts.documents / "long.md").write_text(text)
    await parts.engine.ingestor.ingest_paths([parts.documents])
    sizes = [len(texts) for texts, _ in parts.embedder._part.calls]
    assert max(sizes) == 256
    status = await parts.store.status()
    assert sum(status.vectors.values()) == status.chunks


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
