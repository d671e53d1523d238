"""The store of a world remembers what it found, and nothing that is not true any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from holdfast.errors import ConfigError, StoreUnavailableError
from holdfast.lab.doors.blocking import ModelledBlocking
from holdfast.lab.draws import Draws
from holdfast.lab.latency import Latency
from holdfast.lab.virtual.running import run
from holdfast.lab.world.remembering import RememberingStore
from holdfast.rag.store.sqlite import SqliteStore
from holdfast.rag.types import Chunk, Document, EmbeddedChunk, Mime, Scope, Span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from holdfast.lab.virtual.clock import VirtualClock

_SPACE = "test:2"
_VECTOR = np.array([1.0, 0.0], np.float32)
_SECONDS = 0.25


def embedded(document_id: str, text: str) -> tuple[Document, list[EmbeddedChunk]]:
    """A document of one sentence, with its vector."""
    document = Document(
        id=document_id, title=document_id, uri=f"{document_id}.md", text=text, mime=Mime.MARKDOWN, content_hash=text
    )
    span = Span(0, len(text))
    chunk = Chunk(
        id=f"{document_id}-0", document_id=document_id, ordinal=0, start=0, end=len(text), heading="", text=text,
        sentences=(span,),
    )  # fmt: skip
    return document, [EmbeddedChunk(chunk=chunk, vector=_VECTOR, sentence_vectors=_VECTOR[None])]


def played(folder: Path, main: Callable[[RememberingStore, SqliteStore, VirtualClock], Awaitable[Any]]) -> Any:
    """Run ``main`` with a store of one document, and with what it remembers for."""

    async def inside(clock: VirtualClock) -> Any:
        blocking = ModelledBlocking(
            clock, Draws(1), latencies={"store.read": Latency(_SECONDS), "store.write": Latency(_SECONDS / 2)}
        )
        inner = SqliteStore(folder, blocking=blocking, clock=clock)
        store = RememberingStore(inner, blocking=blocking)
        await store.open()
        await store.put(*embedded("refunds", "Refunds take five days."), embedder_id=_SPACE)
        await store.generation()
        try:
            return await main(store, inner, clock)
        finally:
            await store.close()

    return run(inside).value


async def searched(store: RememberingStore | SqliteStore) -> list[object]:
    """All that a search asks."""
    return [
        list(await store.lexical("How long do refunds take?", k=3, scope=Scope())),
        list(await store.dense(_VECTOR, embedder_id=_SPACE, k=3, scope=Scope())),
        [each.chunk for each in await store.fetch(["refunds-0"], sentence_vectors=True)],
        await store.document_frequency(("refunds", "take")),
    ]


def test_what_is_remembered_is_what_was_found_and_takes_the_same_time(tmp_path: Path) -> None:
    """A search that is made again gives the same in the same virtual time; a wording with other marks, too."""

    async def main(store: RememberingStore, inner: SqliteStore, clock: VirtualClock) -> None:
        plain = await searched(inner)
        times = []
        for _ in range(2):
            before = clock.now_ns()
            assert await searched(store) == plain
            times.append(clock.now_ns() - before)
        assert times[0] == times[1] == 4 * _SECONDS * 1e9
        again = await store.lexical("How long do refunds take? (;,?/)", k=3, scope=Scope())
        assert again is await store.lexical("How long do refunds take?", k=3, scope=Scope())

    played(tmp_path, main)


def test_other_arguments_are_other_reads(tmp_path: Path) -> None:
    """Words, filters with their types, and what is asked for are told apart."""

    async def main(store: RememberingStore, _: SqliteStore, __: VirtualClock) -> None:
        assert await store.lexical("refunds", k=1, scope=Scope())
        assert not await store.lexical("parcels", k=1, scope=Scope())
        assert not await store.lexical("refunds", k=1, scope=Scope(collection="other"))
        assert not await store.lexical("refunds", k=1, scope=Scope(filters={"year": 1}))
        with_vectors = await store.fetch(["refunds-0"], sentence_vectors=True)
        without = await store.fetch(["refunds-0"])
        assert with_vectors[0].sentence_vectors is not None
        assert without[0].sentence_vectors is None

    played(tmp_path, main)


def test_a_change_is_seen(tmp_path: Path) -> None:
    """After a document was stored or deleted, searches find what there is."""

    async def main(store: RememberingStore, _: SqliteStore, __: VirtualClock) -> list[int]:
        async def found() -> int:
            return len(await store.lexical("refunds", k=9, scope=Scope()))

        counts = [await found()]
        await store.put(*embedded("more", "More on refunds."), embedder_id=_SPACE)
        counts.append(await found())
        await store.delete("refunds")
        counts.append(await found())
        return counts

    assert played(tmp_path, main) == [1, 2, 1]


def test_the_generation_is_the_stores(tmp_path: Path) -> None:
    """It is another one after a change, also where it was asked for while the change was made."""

    async def main(store: RememberingStore, inner: SqliteStore, clock: VirtualClock) -> None:
        before = await store.generation()
        assert before == await store.generation() == await inner.generation()
        writing = asyncio.create_task(store.put(*embedded("more", "More on refunds."), embedder_id=_SPACE))
        await clock.asleep_ns(1)
        assert await store.generation() == before
        await writing
        after = await store.generation()
        assert after == await store.generation() == await inner.generation() > before

    played(tmp_path, main)


def test_the_generation_is_asked_for_once(tmp_path: Path) -> None:
    """As long as nothing is written nobody looks at the file."""

    async def main(store: RememberingStore, inner: SqliteStore, __: VirtualClock) -> list[int]:
        asked = []
        own = inner.generation

        async def counted() -> int:
            asked.append(await own())
            return asked[-1]

        inner.generation = counted  # type: ignore[method-assign]
        counts = []
        for _ in range(2):
            await store.put(*embedded("more", "More on refunds."), embedder_id=_SPACE)
            for _ in range(3):
                await store.generation()
            counts.append(len(asked))
        return counts

    assert played(tmp_path, main) == [1, 2]


def test_a_change_during_a_read_is_seen(tmp_path: Path) -> None:
    """A read that waits while a document is stored is not remembered with what was there before."""

    async def main(store: RememberingStore, inner: SqliteStore, clock: VirtualClock) -> tuple[int, int]:
        assert len(await store.lexical("refunds", k=9, scope=Scope())) == 1
        waiting = asyncio.create_task(store.lexical("refunds", k=9, scope=Scope()))
        await clock.asleep_ns(1)
        await store.put(*embedded("more", "More on refunds."), embedder_id=_SPACE)
        during = len(await waiting)
        return during, len(await store.lexical("refunds", k=9, scope=Scope()))

    assert played(tmp_path, main) == (2, 2)


def test_a_store_that_is_gone_is_not_remembered(tmp_path: Path) -> None:
    """When a change fails because the store is gone, nothing that it said before is given out."""

    def remove() -> None:
        for each in tmp_path.glob("holdfast.sqlite3*"):
            each.unlink()

    async def main(store: RememberingStore, _: SqliteStore, __: VirtualClock) -> None:
        await store.lexical("refunds", k=1, scope=Scope())
        remove()
        for again in (
            store.delete("refunds"), store.generation(), store.lexical("refunds", k=1, scope=Scope())
        ):  # fmt: skip
            with pytest.raises(StoreUnavailableError):
                await again

    played(tmp_path, main)


def test_it_is_bounded(tmp_path: Path) -> None:
    """So many results are kept; those that nobody asked for longest go first."""

    async def main(store: RememberingStore, inner: SqliteStore, _: VirtualClock) -> list[bool]:
        small = RememberingStore(inner, blocking=store._blocking, kept=2)
        await small.generation()
        first = await small.lexical("refunds", k=1, scope=Scope())
        await small.lexical("refunds", k=2, scope=Scope())
        await small.lexical("refunds", k=1, scope=Scope())
        await small.lexical("refunds", k=3, scope=Scope())
        kept = await small.lexical("refunds", k=1, scope=Scope()) is first
        return [kept, len(small._known) == 2]

    assert played(tmp_path, main) == [True, True]
    with pytest.raises(ConfigError):
        RememberingStore(None, blocking=None, kept=0)  # type: ignore[arg-type]


def test_everything_else_is_the_stores_own(tmp_path: Path) -> None:
    """Names and other reads go through, and forget nothing."""

    async def main(store: RememberingStore, inner: SqliteStore, _: VirtualClock) -> None:
        found = await store.lexical("refunds", k=1, scope=Scope())
        assert store.name == inner.name
        await store.ping()
        assert (await store.status()).documents == 1
        assert await store.lexical("refunds", k=1, scope=Scope()) is found
        with pytest.raises(AttributeError):
            _ = store._nothing

    played(tmp_path, main)
