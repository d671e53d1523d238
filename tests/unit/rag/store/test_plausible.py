"""Reads that are not believed blindly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from holdfast.errors import StoreCorruptError
from holdfast.rag.chunking import chunk, is_intact
from holdfast.rag.store.base import Scored
from holdfast.rag.store.plausible import PlausibleReads
from holdfast.rag.types import Chunk, Document, Mime, Scope, StoredChunk

if TYPE_CHECKING:
    from collections.abc import Sequence

VECTOR = np.ones(2, np.float32)
FOUND = [Scored("chk_1", 1.0)]


class Answers:
    """A store that gives what it is told, one after the other, and remembers what it was asked."""

    name = "store:scripted"

    def __init__(self, *answers: Sequence[Any]) -> None:
        self.answers = list(answers)
        self.asked: list[Sequence[str]] = []

    async def lexical(self, question: str, *, k: int, scope: Scope) -> Sequence[Scored]:
        self.asked.append([question, str(k), scope.collection])
        return self.answers.pop(0)

    async def dense(self, vector: Any, *, embedder_id: str, k: int, scope: Scope) -> Sequence[Scored]:
        self.asked.append([embedder_id, str(k), scope.collection])
        return self.answers.pop(0)

    async def fetch(self, ids: Sequence[str], *, collection: str, sentence_vectors: bool) -> Sequence[StoredChunk]:
        assert sentence_vectors
        assert collection == "help"
        self.asked.append(list(ids))
        return self.answers.pop(0)


def reads_of(*answers: Sequence[Any]) -> tuple[PlausibleReads, Answers]:
    store = Answers(*answers)
    return PlausibleReads(store), store  # type: ignore[arg-type]


def document_of(text: str) -> Document:
    return Document(id="doc", text=text, title="Doc", uri="", mime=Mime.MARKDOWN, content_hash="h")


def passages(*texts: str) -> list[StoredChunk]:
    made = [chunk(document_of(text))[0] for text in texts]
    return [StoredChunk(chunk=each, title="Doc", uri="") for each in made]


class TestSearches:
    async def test_what_is_found_is_given(self) -> None:
        """One look is enough where something is found."""
        reads, store = reads_of(FOUND, FOUND)
        scope = Scope(collection="help")
        assert await reads.lexical("refunds", k=50, scope=scope) == FOUND
        assert await reads.dense(VECTOR, embedder_id="e", k=50, scope=scope) == FOUND
        assert store.asked == [["refunds", "50", "help"], ["e", "50", "help"]]

    @pytest.mark.parametrize("second", [FOUND, []])
    async def test_nothing_found_is_looked_for_twice(self, second: list[Scored]) -> None:
        """What a second look finds is found; what two looks do not find is not there."""
        reads, store = reads_of([], second, [], second)
        scope = Scope(collection="help")
        assert await reads.lexical("refunds", k=50, scope=scope) == second
        assert await reads.dense(VECTOR, embedder_id="e", k=50, scope=scope) == second
        assert store.asked[0] == store.asked[1]
        assert store.asked[2] == store.asked[3]


class TestFetching:
    async def test_every_passage_by_its_id(self) -> None:
        """One look is enough where all are there."""
        one, two = passages("Refunds take five days.", "Parcels are sent on Monday.")
        reads, store = reads_of([two, one])
        assert await reads.fetch([one.chunk.id, two.chunk.id], collection="help") == {
            one.chunk.id: one,
            two.chunk.id: two,
        }
        assert len(store.asked) == 1

    async def test_nothing_is_asked_for_nothing(self) -> None:
        """No id, no read."""
        reads, store = reads_of()
        assert await reads.fetch([], collection="help") == {}
        assert store.asked == []

    async def test_the_missing_ones_are_asked_for_again(self) -> None:
        """A row that was left out comes at the second look; one that is gone does not, and is left out."""
        one, two = passages("Refunds take five days.", "Parcels are sent on Monday.")
        reads, store = reads_of([one], [two])
        ids = [one.chunk.id, two.chunk.id, one.chunk.id, "gone"]
        assert list(await reads.fetch(ids, collection="help")) == [one.chunk.id, two.chunk.id]
        assert store.asked == [[one.chunk.id, two.chunk.id, "gone"], [two.chunk.id, "gone"]]

    async def test_a_passage_with_the_text_of_another_one_raises(self) -> None:
        """Nobody answers from it; the error names the passage and its document."""
        one, two = passages("Refunds take five days.", "Parcels are sent on Monday.")
        muddled = replace(one, chunk=replace(one.chunk, text=two.chunk.text))
        reads, _ = reads_of([muddled])
        with pytest.raises(StoreCorruptError, match=f"another text for the passage {one.chunk.id}.*document doc"):
            await reads.fetch([one.chunk.id], collection="help")


class TestIntact:
    def test_equal_passages_of_one_document(self) -> None:
        """The id of each tells how many equal ones come before it, and each is intact."""
        part = "# Refunds\n\n" + "Refunds take five days. " * 12 + "\n\n"
        made = chunk(document_of(3 * part))
        assert len({each.id for each in made}) == len(made) == 3
        assert made[0].text.strip() == made[1].text.strip()
        assert all(is_intact(each) for each in made)
        assert not any(is_intact(replace(each, text=each.text + ".")) for each in made)

    def test_an_id_of_somebody_else_says_nothing(self) -> None:
        """Only ids that were made here can be compared with the text."""
        assert is_intact(Chunk(id="mine", document_id="doc", ordinal=0, start=0, end=1, heading="", text="x"))
