"""Embedding in bulk: waits, pace, halving, and what a call that was paid for is worth later."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.unit.rag.ingest.world import PROBE, ScriptedEmbedder, quota, refusal, sections, upload, world

from holdfast.errors import AttemptTimeoutError, ModelUnavailableError, TargetsExhaustedError
from holdfast.rag.ingest.faults import OutageError
from holdfast.rag.ingest.journal import EmbeddingJournal, owner_of
from holdfast.rag.store.jobs import JobState
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from holdfast.llm.embedding import EmbedKind, Vectors

SECOND = 1_000_000_000


async def test_waits_are_as_long_as_the_embedder_asks(tmp_path: Path) -> None:
    """A Retry-After is waited for, also when it comes from a client that has asked every provider."""
    (tmp_path / "a.md").write_text("A text.")
    for number, error in enumerate(
        [refusal(429, retry_after="17"), TargetsExhaustedError("Nobody answers.", attempts=2, retry_after=17.0)]
    ):
        there = world(tmp_path / f"data{number}")
        failures = 3

        def limited(texts: Sequence[str], error: Exception = error) -> Exception | None:
            nonlocal failures
            failures -= PROBE not in texts
            return error if PROBE not in texts and failures >= 0 else None

        there.embedder.trouble = limited
        report = await there.ingestor.ingest_paths([tmp_path / "a.md"])
        assert (report.added, report.failed) == (1, ())
        assert max(there.clock.sleeps_ns) >= 17 * SECOND
        assert there.clock.now_ns() < 120 * SECOND


async def test_calls_are_paced_after_a_rate_limit(tmp_path: Path) -> None:
    """Before a rate limit nothing is slowed down; after it the calls are spread out, and nothing fails."""
    (tmp_path / "a.md").write_text(sections(1_500))
    there = world(tmp_path / "data")
    times: list[int] = []

    def timed(texts: Sequence[str]) -> Exception | None:
        times.append(there.clock.now_ns())
        return refusal(429) if len(times) == 8 else None

    there.embedder.trouble = timed
    report = await there.ingestor.ingest_paths([tmp_path / "a.md"])
    assert (report.added, report.failed, report.stopped) == (1, (), "")
    assert times[:8] == [0] * 8
    later = np.diff(times[9:])
    assert (later > 0.5 * SECOND).all()
    assert len(later) > 10


async def test_the_budget_of_waits_ends(tmp_path: Path) -> None:
    """An overload that does not pass ends a run after some minutes; the embedder is then asked whether it is well."""
    (tmp_path / "a.md").write_text("A text.")
    there = world(tmp_path / "data")
    there.embedder.trouble = lambda texts: refusal(503) if len(there.embedder.asked) > 1 else None
    report = await there.ingestor.ingest_paths([tmp_path / "a.md"])
    assert "503" in report.stopped
    assert [each.kind for each in report.failed] == ["overloaded"]
    assert 60 * SECOND < there.clock.now_ns() < 600 * SECOND
    assert there.embedder.asked[-1] == 1


async def test_a_document_that_always_takes_too_long_does_not_block_the_rest(tmp_path: Path) -> None:
    """While the embedder embeds other texts, a text that times out for ever is that document's failure."""
    there = world(tmp_path / "data")

    def slow(texts: Sequence[str]) -> Exception | None:
        return AttemptTimeoutError("It took too long.") if any("endless" in each for each in texts) else None

    there.embedder.trouble = slow
    job = await there.finish(await there.job(upload("An endless text.", "a"), upload("A short text.", "b")))
    assert (job.status, [(each.document_id, each.kind) for each in job.failures]) == (
        JobState.PARTIAL,
        [("a", "timeout")],
    )
    assert await there.texts() == {"A short text."}


async def test_a_wrong_key_is_not_tried_again(tmp_path: Path) -> None:
    """A refused key and an empty account are told at once; no text is halved because of them."""
    (tmp_path / "a.md").write_text(sections(300))
    for number, error in enumerate([refusal(401), quota()]):
        there = world(tmp_path / f"data{number}")
        there.embedder.trouble = lambda texts, error=error: error
        with pytest.raises(OutageError):
            await there.ingestor.ingest_paths([tmp_path / "a.md"])
        assert there.embedder.asked == [1]


async def test_a_missing_local_model_is_no_outage(tmp_path: Path) -> None:
    """Without the local model documents are stored without vectors, and the report says so."""
    (tmp_path / "a.md").write_text("A text.")
    there = world(tmp_path / "data")
    there.embedder.trouble = lambda texts: ModelUnavailableError("Run `holdfast model`.")
    report = await there.ingestor.ingest_paths([tmp_path / "a.md"])
    assert (report.added, report.embedded) == (1, False)
    with pytest.raises(ModelUnavailableError):
        await there.ingestor.reembed()


class Garbage(ScriptedEmbedder):
    """Gives numbers that are none for some texts, or for all of them."""

    wrong: str = ""
    shape: bool = False

    async def embed(self, texts: Sequence[str], *, kind: EmbedKind = "document") -> Vectors:
        vectors = await super().embed(texts, kind=kind)
        for row, text in zip(vectors, texts, strict=True):
            if self.wrong in text:
                row[:] = np.nan
        return vectors[:, :-1] if self.shape and PROBE not in texts else vectors


async def test_garbage_for_one_text_costs_that_document(tmp_path: Path) -> None:
    """A vector that is no vector is never stored; the documents beside it are."""
    embedder = Garbage()
    embedder.wrong = "poison"
    there = world(tmp_path / "data", embedder=embedder)
    job = await there.finish(await there.job(upload("This is poison.", "a"), upload("This is fine.", "b")))
    assert [(each.document_id, each.kind) for each in job.failures] == [("a", "malformed")]
    assert await there.texts() == {"This is fine."}


@pytest.mark.parametrize("shape", [True, False])
async def test_garbage_for_every_text_is_an_outage(tmp_path: Path, shape: bool) -> None:
    """An embedder that gives numbers of another size, or none at all, is down: no document is blamed."""
    (tmp_path / "a.md").write_text("A text.")
    embedder = Garbage()
    embedder.shape, embedder.wrong = shape, "never" if shape else ""
    there = world(tmp_path / "data", embedder=embedder)
    report = await there.ingestor.ingest_paths([tmp_path / "a.md"])
    assert "cannot be used" in report.stopped
    assert await there.texts() == set()


# -- the journal -------------------------------------------------------------------------------------------------------


def journal(folder: Path, clock: FakeClock | None = None, **options: int) -> EmbeddingJournal:
    return EmbeddingJournal(
        folder / "journal.sqlite3", blocking=InlineBlocking(), clock=clock or FakeClock(), **options
    )


def rows(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "journal.sqlite3")) as connection:
        count: int = connection.execute("SELECT count(*) FROM vectors").fetchone()[0]
        return count


def unit(number: int, dimension: int = 4) -> Vectors:
    vector = np.zeros(dimension, np.float32)
    vector[number % dimension] = 1
    return vector


async def test_the_journal_knows_what_was_written_down(tmp_path: Path) -> None:
    """Vectors come back for the same text and embedder, exactly; not for another embedder or dimension."""
    one = journal(tmp_path)
    assert await one.find(["a"], embedder_id="e", dimension=4) == {}
    await one.keep({"a": unit(1), "b": unit(2)}, {"a": b"x", "b": b"y"}, embedder_id="e")
    found = await journal(tmp_path).find(["a", "b", "c"], embedder_id="e", dimension=4)
    assert {text: vector.tolist() for text, vector in found.items()} == {"a": [0, 1, 0, 0], "b": [0, 0, 1, 0]}
    assert await one.find(["a"], embedder_id="f", dimension=4) == {}
    assert await one.find(["a"], embedder_id="e", dimension=5) == {}
    await one.strike([b"x"])
    assert set(await one.find(["a", "b"], embedder_id="e", dimension=4)) == {"b"}
    assert b"secret" not in (tmp_path / "journal.sqlite3").read_bytes()


async def test_the_journal_is_bounded(tmp_path: Path) -> None:
    """What is a week old goes, and so do the oldest vectors when the file is full."""
    clock = FakeClock()
    one = journal(tmp_path, clock)
    await one.keep({"a": unit(1)}, {"a": b"x"}, embedder_id="e")
    clock.advance(8 * 86_400)
    await one.tidy()
    assert rows(tmp_path) == 0
    small = journal(tmp_path, max_bytes=200_000)
    for n in range(60):
        some = {f"{n}-{each}": unit(each, 32) for each in range(50)}
        await small.keep(some, dict.fromkeys(some, b"x"), embedder_id="e")
    assert rows(tmp_path) < 2_000
    assert await small.find(["59-49"], embedder_id="e", dimension=32)


async def test_a_broken_journal_costs_money_and_no_document(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A journal that is no database is a warning; documents are embedded and stored without it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "journal.sqlite3").write_text("this is not a database, by far" * 100)
    (tmp_path / "a.md").write_text("A text.")
    there = world(tmp_path / "data")
    report = await there.ingestor.ingest_paths([tmp_path / "a.md"])
    assert (report.added, report.failed) == (1, ())
    assert "journal" in caplog.text
    await there.ingestor.forget("nothing", collection="default")


async def test_the_journal_is_empty_when_everything_is_stored(tmp_path: Path) -> None:
    """A stored document leaves nothing in it; one that failed leaves what was paid, until it is deleted."""
    there = world(tmp_path / "data")
    there.embedder.trouble = lambda texts: refusal(400) if any("poison" in each for each in texts) else None
    lines = sections(300) + "\n\npoison"
    job = await there.finish(await there.job(upload("A text.", "a"), upload(lines, "b", name="b.md")))
    assert [each.document_id for each in job.failures] == ["b"]
    assert rows(tmp_path / "data") > 0
    await there.ingestor.forget("b", collection="default")
    assert rows(tmp_path / "data") == 0
    assert owner_of("a", "b") != owner_of("b", "a")
