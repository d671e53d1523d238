"""What every store of conversations must do, as tests that any ``ConversationStore`` can be run against.

Used like the other classes of ``holdfast.testing.record_conformance``, which has this one too.
"""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import InvalidInputError, NotFoundError
from holdfast.rag.records.base import ConversationStore
from holdfast.rag.records.limits import (
    BRIEF_CHARS,
    MAX_CONVERSATION_BYTES,
    MAX_SUMMARY_BYTES,
    MAX_TURN_BYTES,
    MAX_TURNS,
    TOMBSTONE_SECONDS,
)
from holdfast.testing.clock import FakeClock
from holdfast.testing.record_samples import DAY, RecordConformance, now_of, sample_turn

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.rag.records.records import RecordPlace

__all__ = ["ConversationConformance"]

_BAD_IDS = ("", " ", "a b", "a/b", "ü", "a\n", "x" * 101)
_BAD_TURNS = (
    ("request_id", ""),
    ("request_id", "a b"),
    ("request_id", "x" * 129),
    ("asked_at", -1.0),
    ("asked_at", math.nan),
    ("asked_at", math.inf),
    ("source", "x" * 51),
    ("tier", "x" * 51),
    ("question", "half \ud800"),
    ("answer", "half \ud800"),
)
_ODD_TEXTS = ("", " ", "ü🦊", "a\x00b", "{$set: 1}", "'; DROP TABLE turns; --", "\u202e", "line\r\nline")


class ConversationConformance(RecordConformance):
    """The contract of ``ConversationStore``."""

    async def fill(self, records: RecordPlace, conversation_id: str, *, asked_at: float) -> None:
        """Give a conversation as many turns as it may have; for stores that have a quicker way to it."""
        for n in range(MAX_TURNS):
            await records.conversations.append(conversation_id, sample_turn(n, asked_at=asked_at))

    async def test_has_the_protocol_and_a_name(self, tmp_path: Path) -> None:
        """It has every member of the protocol, and a name that begins with "records:"."""
        async with self.make_records(tmp_path, clock=FakeClock()) as records:
            assert isinstance(records.conversations, ConversationStore)
            assert records.conversations.name == records.name
            assert records.name.startswith("records:")
            await records.conversations.ping()

    async def test_turns_come_back_as_they_were(self, tmp_path: Path) -> None:
        """Turns come back in the order in which they were appended, field by field, to another process too."""
        clock = FakeClock()
        turns = [sample_turn(n, asked_at=now_of(clock) - n) for n in range(3)]
        async with self.make_records(tmp_path, clock=clock) as records:
            for turn in turns:
                await records.conversations.append("c1", turn)
                clock.advance(1)
        async with self.make_records(tmp_path, clock=clock) as records:
            found = await records.conversations.get("c1")
        assert found is not None
        assert list(found.turns) == turns
        assert (found.id, found.first, found.summary, found.summarised) == ("c1", 0, "", 0)
        assert found.updated_at - found.created_at == pytest.approx(2.0)

    async def test_odd_texts_come_back(self, tmp_path: Path) -> None:
        """Any valid Unicode is a question and an answer, and comes back as it was."""
        clock = FakeClock()
        async with self.make_records(tmp_path, clock=clock) as records:
            for n, text in enumerate(_ODD_TEXTS):
                turn = replace(sample_turn(n, asked_at=now_of(clock)), question=text, answer=text)
                await records.conversations.append("odd", turn)
            found = await records.conversations.get("odd")
        assert found is not None
        assert [turn.answer for turn in found.turns] == list(_ODD_TEXTS)
        assert [turn.question for turn in found.turns] == list(_ODD_TEXTS)

    async def test_the_last_turns(self, tmp_path: Path) -> None:
        """The last n turns come with the number of the first of them; 0 gives none, more than there are gives all."""
        clock = FakeClock()
        async with self.make_records(tmp_path, clock=clock) as records:
            for n in range(5):
                await records.conversations.append("c1", sample_turn(n, asked_at=now_of(clock)))
            for last, first in ((0, 5), (1, 4), (2, 3), (5, 0), (99, 0)):
                found = await records.conversations.get("c1", last=last)
                assert found is not None
                assert found.first == first
                assert [turn.request_id for turn in found.turns] == [f"req_{n}" for n in range(first, 5)]
            with pytest.raises(InvalidInputError, match="last"):
                await records.conversations.get("c1", last=-1)

    async def test_unknown_conversations(self, tmp_path: Path) -> None:
        """What is not there is None to look at, cannot be summarised, and is not there to delete."""
        async with self.make_records(tmp_path, clock=FakeClock()) as records:
            assert await records.conversations.get("none") is None
            assert await records.conversations.summarise("none", "short", upto=1) is False
            assert await records.conversations.delete("none") is False
            assert list((await records.conversations.page()).conversations) == []

    async def test_ids_are_bounded(self, tmp_path: Path) -> None:
        """An id that cannot be one is refused by every call, with the rule."""
        turn = sample_turn(1, asked_at=1.0)
        async with self.make_records(tmp_path, clock=FakeClock()) as records:
            store = records.conversations
            for bad in _BAD_IDS:
                for call in (
                    store.get(bad),
                    store.append(bad, turn),
                    store.summarise(bad, "s", upto=1),
                    store.delete(bad),
                ):
                    with pytest.raises(InvalidInputError, match="1 to 100 letters") as caught:
                        await call
                    assert caught.value.field == "conversation_id"

    async def test_a_request_is_one_turn(self, tmp_path: Path) -> None:
        """The same request is appended once, whatever it holds the second time; in another conversation it is new."""
        clock = FakeClock()
        turn = sample_turn(1, asked_at=now_of(clock))
        async with self.make_records(tmp_path, clock=clock) as records:
            await records.conversations.append("c1", turn)
            await records.conversations.append("c1", sample_turn(2, asked_at=now_of(clock)))
            await records.conversations.append("c1", turn)
            await records.conversations.append("c1", replace(turn, answer="Another."))
            await records.conversations.append("c2", turn)
            first, second = await records.conversations.get("c1"), await records.conversations.get("c2")
        assert first is not None
        assert second is not None
        assert [each.answer for each in first.turns] == ["Answer 1.", "Answer 2."]
        assert len(second.turns) == 1

    async def test_appending_at_once(self, tmp_path: Path) -> None:
        """Two processes that append to one conversation at the same time lose nothing and double nothing."""
        clock = FakeClock()
        turns = [sample_turn(n, asked_at=now_of(clock)) for n in range(12)]
        async with (
            self.make_records(tmp_path, clock=clock) as one,
            self.make_records(tmp_path, clock=clock) as other,
        ):
            await asyncio.gather(
                *(store.conversations.append("c1", turn) for turn in turns for store in (one, other)),
            )
            found = await one.conversations.get("c1")
        assert found is not None
        assert sorted(turn.request_id for turn in found.turns) == sorted(turn.request_id for turn in turns)

    async def test_turns_are_checked(self, tmp_path: Path) -> None:
        """A turn with a field out of its range is refused by the field's name, and nothing is kept of it."""
        async with self.make_records(tmp_path, clock=FakeClock()) as records:
            for field, value in _BAD_TURNS:
                turn = replace(sample_turn(1, asked_at=1.0), **{field: value})  # type: ignore[arg-type] # on purpose
                with pytest.raises(InvalidInputError) as caught:
                    await records.conversations.append("c1", turn)
                assert caught.value.field == field
            assert await records.conversations.get("c1") is None

    async def test_turns_are_bounded(self, tmp_path: Path) -> None:
        """A turn of the largest size is kept, one byte more is refused; a conversation is full at its bytes."""
        clock = FakeClock()
        turn = sample_turn(0, asked_at=now_of(clock))
        room = MAX_TURN_BYTES - sum(
            len(text) for text in (turn.request_id, turn.question, turn.standalone, turn.source, turn.tier)
        )
        async with self.make_records(tmp_path, clock=clock) as records:
            with pytest.raises(InvalidInputError, match="at most 1,048,576"):
                await records.conversations.append("c1", replace(turn, answer="x" * (room + 1)))
            for n in range(MAX_CONVERSATION_BYTES // MAX_TURN_BYTES):
                await records.conversations.append("c1", replace(turn, request_id=f"req_{n}", answer="x" * room))
            with pytest.raises(InvalidInputError, match="full"):
                await records.conversations.append("c1", replace(turn, request_id="more", answer="x"))
            await records.conversations.append("c1", replace(turn, answer="x" * room))  # one that it has
            found = await records.conversations.get("c1", last=1)
        assert found is not None
        assert len(found.turns[0].answer) == room

    async def test_the_number_of_turns_is_bounded(self, tmp_path: Path) -> None:
        """A conversation takes so many turns and no more, and says what to do."""
        clock = FakeClock()
        async with self.make_records(tmp_path, clock=clock) as records:
            await self.fill(records, "c1", asked_at=now_of(clock))
            with pytest.raises(InvalidInputError, match="begin a new one"):
                await records.conversations.append("c1", sample_turn(MAX_TURNS, asked_at=now_of(clock)))
            found = await records.conversations.get("c1", last=1)
        assert found is not None
        assert found.first == MAX_TURNS - 1

    async def test_a_summary_moves_forward_only(self, tmp_path: Path) -> None:
        """A summary replaces one of fewer turns; one that covers no more, or more than there are, is not kept."""
        clock = FakeClock()
        async with self.make_records(tmp_path, clock=clock) as records:
            store = records.conversations
            for n in range(4):
                await store.append("c1", sample_turn(n, asked_at=now_of(clock)))
            assert await store.summarise("c1", "two", upto=2) is True
            assert await store.summarise("c1", "two again", upto=2) is False
            assert await store.summarise("c1", "one", upto=1) is False
            assert await store.summarise("c1", "three", upto=3) is True
            assert await store.summarise("c1", "five", upto=5) is False
            found = await store.get("c1", last=0)
            assert found is not None
            assert (found.summary, found.summarised) == ("three", 3)
            with pytest.raises(InvalidInputError, match="upto"):
                await store.summarise("c1", "none", upto=0)
            with pytest.raises(InvalidInputError, match="summary"):
                await store.summarise("c1", "x" * (MAX_SUMMARY_BYTES + 1), upto=4)

    async def test_a_summary_belongs_to_its_conversation(self, tmp_path: Path) -> None:
        """A summary of a deleted conversation is never taken for one of its successor under the same id."""
        clock = FakeClock()
        async with self.make_records(tmp_path, clock=clock) as records:
            store = records.conversations
            await store.append("c1", sample_turn(1, asked_at=now_of(clock)))
            old = await store.get("c1")
            clock.advance(1)
            await store.delete("c1")
            clock.advance(1)
            await store.append("c1", sample_turn(2, asked_at=now_of(clock)))
            new = await store.get("c1")
            assert old is not None
            assert new is not None
            assert await store.summarise("c1", "of the old", upto=1, created_at=old.created_at) is False
            assert await store.summarise("c1", "of the new", upto=1, created_at=new.created_at) is True

    async def test_deleted_means_gone(self, tmp_path: Path) -> None:
        """A deleted conversation is not found, not listed and not there a second time; others stay."""
        clock = FakeClock()
        async with self.make_records(tmp_path, clock=clock) as records:
            store = records.conversations
            for name in ("c1", "c2"):
                await store.append(name, sample_turn(1, asked_at=now_of(clock)))
            assert await store.summarise("c1", "short", upto=1)
            assert await store.delete("c1") is True
            assert await store.delete("c1") is False
            assert await store.get("c1") is None
            assert await store.summarise("c1", "late", upto=1) is False
            assert [each.id for each in (await store.page()).conversations] == ["c2"]

    async def test_late_turns_of_a_deleted_conversation(self, tmp_path: Path) -> None:
        """What was asked before the deletion is refused, by every process; what is asked after it begins anew."""
        clock = FakeClock()
        asked_before = now_of(clock)
        async with (
            self.make_records(tmp_path, clock=clock) as records,
            self.make_records(tmp_path, clock=clock) as other,
        ):
            await records.conversations.append("c1", sample_turn(1, asked_at=asked_before))
            clock.advance(5)
            await records.conversations.delete("c1")
            for store in (records.conversations, other.conversations):
                for late in (1, 2):
                    with pytest.raises(NotFoundError, match="deleted") as caught:
                        await store.append("c1", sample_turn(late, asked_at=asked_before + late))
                    assert caught.value.field == "conversation_id"
            clock.advance(5)
            await records.conversations.append("c1", sample_turn(3, asked_at=now_of(clock)))
            with pytest.raises(NotFoundError):
                await other.conversations.append("c1", sample_turn(4, asked_at=asked_before))
            found = await other.conversations.get("c1")
        assert found is not None
        assert [turn.request_id for turn in found.turns] == ["req_3"]
        assert (found.first, found.summary, found.summarised) == (0, "", 0)
        assert found.created_at == pytest.approx(asked_before + 10)

    async def test_deleting_what_waits_elsewhere(self, tmp_path: Path) -> None:
        """Deleting a conversation that is not there yet refuses its turns that were asked before, too."""
        clock = FakeClock()
        async with self.make_records(tmp_path, clock=clock) as records:
            asked_before = now_of(clock)
            clock.advance(1)
            assert await records.conversations.delete("c1") is False
            with pytest.raises(NotFoundError):
                await records.conversations.append("c1", sample_turn(1, asked_at=asked_before))

    async def test_deletions_are_forgotten_in_the_end(self, tmp_path: Path) -> None:
        """After a week a sweep forgets that a conversation was deleted; before, it does not."""
        clock = FakeClock()
        asked_before = now_of(clock)
        async with self.make_records(tmp_path, clock=clock) as records:
            await records.conversations.delete("c1")
            clock.advance(TOMBSTONE_SECONDS - 60)
            await records.sweep()
            with pytest.raises(NotFoundError):
                await records.conversations.append("c1", sample_turn(1, asked_at=asked_before))
            clock.advance(120)
            await records.sweep()
            await records.conversations.append("c1", sample_turn(1, asked_at=asked_before))

    async def test_pages(self, tmp_path: Path) -> None:
        """Pages give every conversation once, the one with the latest turn first, with its counts and how it began."""
        clock = FakeClock()
        async with self.make_records(tmp_path, clock=clock) as records:
            store = records.conversations
            for n in range(7):
                await store.append(f"c{n}", sample_turn(n, asked_at=now_of(clock)))
                clock.advance(n % 2)  # some at the same moment
            clock.advance(1)
            await store.append("c2", sample_turn(9, asked_at=now_of(clock)))
            page = await store.page(limit=3)
            seen = list(page.conversations)
            while page.next_cursor is not None:
                page = await store.page(limit=3, cursor=page.next_cursor)
                assert page.conversations
                seen += page.conversations
        assert [each.id for each in seen] == ["c2", "c6", "c5", "c4", "c3", "c1", "c0"]
        assert [each.turns for each in seen] == [2, 1, 1, 1, 1, 1, 1]
        assert seen[0].first_question == "Question 2?"
        assert seen[0].updated_at > seen[0].created_at

    async def test_a_page_shortens_questions(self, tmp_path: Path) -> None:
        """A first question is shown on one line, cut to its bound."""
        clock = FakeClock()
        async with self.make_records(tmp_path, clock=clock) as records:
            turn = replace(sample_turn(1, asked_at=now_of(clock)), question="Where\nis " + "my parcel " * 50)
            await records.conversations.append("c1", turn)
            (brief,) = (await records.conversations.page()).conversations
        assert brief.first_question.startswith("Where is my parcel")
        assert len(brief.first_question) <= BRIEF_CHARS

    async def test_strange_cursors(self, tmp_path: Path) -> None:
        """A cursor that no page gave is refused, as is a limit below 1."""
        async with self.make_records(tmp_path, clock=FakeClock()) as records:
            for cursor in ("", "nonsense", "W10=", "WzEsIDJd", "é", "WzEuMCwgImEiXQ"):
                with pytest.raises(InvalidInputError, match="cursor"):
                    await records.conversations.page(cursor=cursor)
            with pytest.raises(InvalidInputError, match="limit"):
                await records.conversations.page(limit=0)

    async def test_old_conversations_end(self, tmp_path: Path) -> None:
        """A conversation is kept for the retention after its last turn; then nobody sees it, and a sweep removes it."""
        clock = FakeClock()
        async with self.make_records(tmp_path, clock=clock, retention=10 * DAY) as records:
            store = records.conversations
            await store.append("old", sample_turn(1, asked_at=now_of(clock)))
            await store.append("used", sample_turn(1, asked_at=now_of(clock)))
            clock.advance(6 * DAY)
            await store.append("used", sample_turn(2, asked_at=now_of(clock)))
            clock.advance(6 * DAY)
            assert await store.get("old") is None
            assert await store.summarise("old", "late", upto=1) is False
            assert [each.id for each in (await store.page()).conversations] == ["used"]
            assert await records.sweep() == 1
            assert await records.sweep() == 0
            found = await store.get("used")
            assert found is not None
            assert len(found.turns) == 2

    async def test_an_old_conversation_is_not_continued(self, tmp_path: Path) -> None:
        """Who goes on under the id of a conversation that is too old begins a new one."""
        clock = FakeClock()
        async with self.make_records(tmp_path, clock=clock, retention=DAY) as records:
            await records.conversations.append("c1", sample_turn(1, asked_at=now_of(clock)))
            clock.advance(2 * DAY)
            await records.conversations.append("c1", sample_turn(2, asked_at=now_of(clock)))
            found = await records.conversations.get("c1")
        assert found is not None
        assert [turn.request_id for turn in found.turns] == ["req_2"]
        assert found.first == 0

    async def test_without_retention_all_is_kept(self, tmp_path: Path) -> None:
        """With a retention of 0 a conversation is kept for ever."""
        clock = FakeClock()
        async with self.make_records(tmp_path, clock=clock) as records:
            await records.conversations.append("c1", sample_turn(1, asked_at=now_of(clock)))
            clock.advance(10_000 * DAY)
            assert await records.sweep() == 0
            assert await records.conversations.get("c1") is not None
