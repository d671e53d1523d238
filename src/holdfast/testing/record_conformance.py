"""What every keeper of records must do, as tests that any of them can be run against.

    class TestMyConversations(ConversationConformance):
        @asynccontextmanager
        async def make_records(self, place, *, clock, retention=0.0):
            records = MyRecords(...)
            await records.open()
            yield records
            await records.close()

and the same for ``KeyConformance`` and ``FeedbackConformance``. pytest with pytest-asyncio runs the tests of a class
like this one.
"""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import InvalidInputError
from holdfast.rag.records.feedback import COMMENT_MAX_CHARS, Feedback, FeedbackCounts, FeedbackStore
from holdfast.rag.records.keys import KeyStore, digest_of, make_key
from holdfast.testing.clock import FakeClock
from holdfast.testing.conversation_conformance import ConversationConformance
from holdfast.testing.record_samples import DAY, RecordConformance, now_of, sample_turn

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ConversationConformance", "FeedbackConformance", "KeyConformance", "sample_turn"]

_BAD_KEYS = (
    ("name", ""),
    ("name", "  "),
    ("name", "x" * 101),
    ("name", "two\nlines"),
    ("name", "hf_abc"),
    ("expires_at", 0.5),
    ("expires_at", math.inf),
    ("requests_per_minute", 0),
    ("tokens_per_minute", 2**63),
    ("priority", 10),
)
_BAD_FEEDBACK = (
    ("request_id", ""),
    ("request_id", "a b"),
    ("comment", "x" * (COMMENT_MAX_CHARS + 1)),
    ("comment", "half \ud800"),
    ("given_at", math.nan),
)


class KeyConformance(RecordConformance):
    """The contract of ``KeyStore``."""

    async def test_keys_come_back_as_they_were(self, tmp_path: Path) -> None:
        """Keys come back field by field, oldest first, to another process too; the key itself is nowhere."""
        clock = FakeClock()
        made = []
        async with self.make_records(tmp_path, clock=clock) as records:
            assert isinstance(records.keys, KeyStore)
            assert list(await records.keys.keys()) == []
            for name, expires, priority in (
                ("web", None, None),
                ("batch", now_of(clock) + 60, 2),
                ("Überblick", None, 9),
            ):
                key, secret = make_key(
                    name,
                    now=now_of(clock),
                    expires_at=expires,
                    requests_per_minute=priority and 60,
                    tokens_per_minute=priority and 9_000,
                    priority=priority,
                )
                assert key.digest == digest_of(secret)
                await records.keys.add(key)
                made.append(key)
                clock.advance(1)
        async with self.make_records(tmp_path, clock=clock) as records:
            assert list(await records.keys.keys()) == made

    async def test_names_are_used_once(self, tmp_path: Path) -> None:
        """Two keys that are not revoked never have one name, even when they come at once; a revoked one gives it up."""
        clock = FakeClock()
        keys = [make_key("web", now=now_of(clock))[0] for _ in range(3)]
        async with self.make_records(tmp_path, clock=clock) as records:
            results = await asyncio.gather(*(records.keys.add(key) for key in keys), return_exceptions=True)
            assert sum(result is None for result in results) == 1
            assert all("already" in str(result) for result in results if result is not None)
            (kept,) = await records.keys.keys()
            assert await records.keys.revoke(kept.digest, at=now_of(clock))
            await records.keys.add(make_key("web", now=now_of(clock) + 1)[0])
            assert [key.name for key in await records.keys.keys()] == ["web", "web"]

    async def test_revoked_and_deleted(self, tmp_path: Path) -> None:
        """A revoked key stays, with the time at which it was revoked first; a deleted one is gone."""
        clock = FakeClock()
        key, _ = make_key("web", now=now_of(clock))
        async with self.make_records(tmp_path, clock=clock) as records:
            await records.keys.add(key)
            assert await records.keys.revoke(key.digest, at=5.0) is True
            assert await records.keys.revoke(key.digest, at=6.0) is True
            (kept,) = await records.keys.keys()
            assert kept == replace(key, revoked_at=5.0)
            assert not kept.usable(now_of(clock))
            assert await records.keys.delete(key.digest) is True
            assert await records.keys.delete(key.digest) is False
            assert await records.keys.revoke(key.digest, at=7.0) is False
            assert list(await records.keys.keys()) == []

    async def test_last_use_moves_forward_only(self, tmp_path: Path) -> None:
        """The time of the last use moves forward only; nobody is told of keys that are not there."""
        keys = [make_key(name, now=1.0)[0] for name in ("a", "b")]
        async with self.make_records(tmp_path, clock=FakeClock()) as records:
            for key in keys:
                await records.keys.add(key)
            await records.keys.used({})
            await records.keys.used({keys[0].digest: 7.0, keys[1].digest: 8.0, "f" * 64: 9.0})
            await records.keys.used({keys[0].digest: 6.0})
            await records.keys.used({keys[1].digest: 9.0})
            assert {key.name: key.last_used_at for key in await records.keys.keys()} == {"a": 7.0, "b": 9.0}

    async def test_keys_are_checked(self, tmp_path: Path) -> None:
        """A key with a field out of its range is refused by the field's name."""
        async with self.make_records(tmp_path, clock=FakeClock()) as records:
            for field, value in _BAD_KEYS:
                key = replace(make_key("web", now=1.0)[0], **{field: value})  # type: ignore[arg-type] # on purpose
                with pytest.raises(InvalidInputError) as caught:
                    await records.keys.add(key)
                assert caught.value.field == field
            assert list(await records.keys.keys()) == []


class FeedbackConformance(RecordConformance):
    """The contract of ``FeedbackStore``."""

    async def test_the_last_word_counts(self, tmp_path: Path) -> None:
        """Of what is said of one answer the last counts, and comes back field by field."""
        first = Feedback(request_id="req_1", useful=False, comment="Wrong.", given_at=5.0)
        last = Feedback(request_id="req_1", useful=True, given_at=6.0)
        other = Feedback(request_id="req_2", useful=False, comment="ü🦊\x00", given_at=7.0)
        async with self.make_records(tmp_path, clock=FakeClock()) as records:
            assert isinstance(records.feedback, FeedbackStore)
            assert await records.feedback.get("req_1") is None
            for each in (first, last, last, other):
                await records.feedback.put(each)
        async with self.make_records(tmp_path, clock=FakeClock()) as records:
            assert await records.feedback.get("req_1") == last
            assert await records.feedback.get("req_2") == other

    async def test_counts(self, tmp_path: Path) -> None:
        """Answers are counted once each, by what was said of them last, and with their comments."""
        async with self.make_records(tmp_path, clock=FakeClock()) as records:
            assert await records.feedback.counts() == FeedbackCounts(useful=0, not_useful=0, comments=0)
            for n in range(5):
                await records.feedback.put(
                    Feedback(request_id=f"r{n}", useful=n < 3, comment="Thanks." * (n == 1), given_at=5.0)
                )
            await records.feedback.put(Feedback(request_id="r0", useful=False, comment="No.", given_at=6.0))
            assert await records.feedback.counts() == FeedbackCounts(useful=2, not_useful=3, comments=2)

    async def test_deleted(self, tmp_path: Path) -> None:
        """What was said of some answers can be removed; what was not said is not counted."""
        async with self.make_records(tmp_path, clock=FakeClock()) as records:
            for n in range(3):
                await records.feedback.put(Feedback(request_id=f"r{n}", useful=True, given_at=5.0))
            assert await records.feedback.delete([]) == 0
            assert await records.feedback.delete(["r0", "r2", "r9"]) == 2
            assert await records.feedback.get("r0") is None
            assert await records.feedback.get("r1") is not None

    async def test_old_feedback_ends(self, tmp_path: Path) -> None:
        """Feedback is kept for the retention after it was given; then nobody sees it, and a sweep removes it."""
        clock = FakeClock()
        async with self.make_records(tmp_path, clock=clock, retention=DAY) as records:
            await records.feedback.put(Feedback(request_id="r1", useful=True, given_at=now_of(clock)))
            clock.advance(2 * DAY)
            assert await records.feedback.get("r1") is None
            assert await records.feedback.counts() == FeedbackCounts(useful=0, not_useful=0, comments=0)
            assert await records.sweep() == 1

    async def test_feedback_is_checked(self, tmp_path: Path) -> None:
        """Feedback with a field out of its range is refused by the field's name."""
        async with self.make_records(tmp_path, clock=FakeClock()) as records:
            for field, value in _BAD_FEEDBACK:
                feedback = replace(Feedback(request_id="r1", useful=True, given_at=5.0), **{field: value})  # type: ignore[arg-type] # on purpose
                with pytest.raises(InvalidInputError) as caught:
                    await records.feedback.put(feedback)
                assert caught.value.field == field
