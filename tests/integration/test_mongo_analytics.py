"""Analytics and logs in MongoDB: a row a question, written in the background, and dropped when the server is away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.mongo.place import SOCKETS, MongoPlace, mongo_place

from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.core.events import BreakerTransition, Events
from holdfast.rag.store.mongo import analytics
from holdfast.rag.store.mongo.layout import ANALYTICS, INDEXES, LOGS
from holdfast.telemetry.events import AnswerReturned, StageFailed, TierChanged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = SOCKETS


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[MongoPlace]:
    async with mongo_place(tmp_path) as made:
        yield made


def _answered(request_id: str) -> AnswerReturned:
    return AnswerReturned(
        time_ns=SYSTEM_CLOCK.wall_ns(), correlation_id=request_id, status="degraded", source="extract", tier="degraded",
        degraded=True, reasons=("embedder_unavailable",), cost_usd=0.25, seconds=0.125,
    )  # fmt: skip


def _failed(request_id: str) -> StageFailed:
    return StageFailed(
        time_ns=SYSTEM_CLOCK.wall_ns(), correlation_id=request_id, dependency="embedder:x", stage="embed",
        reason_code="embedder_unavailable", error="EmbedderError: away",
    )  # fmt: skip


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in {"_id", "at", "expires_at"}}


async def test_a_question_is_a_row_and_a_warning_is_one(place: MongoPlace) -> None:
    """The rows say what happened and never what was asked, and when the server is to delete them."""
    events = Events()
    async with place.opened(events=events, analytics_days=7.0) as store:
        events.emit(_answered("r1"))
        events.emit(_failed("r1"))
        events.emit(
            TierChanged(time_ns=SYSTEM_CLOCK.wall_ns(), from_tier="minimal", to_tier="full", reasons=())
        )  # no warning: the service is whole again
        assert store.analytics is not None
        await store.analytics.write()
        (question,) = await place.rows("analytics")
        assert _row(question) == {
            "request_id": "r1", "status": "degraded", "source": "extract", "tier": "degraded", "degraded": True,
            "reasons": ["embedder_unavailable"], "latency_ms": 125.0, "cost_usd": 0.25,
        }  # fmt: skip
        (warning,) = await place.rows("logs")
        assert _row(warning) == {
            "level": "warning", "message": "stage failed", "request_id": "r1", "dependency": "embedder:x",
            "fields": {"stage": "embed", "reason_code": "embedder_unavailable", "error": "EmbedderError: away"},
        }  # fmt: skip
        for row in (question, warning):
            assert row["expires_at"] - row["at"] == timedelta(days=7)
            assert abs(row["at"].replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=1)
        assert store.analytics.dropped == 0


@pytest.mark.parametrize("collection", [ANALYTICS, LOGS])
def test_the_server_is_told_to_delete_rows_that_have_ended(collection: str) -> None:
    """An index on the time at which a row ends, and no seconds to add to it: days that change need no other index."""
    (expiry,) = [index.document for index in INDEXES[collection] if "expireAfterSeconds" in index.document]
    assert expiry["key"] == {"expires_at": 1}
    assert expiry["expireAfterSeconds"] == 0


async def test_what_waits_is_written_at_the_end(place: MongoPlace) -> None:
    """Closing the store loses nothing while the server is there; afterwards nothing is listened to."""
    events = Events()
    async with place.opened(events=events):
        events.emit(_answered("r1"))
    assert not events.active
    assert [row["request_id"] for row in await place.rows("analytics")] == ["r1"]


async def test_without_the_server_rows_are_dropped_and_counted(
    place: MongoPlace, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits and nothing piles up; the log says it once, and once that it is over."""
    caplog.set_level("INFO", logger="holdfast")
    events = Events()
    async with place.opened(events=events) as store:
        assert store.analytics is not None
        async with place.failing("insert", closeConnection=True):
            for n in range(3):
                events.emit(_answered(f"lost{n}"))
                await store.analytics.write()
        assert store.analytics.dropped == 3
        events.emit(_answered("kept"))
        await store.analytics.write()
        assert [row["request_id"] for row in await place.rows("analytics")] == ["kept"]
    messages = [record.message for record in caplog.records if "nalytics" in record.message]
    assert len(messages) == 2
    assert "are dropped until they can be" in messages[0]
    assert "3 rows were dropped so far" in messages[1]


async def test_the_buffer_has_an_end(place: MongoPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than it takes are dropped and counted, and those that were there first stay."""
    monkeypatch.setattr(analytics, "BUFFER", 2)
    events = Events()
    async with place.opened(events=events) as store:
        assert store.analytics is not None
        for n in range(5):
            events.emit(_answered(f"r{n}"))
        await store.analytics.write()
        assert store.analytics.dropped == 3
        assert sorted(row["request_id"] for row in await place.rows("analytics")) == ["r0", "r1"]


async def test_a_breaker_that_opens_is_logged(place: MongoPlace) -> None:
    """Events of the policies are there too, with what they say as plain values."""
    events = Events()
    async with place.opened(events=events) as store:
        assert store.analytics is not None
        for state in ("open", "closed"):
            events.emit(
                BreakerTransition(
                    time_ns=SYSTEM_CLOCK.wall_ns(),
                    correlation_id="",
                    call_id="",
                    pipeline="store",
                    policy="breaker",
                    dependency="store:mongo",
                    attempt=0,
                    from_state="closed",
                    to_state=state,
                    reason="failures",
                    generation=1,
                    shadow=False,
                )
            )
        await store.analytics.write()
        (row,) = await place.rows("logs")
        assert row["message"] == "circuit breaker open"
        assert row["fields"] == {"from_state": "closed", "to_state": "open", "reason": "failures"}
