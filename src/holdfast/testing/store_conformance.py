"""What every document store must do, as tests that any ``Store`` can be run against.

    class TestMyStore(StoreConformance):
        @asynccontextmanager
        async def make_store(self, place: Path) -> AsyncIterator[Store]:
            store = MyStore(place)
            await store.open()
            yield store
            await store.close()

The tests are plain async methods: pytest with pytest-asyncio in auto mode runs them, and gives ``tmp_path``.
"""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import pytest

from holdfast.errors import InvalidInputError
from holdfast.rag.store.base import Store
from holdfast.rag.types import EmbeddedChunk, Scope
from holdfast.testing.store_samples import (
    DIMENSION,
    EMBEDDER,
    HOSTILE_QUESTIONS,
    sample_document,
    sample_vector,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from holdfast.rag.types import Document, Scalar

__all__ = ["StoreConformance"]


async def _put(
    store: Store, *sample: tuple[Document, Sequence[EmbeddedChunk]], embedder_id: str | None = EMBEDDER
) -> None:
    for document, chunks in sample:
        await store.put(document, chunks, embedder_id=embedder_id)


async def _found(store: Store, question: str, scope: Scope | None = None, k: int = 10) -> list[str]:
    """The documents that the words find, best first."""
    hits = await store.lexical(question, k=k, scope=scope or Scope())
    return [hit.chunk_id.partition("/")[0] for hit in hits]


async def _near(
    store: Store, text: str, scope: Scope | None = None, k: int = 10, embedder_id: str = EMBEDDER
) -> list[str]:
    """The documents that the vector of ``text`` finds, best first."""
    hits = await store.dense(sample_vector(text), embedder_id=embedder_id, k=k, scope=scope or Scope())
    return [hit.chunk_id.partition("/")[0] for hit in hits]


class StoreConformance(ABC):
    """The contract of ``Store``."""

    @abstractmethod
    def make_store(self, place: Path) -> AbstractAsyncContextManager[Store]:
        """An open store, closed at the end of the block; two stores of the same place share their content."""

    async def test_has_the_protocol_and_a_name(self, tmp_path: Path) -> None:
        """It has every member of the protocol, and a name that begins with "store:"."""
        async with self.make_store(tmp_path) as store:
            assert isinstance(store, Store)
            assert store.name.startswith("store:")

    async def test_empty_store_answers_everything(self, tmp_path: Path) -> None:
        """Nothing stored is no failure: every question finds nothing."""
        async with self.make_store(tmp_path) as store:
            await store.ping()
            assert await _found(store, "apple") == []
            assert await _near(store, "apple") == []
            assert await store.get("a") is None
            assert await store.records(["a"]) == {}
            assert await store.ids_from("file") == []
            assert (await store.list()).documents == []
            assert await store.fetch(["a/1"]) == []
            assert await store.document_frequency(["apple"]) == ({"apple": 0}, 0)
            assert await store.delete("a") is False
            status = await store.status()
            assert (status.documents, status.chunks, status.sentences, dict(status.vectors)) == (0, 0, 0, {})

    async def test_open_and_close_are_idempotent(self, tmp_path: Path) -> None:
        """A second open changes nothing; a second close is no failure."""
        async with self.make_store(tmp_path) as store:
            await _put(store, sample_document("a", "An apple."))
            await store.open()
            assert await _found(store, "apple") == ["a"]
            await store.close()

    async def test_gives_back_what_was_put(self, tmp_path: Path) -> None:
        """A document and its chunks come back as they were, whatever characters they hold."""
        metadata: dict[str, Scalar] = {"lang": "en", "year": 2024, "score": 0.5, "draft": True, "Größe": "ü"}
        sample = sample_document(
            "dir/a b.md",
            "First one. Second one. 🦊 third",
            "Ünïcødé 日本語. \x00 and \u2028 too",
            title='T "q"',
            heading="A › B",
            metadata=metadata,
        )
        document, chunks = sample
        async with self.make_store(tmp_path) as store:
            await _put(store, sample)
            assert await store.get(document.id) == document
            ids = [item.chunk.id for item in chunks]
            stored = await store.fetch(ids)
            assert [item.chunk for item in stored] == [item.chunk for item in chunks]
            assert {(item.title, item.uri) for item in stored} == {(document.title, document.uri)}
            assert all(item.sentence_vectors is None for item in stored)
            record = (await store.records([document.id]))[document.id]
            assert (record.id, record.collection, record.title, record.uri) == (
                document.id, "default", document.title, document.uri,
            )  # fmt: skip
            assert (record.chunks, record.characters, record.embedder_id) == (2, len(document.text), EMBEDDER)
            assert (record.mime, record.content_hash, dict(record.metadata)) == (
                document.mime, document.content_hash, metadata,
            )  # fmt: skip
            assert {name: type(value) for name, value in record.metadata.items()} == {
                name: type(value) for name, value in metadata.items()
            }
            assert record.stored_at > 0

    async def test_sentence_vectors_are_close_and_of_length_one(self, tmp_path: Path) -> None:
        """Sentence vectors may be stored coarsely: their cosines are within 0.01, and their length is 1."""
        sample = sample_document("a", "One. Two. Three. Four", "Five. Six")
        async with self.make_store(tmp_path) as store:
            await _put(store, sample)
            for put, got in zip(
                sample[1], await store.fetch([item.chunk.id for item in sample[1]], sentence_vectors=True), strict=True
            ):
                assert put.sentence_vectors is not None
                assert got.sentence_vectors is not None
                assert got.sentence_vectors.dtype == np.float32
                assert got.sentence_vectors.shape == put.sentence_vectors.shape
                assert np.allclose(np.linalg.norm(got.sentence_vectors, axis=1), 1.0, atol=1e-3)
                exact = put.sentence_vectors @ put.sentence_vectors.T
                assert np.allclose(got.sentence_vectors @ put.sentence_vectors.T, exact, atol=0.01)

    async def test_fetch_keeps_the_order_and_leaves_out_what_is_gone(self, tmp_path: Path) -> None:
        """Chunks come in the order asked for, also when there are many; unknown ids are left out."""
        sample = sample_document("a", *(f"Passage {n}" for n in range(1_200)), vectors=False)
        async with self.make_store(tmp_path) as store:
            await _put(store, sample, embedder_id=None)
            ids = [item.chunk.id for item in reversed(sample[1])]
            stored = await store.fetch(["gone", *ids, "a/gone"])
            assert [item.chunk.id for item in stored] == ids

    async def test_a_document_without_chunks_is_a_document(self, tmp_path: Path) -> None:
        """An empty document is stored, listed and deleted."""
        async with self.make_store(tmp_path) as store:
            document, _ = sample_document("a")
            await store.put(document, [], embedder_id=EMBEDDER)
            assert await store.get("a") == document
            assert (await store.records(["a"]))["a"].chunks == 0
            await _put(store, sample_document("a", "An apple."))
            assert await _near(store, "An apple.") == ["a"]
            assert await store.delete("a")

    async def test_put_replaces_everything(self, tmp_path: Path) -> None:
        """A second put under the same id leaves nothing of the first: not its words, vectors, chunks or metadata."""
        first = sample_document("a", "Common passage.", "About apples.", metadata={"v": 1}, title="Orchard")
        second = sample_document("a", "About pears.", "Common passage.", metadata={"v": 2}, title="Garden")
        async with self.make_store(tmp_path) as store:
            await _put(store, first)
            before = await store.generation()
            await _put(store, second)
            assert await store.generation() > before
            assert await store.get("a") == second[0]
            assert await _found(store, "apples") == []
            assert await _found(store, "orchard") == []
            assert await _found(store, "pears") == ["a"]
            assert await _found(store, "garden") == ["a", "a"]
            assert await _found(store, "common", Scope(filters={"v": 1})) == []
            assert await _found(store, "common", Scope(filters={"v": 2})) == ["a"]
            assert len(await _near(store, "About pears.")) == 2
            gone = first[1][1].chunk.id
            assert await store.fetch([gone]) == []
            stored = await store.fetch([item.chunk.id for item in second[1]])
            assert [item.chunk for item in stored] == [item.chunk for item in second[1]]
            assert await store.document_frequency(["apples", "common"]) == ({"apples": 0, "common": 1}, 2)

    async def test_delete_is_total(self, tmp_path: Path) -> None:
        """A deleted document is found by no way of asking, and its neighbours stay."""
        gone, kept = sample_document("a", "Red apples. Sweet", metadata={"x": 1}), sample_document("b", "Red pears.")
        async with self.make_store(tmp_path) as store:
            await _put(store, gone, kept)
            assert set(await _near(store, "Red apples. Sweet")) == {"a", "b"}
            before = await store.generation()
            assert await store.delete("a") is True
            assert await store.generation() > before
            assert await store.delete("a") is False
            assert await store.get("a") is None
            assert await store.records(["a", "b"]) == {"b": (await store.list()).documents[0]}
            assert await _found(store, "red apples") == ["b"]
            assert await _found(store, "red", Scope(filters={"x": 1})) == []
            assert await _near(store, "Red apples. Sweet") == ["b"]
            assert await store.fetch([gone[1][0].chunk.id], sentence_vectors=True) == []
            assert await store.document_frequency(["apples", "red"]) == ({"apples": 0, "red": 1}, 1)
            status = await store.status()
            assert (status.documents, status.chunks, status.sentences, dict(status.vectors)) == (1, 1, 1, {EMBEDDER: 1})
            await store.delete("b")
            assert dict((await store.status()).vectors) == {}
            await _put(store, gone)
            assert await _found(store, "apples") == ["a"]
            assert await _near(store, "Red apples. Sweet") == ["a"]

    async def test_list_pages_in_the_order_of_ids(self, tmp_path: Path) -> None:
        """Pages together hold every document once, in the order of their ids by code point."""
        ids = ["b", "a", "Z", "ä", "a/1", "10", "9", "🦊", "ﬁ"]
        async with self.make_store(tmp_path) as store:
            for each in ids:
                await _put(store, sample_document(each, "text"))
            seen: list[str] = []
            cursor: str | None = None
            while True:
                page = await store.list(limit=2, cursor=cursor)
                assert len(page.documents) <= 2
                seen += [record.id for record in page.documents]
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert seen == sorted(ids)
            assert (await store.list(limit=len(ids))).next_cursor is None
            with pytest.raises(InvalidInputError):
                await store.list(limit=0)

    async def test_records_leave_out_what_is_not_stored(self, tmp_path: Path) -> None:
        """Asking for many ids gives those that are there."""
        async with self.make_store(tmp_path) as store:
            await _put(store, sample_document("a", "text"), sample_document("b", "text", collection="other"))
            found = await store.records([f"x{n}" for n in range(1_500)] + ["a", "b"])
            assert list(found) == ["a"]

    async def test_documents_know_their_source(self, tmp_path: Path) -> None:
        """The documents of a source are found by it; the last put decides, and without a source there is none."""
        async with self.make_store(tmp_path) as store:
            for each, source in (("c", "one"), ("a", "one"), ("b", "two"), ("d", "")):
                document, chunks = sample_document(each, f"Text {each}.")
                await store.put(document, chunks, embedder_id=EMBEDDER, source=source)
            document, chunks = sample_document("e", "Text e.", collection="other")
            await store.put(document, chunks, embedder_id=EMBEDDER, source="one")
            assert list(await store.ids_from("one")) == ["a", "c"]
            assert list(await store.ids_from("one", collection="other")) == ["e"]
            assert list(await store.ids_from("")) == []
            assert list(await store.ids_from("one", collection="nowhere")) == []
            records = await store.records(["a", "b", "d"])
            assert [record.source for record in records.values()] == ["one", "two", ""]
            await _put(store, sample_document("a", "Text a."))
            await store.delete("c")
            assert list(await store.ids_from("one")) == []

    async def test_collections_are_apart(self, tmp_path: Path) -> None:
        """The same id may stand in two collections; neither sees the other's words, vectors or counts."""
        async with self.make_store(tmp_path) as store:
            await _put(
                store, sample_document("a", "Red apples."), sample_document("b", "Red apples. Too", collection="other")
            )
            await _put(store, sample_document("a", "Green pears.", collection="other"))
            other = Scope(collection="other")
            assert await _found(store, "red green") == ["a"]
            assert sorted(await _found(store, "red green", other)) == ["a", "b"]
            assert await _near(store, "Red apples.") == ["a"]
            assert len(await _near(store, "Red apples.", other)) == 2
            assert await store.document_frequency(["red"]) == ({"red": 1}, 1)
            assert await store.document_frequency(["red"], collection="other") == ({"red": 1}, 2)
            assert [record.id for record in (await store.list(collection="other")).documents] == ["a", "b"]
            assert await store.delete("a", collection="other")
            assert await store.get("a") is not None
            assert await store.get("a", collection="other") is None
            assert await _found(store, "apples", Scope(collection="nowhere")) == []

    async def test_filters_are_equality_of_all_values(self, tmp_path: Path) -> None:
        """Both searches keep to documents that have every value; numbers are numbers, truth values are not."""
        async with self.make_store(tmp_path) as store:
            await _put(
                store,
                sample_document("a", "Apple one.", metadata={"lang": "en", "n": 1}),
                sample_document("b", "Apple two.", metadata={"lang": "de", "n": 1}),
                sample_document("c", "Apple three.", metadata={"lang": "en", "n": True, "big": 2**70}),
                sample_document("d", "Apple four.", metadata={"lang": "en", "n": "1"}),
            )
            for filters, expected in (
                ({"lang": "en"}, "acd"),
                ({"n": 1}, "ab"),
                ({"n": 1.0}, "ab"),
                ({"n": True}, "c"),
                ({"n": "1"}, "d"),
                ({"lang": "en", "n": 1}, "a"),
                ({"lang": "fr"}, ""),
                ({"nothing": 1}, ""),
                ({"big": 2**70}, "c"),
                ({"lang": "' OR 1=1 --"}, ""),
            ):
                scope = Scope(filters=filters)  # type: ignore[arg-type]
                assert "".join(sorted(await _found(store, "apple", scope))) == expected, filters
                assert "".join(sorted(await _near(store, "Apple one.", scope))) == expected, filters
            with pytest.raises(InvalidInputError):
                await store.lexical("apple", k=1, scope=Scope(filters={"lang": ["en"]}))  # type: ignore[dict-item]

    async def test_lexical_ranks_by_rarity_and_place(self, tmp_path: Path) -> None:
        """Scores are positive and fall; a rare word beats a common one; a title beats a mention; stems match."""
        async with self.make_store(tmp_path) as store:
            fill = [sample_document(f"f{n}", f"Common matter number {n}.") for n in range(20)]
            await _put(store, *fill)
            await _put(store, sample_document("rare", "A zebra stands here among other matter."))
            await _put(store, sample_document("title", "Nothing of note in this one.", title="Zebra"))
            await _put(store, sample_document("stem", "Résumés were retried."))
            assert (await _found(store, "zebra common"))[:2] == ["title", "rare"]
            assert await _found(store, "retrying") == ["stem"]
            assert await _found(store, "resume RETRIES") == ["stem"]
            hits = await store.lexical("common zebra", k=5, scope=Scope())
            assert len(hits) == 5
            assert all(hit.score > 0 for hit in hits)
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
            assert await store.lexical("common", k=0, scope=Scope()) == []

    async def test_any_text_is_a_legal_question(self, tmp_path: Path) -> None:
        """No question raises, and those that name the apple find it."""
        async with self.make_store(tmp_path) as store:
            await _put(store, sample_document("a", "An apple and a pear."), sample_document("b", "Something else."))
            for question in HOSTILE_QUESTIONS:
                found = await _found(store, question)
                if "apple " in question or question in {"NOT apple", "-apple", "apple*", "apple?!", "\u202eapple"}:
                    assert found == ["a"], question[:40]
                counts, _ = await store.document_frequency(question.split()[:50])
                assert all(count >= 0 for count in counts.values())
            assert await _found(store, "the of and") == []

    async def test_dense_is_exact(self, tmp_path: Path) -> None:
        """The nearest chunks are the nearest by brute force, with their cosines, best first."""
        texts = [f"Passage {n}" for n in range(120)]
        async with self.make_store(tmp_path) as store:
            await _put(store, *(sample_document(f"d{n}", text) for n, text in enumerate(texts)))
            question = sample_vector("question")
            cosines = np.stack([sample_vector(text) for text in texts]) @ question
            hits = await store.dense(question, embedder_id=EMBEDDER, k=7, scope=Scope())
            assert [hit.chunk_id.partition("/")[0] for hit in hits] == [f"d{n}" for n in np.argsort(-cosines)[:7]]
            assert np.allclose([hit.score for hit in hits], np.sort(cosines)[::-1][:7], atol=1e-5)
            assert len(await store.dense(question, embedder_id=EMBEDDER, k=1_000, scope=Scope())) == len(texts)
            assert await store.dense(question, embedder_id=EMBEDDER, k=0, scope=Scope()) == []

    async def test_embedders_never_mix(self, tmp_path: Path) -> None:
        """A search sees the vectors of its own embedder only, also when a document changes from one to another."""
        async with self.make_store(tmp_path) as store:
            await _put(store, sample_document("a", "Apple."), embedder_id="one")
            await _put(store, sample_document("b", "Apple. Two"), embedder_id="two")
            await _put(store, sample_document("c", "Apple. Three", vectors=False), embedder_id=None)
            assert await _near(store, "Apple.", embedder_id="one") == ["a"]
            assert await _near(store, "Apple.", embedder_id="two") == ["b"]
            assert await _near(store, "Apple.", embedder_id="three") == []
            assert dict((await store.status()).vectors) == {"one": 1, "two": 1}
            assert (await store.records(["c"]))["c"].embedder_id is None
            await _put(store, sample_document("a", "Apple."), embedder_id="two")
            assert await _near(store, "Apple.", embedder_id="one") == []
            assert sorted(await _near(store, "Apple.", embedder_id="two")) == ["a", "b"]
            assert sorted(await _found(store, "apple")) == ["a", "b", "c"]

    async def test_vectors_that_do_not_fit_are_refused_whole(self, tmp_path: Path) -> None:
        """Missing, mixed or broken vectors are an input error, and nothing of the document is stored."""
        async with self.make_store(tmp_path) as store:
            await _put(store, sample_document("a", "Apple."))
            document, (chunk,) = sample_document("b", "Pear.")
            broken = np.full(DIMENSION, np.nan, dtype=np.float32)
            for vector, embedder_id in (
                (None, EMBEDDER), (chunk.vector, None), (np.ones(3, np.float32), EMBEDDER), (broken, EMBEDDER),
            ):  # fmt: skip
                bad = EmbeddedChunk(chunk=chunk.chunk, vector=vector)
                with pytest.raises(InvalidInputError):
                    await store.put(document, [bad], embedder_id=embedder_id)
            with pytest.raises(InvalidInputError):
                await store.put(document, [chunk, chunk], embedder_id=EMBEDDER)
            with pytest.raises(InvalidInputError):
                await store.dense(np.ones(3, np.float32), embedder_id=EMBEDDER, k=1, scope=Scope())
            assert await store.get("b") is None
            assert (await store.status()).documents == 1

    async def test_content_survives_reopening(self, tmp_path: Path) -> None:
        """A store that is closed and opened again has everything, and the same generation."""
        async with self.make_store(tmp_path) as store:
            await _put(store, sample_document("a", "Apple."))
            generation = await store.generation()
        async with self.make_store(tmp_path) as store:
            assert await store.generation() == generation
            assert await _found(store, "apple") == ["a"]
            assert await _near(store, "Apple.") == ["a"]

    async def test_another_stores_changes_are_seen_at_the_next_question(self, tmp_path: Path) -> None:
        """What one store object commits, another on the same place finds at once, and its generation grows."""
        async with self.make_store(tmp_path) as one, self.make_store(tmp_path) as two:
            assert await _near(two, "Apple.") == []
            generation = await two.generation()
            for n in range(5):
                await _put(one, sample_document(f"a{n}", f"Apple. Number {n}"))
                assert await two.generation() > generation
                generation = await two.generation()
                assert generation == await one.generation()
                assert len(await _found(two, "apple")) == n + 1
                assert len(await _near(two, "Apple.")) == n + 1
            await one.delete("a2")
            assert "a2" not in await _near(two, "Apple.")
            assert await two.document_frequency(["apple"]) == ({"apple": 4}, 4)

    async def test_readers_see_whole_documents_while_two_write(self, tmp_path: Path) -> None:
        """Under concurrent writes every document that is found has all of its chunks, of one version."""
        passages = 6

        def version(document_id: str, n: int) -> tuple[Document, list[EmbeddedChunk]]:
            return sample_document(document_id, *(f"Apple v{n} part {part}" for part in range(passages)), title=f"v{n}")

        async def write(store: Store, document_id: str) -> None:
            for n in range(12):
                await _put(store, version(document_id, n))
            await store.delete(document_id)
            await _put(store, version(document_id, 99))

        async def read(store: Store, writers: asyncio.Future[tuple[None, None]]) -> None:
            while not writers.done():
                for document_id in ("a", "b"):
                    hits = await store.lexical("apple", k=50, scope=Scope())
                    stored = await store.fetch([hit.chunk_id for hit in hits])
                    assert all(item.title == item.chunk.text.split()[1] for item in stored)
                    document = await store.get(document_id)
                    assert document is None or document.text.count(document.title + " ") == passages
                    await _near(store, "Apple", k=50)

        async with self.make_store(tmp_path) as one, self.make_store(tmp_path) as two:
            writers = asyncio.gather(write(one, "a"), write(two, "b"))
            await asyncio.gather(writers, read(one, writers), read(two, writers))
            for store in (one, two):
                assert len(await _found(store, "apple v99", k=50)) == 2 * passages
                assert len(await _near(store, "Apple", k=50)) == 2 * passages

    async def test_a_cancelled_put_leaves_all_or_nothing(self, tmp_path: Path) -> None:
        """After a put was cancelled the document is there with every chunk, or as it was; the store goes on working."""
        async with self.make_store(tmp_path) as store:
            for turns in range(12):
                sample = sample_document("a", *(f"Apple {turns} {n}" for n in range(40)), title=f"turn {turns}")
                task = asyncio.ensure_future(_put(store, sample))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await _put(store, sample_document("b", "Pear."))
            document = await store.get("a")
            assert len(await _found(store, "apple", k=100)) == (0 if document is None else 40)
            assert await _found(store, "pear") == ["b"]
