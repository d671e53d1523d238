"""Dead letters of files and uploads: kept, tried again, and gone when their documents succeed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.unit.rag.ingest.world import PROBE, refusal, upload, world

from holdfast.errors import InvalidInputError, NotFoundError, StoreLockedError
from holdfast.rag.ingest.faults import IngestStoppedError
from holdfast.rag.store.jobs import JobItem, JobState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.unit.rag.ingest.world import World


def poisoned(there: World) -> None:
    """Make the embedder refuse every text with "poison" in it."""
    there.embedder.trouble = lambda texts: refusal(400) if any("poison" in each for each in texts) else None


def cured(there: World) -> None:
    """Make the embedder embed everything."""
    there.embedder.trouble = lambda texts: None


async def test_a_file_that_fails_is_kept_by_its_path(tmp_path: Path) -> None:
    """A failed file is a dead letter with its path, counted at every failure, and leaves the list when it succeeds."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "bad.md").write_text("This is poison.")
    (docs / "good.md").write_text("This is fine.")
    there = world(tmp_path / "data")
    poisoned(there)
    for tries in (1, 2):
        there.clock.advance(60)
        await there.ingestor.ingest_paths([docs], uri_prefix="https://x/")
        (letter,) = await there.letters()
        assert (letter.tries, letter.kind, letter.stage) == (tries, "bad_request", "embed")
        assert (letter.path, letter.file_uri, letter.uri) == (
            str(docs / "bad.md"),
            "https://x/bad.md",
            "https://x/bad.md",
        )
    (letter,) = await there.letters()
    assert letter.last_at - letter.first_at == pytest.approx(60)
    cured(there)
    report = await there.ingestor.retry()
    assert (report.added, report.failed) == (1, ())
    assert await there.letters() == []
    assert (await there.ingestor.ingest_paths([docs], uri_prefix="https://x/")).unchanged == 2


async def test_lines_that_cannot_be_read_are_letters_of_their_file(tmp_path: Path) -> None:
    """Each bad line is a letter; when the file is read again those that are mended are gone, the others stay."""
    path = tmp_path / "notes.jsonl"
    path.write_text('{"text": "one"}\nbroken\nbroken too\n')
    there = world(tmp_path / "data")
    await there.ingestor.ingest_paths([path])
    names = sorted(each.uri.rpartition("/")[2] for each in await there.letters())
    assert names == ["notes.jsonl#L2", "notes.jsonl#L3"]
    path.write_text('{"text": "one"}\n{"text": "two"}\nbroken too\n')
    report = await there.ingestor.retry()
    assert (report.added, len(report.skipped)) == (1, 1)
    (letter,) = await there.letters()
    assert (letter.uri.endswith("#L3"), letter.tries) == (True, 2)


async def test_a_file_that_is_gone_says_so(tmp_path: Path) -> None:
    """Trying a file again that was removed is one letter that says it cannot be read."""
    path = tmp_path / "bad.md"
    path.write_text("This is poison.")
    there = world(tmp_path / "data")
    poisoned(there)
    await there.ingestor.ingest_paths([path])
    path.unlink()
    report = await there.ingestor.retry()
    assert "cannot be read" in report.skipped[0].reason
    (letter,) = await there.letters()
    assert (letter.kind, letter.path) == ("unreadable", str(path))


async def test_an_empty_file_is_no_dead_letter(tmp_path: Path) -> None:
    """There is nothing to try again in a file that is empty; it is only reported."""
    path = tmp_path / "empty.md"
    path.write_text("")
    there = world(tmp_path / "data")
    report = await there.ingestor.ingest_paths([path])
    assert len(report.skipped) == 1
    assert await there.letters() == []


async def test_an_upload_is_kept_with_its_bytes(tmp_path: Path) -> None:
    """What failed of an upload of many is kept document by document, and can be stored from there."""
    there = world(tmp_path / "data")
    poisoned(there)
    lines = [{"id": f"l{n}", "text": f"Line {n}, {'poison' if n in {2, 5} else 'fine'}.", "n": n} for n in range(8)]
    payload = "\n".join([*map(json.dumps, lines), "broken"]).encode()
    job = await there.finish(await there.job(JobItem(name="lines.jsonl", payload=payload)))
    assert (job.status, len(job.failures)) == (JobState.PARTIAL, 3)
    letters = {each.document_id or each.uri: each for each in await there.letters()}
    assert set(letters) == {"l2", "l5", "lines.jsonl#L9"}
    assert [letters[key].retryable for key in ("l2", "l5", "lines.jsonl#L9")] == [True, True, False]
    cured(there)
    report = await there.ingestor.retry([letters["l2"].id])
    assert report.added == 1
    document = await there.store.get("l2")
    assert document is not None
    assert (document.text, document.metadata) == ("Line 2, poison.", {"n": 2})
    assert len(await there.letters()) == 2
    with pytest.raises(InvalidInputError, match="hand it in again"):
        await there.ingestor.retry([letters["lines.jsonl#L9"].id])
    with pytest.raises(NotFoundError):
        await there.ingestor.retry([letters["l2"].id])


async def test_handing_it_in_again_is_as_good(tmp_path: Path) -> None:
    """A document that is handed in again and succeeds leaves the list, and so do the parts of its upload."""
    there = world(tmp_path / "data")
    poisoned(there)
    bad = JobItem(name="lines.jsonl", payload=b'{"id": "a", "text": "poison"}\nbroken\n{"text": "fine"}')
    await there.finish(await there.job(bad, upload("This is poison.", "b"), JobItem(name="c.pdf", payload=b"no")))
    assert len(await there.letters()) == 4
    good = JobItem(name="lines.jsonl", payload=b'{"id": "a", "text": "good"}\n{"text": "fine"}')
    await there.finish(await there.job(good, upload("This is good.", "b")))
    assert [each.uri for each in await there.letters()] == ["c.pdf"]


async def test_a_job_tries_letters_again(tmp_path: Path) -> None:
    """An item that names a letter is made from it; one whose letter is gone is done without a word."""
    there = world(tmp_path / "data")
    poisoned(there)
    await there.finish(await there.job(upload("This is poison.", "a"), upload("More poison.", "b")))
    letters = {each.document_id: each.id for each in await there.letters()}
    again = [JobItem(name=key, payload=b"", letter=each) for key, each in letters.items()]
    failed = await there.finish(await there.job(*again))
    assert (failed.status, len(failed.failures)) == (JobState.FAILED, 2)
    assert [each.tries for each in await there.letters()] == [2, 2]
    cured(there)
    await there.finish(await there.job(upload("A newer text.", "a")))
    job = await there.finish(await there.job(*again))
    assert (job.status, list(job.failures)) == (JobState.DONE, [])
    assert await there.texts() == {"A newer text.", "More poison."}
    assert await there.letters() == []


async def test_a_letter_that_cannot_be_kept_keeps_the_item(tmp_path: Path) -> None:
    """While the store does not take the letter, the item is not finished: its bytes are nowhere else."""
    there = world(tmp_path / "data")
    poisoned(there)
    job_id = await there.job(upload("This is poison.", "a"))
    bury, refused = there.store.bury, 0

    async def locked(letters: Sequence[object]) -> None:
        nonlocal refused
        refused += 1
        if refused < 3:
            raise StoreLockedError("Another process is writing.")
        await bury(letters)  # type: ignore[arg-type]

    there.store.bury = locked  # type: ignore[method-assign]
    job = await there.finish(job_id)
    assert (job.status, refused) == (JobState.FAILED, 3)
    assert [each.document_id for each in await there.letters()] == ["a"]


# -- stopping at the first failure ------------------------------------------------------------------------------------


async def test_fail_fast_stops_with_everything_that_is_known(tmp_path: Path) -> None:
    """The first failure is raised with its document, stage and cause; nothing is tried again, nothing later is read."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for n in range(5):
        (docs / f"{n}.md").write_text(f"Text number {n}.")
    there = world(tmp_path / "data")
    error = refusal(503)
    there.embedder.trouble = lambda texts: None if PROBE in texts else error
    with pytest.raises(IngestStoppedError) as caught:
        await there.ingestor.ingest_paths([docs], fail_fast=True)
    assert caught.value.stage == "embed"
    assert "docs/0.md" in caught.value.uri
    assert caught.value.__cause__ is error
    assert there.embedder.asked == [1, 5]
    assert there.clock.sleeps_ns == []


async def test_fail_fast_in_every_stage(tmp_path: Path) -> None:
    """A file that cannot be read and a store that does not take a document stop a run in the same way."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.pdf").write_bytes(b"no")
    there = world(tmp_path / "data")
    with pytest.raises(IngestStoppedError, match=r"'read' of docs/a\.pdf"):
        await there.ingestor.ingest_paths([docs], fail_fast=True)
    (docs / "a.pdf").unlink()
    (docs / "a.md").write_text("A text.")

    async def broken(*_: object, **__: object) -> None:
        raise StoreLockedError("Another process is writing.")

    there.store.put = broken  # type: ignore[method-assign]
    with pytest.raises(IngestStoppedError, match=r"'store' of docs/a\.md") as caught:
        await there.ingestor.ingest_paths([docs], fail_fast=True)
    assert isinstance(caught.value.__cause__, StoreLockedError)
    with pytest.raises(IngestStoppedError, match="no such file"):
        await there.ingestor.ingest_paths([tmp_path / "nowhere"], fail_fast=True)
