"""Embedding anew after the embedding model was changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.rag.ingest.world import PROBE, ScriptedEmbedder, World, refusal, upload, world

from holdfast.errors import StoreUnavailableError
from holdfast.rag.ingest.faults import IngestStoppedError
from holdfast.rag.store.jobs import JobState

if TYPE_CHECKING:
    from pathlib import Path


async def stored(folder: Path, **texts: str) -> World:
    """A store with these documents, embedded by the old model."""
    old = world(folder)
    job = await old.finish(await old.job(*(upload(text, key) for key, text in texts.items())))
    assert job.status is JobState.DONE
    return old


async def embedders(there: World) -> dict[str, str | None]:
    """Whose vectors each document has."""
    return {each.id: each.embedder_id for each in (await there.store.list()).documents}


async def test_files_are_as_they_were_afterwards(tmp_path: Path) -> None:
    """After embedding anew the same files are unchanged: nothing is cut or embedded a second time."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nA text about parcels.\n")
    old = world(tmp_path / "data")
    await old.ingestor.ingest_paths([tmp_path / "docs"])
    new = world(tmp_path / "data", embedder=ScriptedEmbedder(space="b"))
    seen: list[tuple[str, int, int]] = []
    report = await new.ingestor.reembed(progress=lambda stage, done, total, _: seen.append((stage, done, total)))
    assert (report.changed, report.added) == (1, 0)
    assert seen == [("scan", 1, 1), ("ingest", 1, 1)]
    assert (await new.ingestor.ingest_paths([tmp_path / "docs"])).unchanged == 1


async def test_documents_without_vectors_get_some(tmp_path: Path) -> None:
    """What was stored while there was no embedder is embedded; other collections are left alone."""
    there = world(tmp_path / "data")
    there.embedder.trouble = lambda texts: StoreUnavailableError("x") if PROBE not in texts else None
    bare = world(tmp_path / "data")
    bare.ingestor._writer._bulk = None
    bare.ingestor._writer._embedder = None
    await bare.finish(await bare.job(upload("A text.", "a")))
    await bare.finish(await bare.job(upload("Another.", "a"), collection="books"))
    there.embedder.trouble = lambda texts: None
    assert (await there.ingestor.reembed()).changed == 1
    assert await embedders(there) == {"a": there.embedder.id}
    assert [each.embedder_id for each in (await there.store.list(collection="books")).documents] == [None]


async def test_what_was_changed_or_deleted_meanwhile_stays_so(tmp_path: Path) -> None:
    """A document that somebody changes or deletes between the reading and the writing is theirs."""
    await stored(tmp_path / "data", a="The first text.", b="The second text.", c="The third text.")
    new = world(tmp_path / "data", embedder=ScriptedEmbedder(space="b"))
    other = world(tmp_path / "data", clock=new.clock)
    get, read = new.store.get, 0

    async def meddled(document_id: str, *, collection: str = "default") -> object:
        nonlocal read
        document = await get(document_id, collection=collection)
        read += 1
        if read == 3:
            await other.finish(await other.job(upload("A newer text.", "a")))
            new.clock.advance(1)
            await other.ingestor.forget("b", collection="default")
            await other.store.delete("b")
        return document

    new.store.get = meddled  # type: ignore[method-assign, assignment]
    report = await new.ingestor.reembed()
    new.store.get = get  # type: ignore[method-assign]
    assert (report.changed, report.unchanged) == (1, 2)
    assert await new.texts() == {"A newer text.", "The third text."}


async def test_a_document_that_cannot_be_embedded_keeps_its_old_vectors(tmp_path: Path) -> None:
    """It is reported, stays findable as it was, and is tried by the next run."""
    old = await stored(tmp_path / "data", a="A fine text.", b="This is poison.")
    new = world(tmp_path / "data", embedder=ScriptedEmbedder(space="b"))
    new.embedder.trouble = lambda texts: refusal(400) if any("poison" in each for each in texts) else None
    report = await new.ingestor.reembed()
    assert (report.changed, [each.document_id for each in report.failed]) == (1, ["b"])
    assert await embedders(new) == {"a": new.embedder.id, "b": old.embedder.id}
    with pytest.raises(IngestStoppedError):
        await new.ingestor.reembed(fail_fast=True)
    new.embedder.trouble = lambda texts: None
    assert (await new.ingestor.reembed()).changed == 1
