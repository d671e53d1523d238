"""The keepers of records keep their contracts: SQLite on real files, MongoDB over real sockets."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from tests.mongo.place import FAST, SOCKETS, MongoPlace, mongo_place

from holdfast.core.blocking import ThreadBlocking
from holdfast.rag.records.limits import MAX_TURNS
from holdfast.rag.records.mongo import MongoRecords
from holdfast.rag.records.sqlite import SqliteRecords
from holdfast.testing.record_conformance import (
    ConversationConformance,
    FeedbackConformance,
    KeyConformance,
    sample_turn,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from holdfast.core.clock import Clock
    from holdfast.rag.records.records import RecordPlace


class _OnSqlite:
    @asynccontextmanager
    async def make_records(self, place: Path, *, clock: Clock, retention: float = 0.0) -> AsyncIterator[SqliteRecords]:
        blocking = ThreadBlocking(max_workers=2)
        records = SqliteRecords(place / "data", blocking=blocking, clock=clock, retention=retention)
        await records.open()
        try:
            yield records
        finally:
            await records.close()
            await blocking.close()


class TestSqliteConversations(_OnSqlite, ConversationConformance):
    """``SqliteRecords``, its conversations."""


class TestSqliteKeys(_OnSqlite, KeyConformance):
    """``SqliteRecords``, its keys."""


class TestSqliteFeedback(_OnSqlite, FeedbackConformance):
    """``SqliteRecords``, its feedback."""


class _OnMongo:
    place: MongoPlace

    @pytest.fixture(autouse=True)
    async def _place(self, tmp_path: Path) -> AsyncIterator[None]:
        async with mongo_place(tmp_path) as self.place:
            yield

    @asynccontextmanager
    async def make_records(self, place: Path, *, clock: Clock, retention: float = 0.0) -> AsyncIterator[MongoRecords]:
        records = MongoRecords(
            self.place.uri, clock=clock, database=self.place.database, retention=retention, timeouts=FAST
        )
        await records.open()
        try:
            yield records
        finally:
            await records.close()


@SOCKETS
class TestMongoConversations(_OnMongo, ConversationConformance):
    """``MongoRecords``, its conversations."""

    async def fill(self, records: RecordPlace, conversation_id: str, *, asked_at: float) -> None:
        """mongomock copies a document at every change: the turns are put into it at once."""
        await records.conversations.append(conversation_id, sample_turn(0, asked_at=asked_at))
        turns = [asdict(sample_turn(n, asked_at=asked_at)) for n in range(MAX_TURNS)]
        async with self.place.client() as client:
            await client[self.place.database]["conversations"].update_one(
                {"id": conversation_id}, {"$set": {"turns": turns, "count": len(turns)}}
            )


@SOCKETS
class TestMongoKeys(_OnMongo, KeyConformance):
    """``MongoRecords``, its keys."""


@SOCKETS
class TestMongoFeedback(_OnMongo, FeedbackConformance):
    """``MongoRecords``, its feedback."""
