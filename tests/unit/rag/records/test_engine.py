"""The records in the engine: opened and closed with it, and cleared together."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.errors import HoldfastError
from holdfast.rag.conversations.conversations import Conversations
from holdfast.rag.records.feedback import Feedback
from holdfast.rag.records.sqlite import FILE_NAME
from holdfast.rag.types import Tier
from holdfast.testing.record_conformance import sample_turn

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_opened_and_closed_with_the_engine(make_engine: Callable[..., Any]) -> None:
    """The engine's records are ready when it is, their breaker is among its guards, and they close with it."""
    parts = make_engine()
    records = parts.engine.records
    await parts.engine.open()
    await records.call(records.conversations.append, "c1", sample_turn(1, asked_at=1.0))
    assert (parts.folder / FILE_NAME).exists()
    assert parts.engine.guards()["records:sqlite"] is records.guard
    await parts.engine.close()
    with pytest.raises(HoldfastError, match="closed"):
        await records.conversations.get("c1")


async def test_damaged_records_do_not_stop_the_engine(make_engine: Callable[..., Any]) -> None:
    """An engine whose records are damaged opens, and answers."""
    parts = make_engine()
    parts.folder.mkdir(parents=True)
    (parts.folder / FILE_NAME).write_bytes(b"damaged " * 1_000)
    await parts.engine.open()
    await parts.engine.ingestor.ingest_paths([parts.documents])
    assert (await parts.engine.ask("How long can I send things back?")).tier is Tier.FULL
    await parts.engine.close()


@pytest.mark.parametrize("remembering", [True, False])
async def test_a_conversation_is_deleted_with_its_feedback(make_engine: Callable[..., Any], remembering: bool) -> None:
    """Deleting a conversation removes it and what was said of its answers, and says whether it was there."""
    parts = make_engine()
    engine, records = parts.engine, parts.engine.records
    if remembering:
        engine.conversations = Conversations(
            records.conversations,
            records.guard,
            completer=None,
            clock=parts.clock,
            rng=random.Random(7),
            events=engine.events,
        )
    await engine.open()
    await records.conversations.append("c1", sample_turn(1, asked_at=1.0))
    await records.feedback.put(Feedback(request_id="req_1", useful=False, given_at=2e9))
    assert await engine.delete_conversation("c1") is True
    assert await engine.delete_conversation("c1") is False
    assert await records.conversations.get("c1") is None
    assert await records.feedback.get("req_1") is None
    await engine.close()
