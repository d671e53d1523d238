"""``holdfast eval`` by tier, with a plot, and of the embedder: an engine of which the store is real."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest

from holdfast.cli import main
from holdfast.rag.store.sqlite import SqliteStore
from holdfast.rag.types import (
    Answer,
    Chunk,
    Citation,
    Document,
    EmbeddedChunk,
    Hit,
    Mime,
    Reason,
    SearchResult,
    Source,
    StoredChunk,
    Tier,
)
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock
from holdfast.testing.embedders import HashEmbedder

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.rag.query import Query
    from holdfast.rag.settings import Settings

TEXT = "Most products can be sent back within 30 days of delivery."
CHUNK = Chunk(id="c1", document_id="d1", ordinal=0, start=0, end=len(TEXT), heading="", text=TEXT)


class Service:
    """Answers by tier as the real one does: with the fact, without it, or not at all."""

    def __init__(self, folder: Path) -> None:
        self.blocking = InlineBlocking()
        self.store: Any = SqliteStore(folder, blocking=self.blocking, clock=FakeClock())
        self.embedder: HashEmbedder | None = HashEmbedder(dimension=256)
        self.tiers: list[Tier | None] = []

    async def search(self, query: Query) -> SearchResult:
        hit = Hit(stored=StoredChunk(chunk=CHUNK, title="Returns", uri="help/returns.md"), score=1.0)
        return SearchResult(hits=[hit], tier=Tier.FULL)

    async def ask(self, query: Query) -> Answer:
        self.tiers.append(query.tier)
        tier = query.tier or Tier.FULL
        if tier is Tier.OFFLINE:
            return Answer(text="Sorry.", answered=False, source=Source.STATIC, tier=tier, degraded=True)
        cited = Citation(
            document_id="d1",
            chunk_id="c1",
            title="Returns",
            uri="help/returns.md",
            text=TEXT,
            start=0,
            end=len(TEXT),
            score=1.0,
        )
        reasons = () if tier is Tier.FULL else (Reason.EMBEDDER_UNAVAILABLE,)
        return Answer(text="30 days [1].", citations=(cited,), source=Source.EXTRACT, tier=tier, reasons=reasons)

    async def ingest(self) -> None:
        from holdfast.rag.chunking import chunk

        assert self.embedder is not None
        document = Document(id="d1", text=TEXT, title="Returns", uri="returns.md", mime=Mime.PLAIN, content_hash="1")
        chunks = chunk(document)
        vectors = await self.embedder.embed([one.text for one in chunks])
        embedded = [EmbeddedChunk(chunk=one, vector=vector) for one, vector in zip(chunks, vectors, strict=True)]
        await self.store.open()
        await self.store.put(document, embedded, embedder_id=self.embedder.id)
        await self.store.close()


Run: TypeAlias = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The engine that the command opens, with one document in its store."""
    service = Service(tmp_path / "data")
    await service.ingest()

    @asynccontextmanager
    async def opened(settings: Settings, *, create: bool = True) -> AsyncIterator[Service]:
        await service.store.open()
        try:
            yield service
        finally:
            await service.store.close()

    monkeypatch.setattr("holdfast.cli.session.opened", opened)
    return service


@pytest.fixture
def run(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``holdfast eval`` on one question that is answered and one that is not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "q.jsonl").write_text(
        '{"id": "1", "question": "how long?", "article": "returns", "facts": ["30 days"], "style": "plain"}\n'
    )
    (tmp_path / "u.jsonl").write_text('{"id": "2", "question": "who?"}\n')

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main(["eval", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return command


ASKED = ("q.jsonl", "--unanswerable", "u.jsonl")


def test_every_tier_has_its_column_and_its_bars(run: Run, service: Service, tmp_path: Path) -> None:
    """With --by-tier each tier is asked; the table, the bars and the JSON file have the rates of each."""
    code, out, _ = run(*ASKED, "--by-tier", "--json", "out.json")
    assert code == 0
    assert service.tiers == [*Tier, *Tier]
    rows = {line.split("│")[1].strip(): line.split("│")[2:6] for line in out.splitlines() if line.startswith("│")}
    assert [cell.strip() for cell in rows["fact"]] == ["1.000", "1.000", "1.000", "0.000"]
    assert [cell.strip() for cell in rows["recall@k"]] == ["1.000", "1.000", "1.000", "–"]
    assert [cell.strip() for cell in rows["passages, k"]] == ["5", "3", "3", "–"]
    assert [cell.strip() for cell in rows["unanswerable refused"]] == ["0.000", "0.000", "0.000", "1.000"]
    assert "  offline    0.00" in out.split("fact in the answer")[1]
    written = json.loads((tmp_path / "out.json").read_text())
    assert list(written["tiers"]) == [tier.value for tier in Tier]
    assert written["tiers"]["offline"]["overall"]["fact_in_answer"] == 0.0


def test_the_tiers_that_are_named_are_asked(run: Run, service: Service) -> None:
    """Tiers come best first, however they are written."""
    assert run(*ASKED, "--tiers", "Minimal, full")[0] == 0
    assert service.tiers == [Tier.FULL, Tier.MINIMAL] * 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--tiers", "best"), "--tiers: 'best' is no tier: take some of full, degraded, minimal, offline"),
        (("--tiers", ""), "'' is no tier"),
        (("--tiers", "full", "--by-tier"), "take one"),
        (("--plot", "x.jpg"), "must end with .png or .svg"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_asked(
    run: Run, service: Service, arguments: tuple[str, ...], says: str
) -> None:
    """A tier that there is not, and a picture of another kind, end the command with 2 and a sentence."""
    code, out, err = run(*ASKED, *arguments)
    assert (code, out, service.tiers) == (2, "", [])
    assert says in err


@pytest.mark.parametrize("arguments", [(), ("--by-tier",)])
def test_the_rates_are_drawn(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """With --plot there is a picture, of the styles or of the tiers."""
    code, _, err = run(*ASKED, *arguments, "--plot", "out.svg")
    assert code == 0
    assert "Drawn into out.svg" in err
    assert (tmp_path / "out.svg").read_text().startswith("<?xml")


# -- the embedder ------------------------------------------------------------------------------------------------------


def test_an_embedder_that_works_is_0(run: Run, service: Service) -> None:
    """All checks and the comparison with the store are shown, no question is asked, and the command ends with 0."""
    code, out, err = run("--embeddings")
    assert (code, err, service.tiers) == (0, "", [])
    assert out.count(" ok ") == 5
    assert "1.0000" in out
    assert "“default”" in out


def test_stored_vectors_that_have_drifted_are_1(run: Run, service: Service) -> None:
    """The embedder under the same name makes other vectors: told, and ended with 1."""

    class Turned(HashEmbedder):
        async def embed(self, texts: Any, *, kind: Any = "document") -> Any:
            return np.roll(await super().embed(texts, kind=kind), 1, axis=1)

    service.embedder = Turned(dimension=256)
    code, out, err = run("--embeddings")
    assert code == 1
    assert "are not those that the embedder makes now" in err
    assert out.count(" ok ") == 5


def test_an_embedder_that_is_broken_is_1(run: Run, service: Service) -> None:
    """A check that fails is shown as failed, and the command ends with 1."""

    class Long(HashEmbedder):
        async def embed(self, texts: Any, *, kind: Any = "document") -> Any:
            return await super().embed(texts, kind=kind) * 2

    service.embedder = Long(dimension=256)
    code, out, _ = run("--embeddings")
    assert code == 1
    assert "failed" in out


def test_documents_of_another_embedder_are_told(run: Run, service: Service) -> None:
    """Documents that another model embedded are not compared; what to do is said, and it is no failure."""
    service.embedder = HashEmbedder(dimension=64)
    code, _, err = run("--embeddings")
    assert code == 0
    assert "1 of 1 documents are found by their words only" in err


def test_no_embedder_is_nothing_to_check(run: Run, service: Service) -> None:
    """Where the search goes by words by choice, there is no embedder to check."""
    service.embedder = None
    code, _, err = run("--embeddings")
    assert code == 2
    assert "there is no embedder to check" in err
