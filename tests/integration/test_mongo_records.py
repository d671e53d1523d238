"""Records in MongoDB when the server, the network or another process fails: over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.mongo.place import FAST, SOCKETS, MongoPlace, mongo_place

from holdfast.core.clock import SystemClock
from holdfast.errors import ConfigError, StoreInterruptedError, StoreUnavailableError
from holdfast.rag.records.feedback import Feedback
from holdfast.rag.records.keys import make_key
from holdfast.rag.records.mongo import MongoRecords
from holdfast.rag.store.mongo.client import Timeouts
from holdfast.testing.record_conformance import sample_turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = SOCKETS


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[MongoPlace]:
    async with mongo_place(tmp_path) as place:
        yield place


@asynccontextmanager
async def records_of(place: MongoPlace, **options: Any) -> AsyncIterator[MongoRecords]:
    options = {"timeouts": FAST, "retention": 0.0, **options}
    records = MongoRecords(place.uri, clock=SystemClock(), database=place.database, **options)
    try:
        yield records
    finally:
        await records.close()


async def test_a_write_that_failed_may_be_sent_again_and_again(place: MongoPlace) -> None:
    """A write that the server refused for now is done by the next try, and by the one after it not a second time."""
    async with records_of(place) as records:
        await records.open()
        turn = sample_turn(1, asked_at=1.0)
        await records.conversations.append("c1", turn)
        async with place.failing("update", mode={"times": 1}, errorCode=91):
            with pytest.raises(StoreInterruptedError):
                await records.conversations.append("c1", sample_turn(2, asked_at=1.0))
        for _ in range(2):
            await records.conversations.append("c1", sample_turn(2, asked_at=1.0))
            await records.feedback.put(Feedback(request_id="r1", useful=True, given_at=1.0))
        found = await records.conversations.get("c1")
        assert found is not None
        assert [each.request_id for each in found.turns] == ["req_1", "req_2"]


async def test_a_write_that_is_not_confirmed_is_a_failure(place: MongoPlace) -> None:
    """A turn that is written and not confirmed by most members is a failure, and is there once when sent again."""
    concern = {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting for replication timed out"}
    async with records_of(place) as records:
        await records.conversations.append("c1", sample_turn(1, asked_at=1.0))
        async with place.failing("update", mode={"times": 1}, writeConcernError=concern):
            with pytest.raises(StoreInterruptedError, match="not confirmed by most members"):
                await records.conversations.append("c1", sample_turn(2, asked_at=1.0))
        await records.conversations.append("c1", sample_turn(2, asked_at=1.0))
        found = await records.conversations.get("c1")
        assert found is not None
        assert len(found.turns) == 2


async def test_lost_connections_are_told(place: MongoPlace) -> None:
    """A connection that is closed in the middle of a call is told as an interruption; the next call works."""
    async with records_of(place) as records:
        await records.open()
        for command, call in (
            ("find", lambda: records.conversations.get("c1")),
            ("update", lambda: records.conversations.append("c1", sample_turn(1, asked_at=1.0))),
            ("findAndModify", lambda: records.conversations.delete("c1")),
            ("insert", lambda: records.keys.add(make_key("web", now=1.0)[0])),
            ("aggregate", records.feedback.counts),
        ):
            async with place.failing(command, mode={"times": 1}, closeConnection=True):
                with pytest.raises(StoreInterruptedError, match="try again"):
                    await call()
            await records.ping()


async def test_a_server_that_is_not_there_is_told_in_time(place: MongoPlace) -> None:
    """Without a server every call fails within the time for finding one, with a sentence and without the password."""
    patience = Timeouts(select=0.2, connect=0.2, reply=0.2, queue=0.2)
    uri = "mongodb://user:pa55word@127.0.0.1:9/"
    records = MongoRecords(uri, clock=SystemClock(), database="nowhere", timeouts=patience)
    for call in (records.open(), records.keys.keys(), records.conversations.get("c1")):
        async with asyncio.timeout(3):
            with pytest.raises(StoreUnavailableError, match=r"nowhere on 127\.0\.0\.1:9 cannot be used") as caught:
                await call
        assert "pa55word" not in str(caught.value)
    await records.close()
    with pytest.raises(ConfigError, match="not shown here"):
        MongoRecords("mongodb://user:pa55word@:x/", clock=SystemClock())


async def test_indexes_are_made_by_the_first_change_where_opening_failed(place: MongoPlace) -> None:
    """Records that could not be opened have their indexes as soon as something is changed: names stay apart."""
    async with records_of(place) as records:
        async with place.failing("createIndexes", errorCode=91):
            with pytest.raises(StoreUnavailableError):
                await records.open()
            assert await records.conversations.get("c1") is None
        for _ in range(2):
            await records.conversations.append("c1", sample_turn(1, asked_at=1.0))
        if place.fake is not None:
            made = [command["createIndexes"] for command in place.fake.commands.seen if "createIndexes" in command]
            assert made == ["conversations", "api_keys", "feedback"]


async def test_what_is_left_of_a_deleted_conversation(place: MongoPlace) -> None:
    """Of a deleted conversation the hash of its id is left, and when it was deleted; nothing else, its id included."""
    async with records_of(place) as records:
        await records.conversations.append("very-own-id", sample_turn(1, asked_at=1.0))
        await records.conversations.summarise("very-own-id", "short", upto=1)
        await records.conversations.delete("very-own-id")
    (row,) = await place.rows("conversations")
    assert set(row) == {"_id", "live", "refused_before"}
    assert "very-own-id" not in str(row)


async def test_rows_of_a_later_version_are_read(place: MongoPlace) -> None:
    """While replicas are upgraded one by one, fields that a later version wrote are left alone and stop nobody."""
    key, _ = make_key("web", now=1.0)
    feedback = Feedback(request_id="r1", useful=True, comment="c", given_at=1.0)
    async with records_of(place) as records:
        await records.conversations.append("c1", sample_turn(1, asked_at=1.0))
        await records.keys.add(key)
        await records.feedback.put(feedback)
        async with place.client() as client:
            database = client[place.database]
            await database["conversations"].update_one({"id": "c1"}, {"$set": {"new": 1, "turns.0.new": 1}})
            await database["api_keys"].update_one({}, {"$set": {"new": 1}})
            await database["feedback"].update_one({}, {"$set": {"new": 1}})
        await records.conversations.append("c1", sample_turn(2, asked_at=1.0))
        for last in (None, 2):
            found = await records.conversations.get("c1", last=last)
            assert found is not None
            assert list(found.turns) == [sample_turn(n, asked_at=1.0) for n in (1, 2)]
        assert list(await records.keys.keys()) == [key]
        assert await records.feedback.get("r1") == feedback
