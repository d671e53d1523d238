"""A process that remembers turns until it is killed; says what was acknowledged.

Started by ``test_conversations.py``.
"""

# ruff: noqa: T201 - the test reads what it prints

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SystemClock
from holdfast.core.events import Events
from holdfast.core.pipeline import Pipeline
from holdfast.core.timeout import Timeout
from holdfast.rag.conversations.conversations import Conversations
from holdfast.rag.query import Query
from holdfast.rag.records.sqlite import SqliteRecords
from holdfast.rag.types import Answer, Source, Tier


async def main(folder: Path) -> None:
    """Ask and answer, and report each turn after its acknowledgement."""
    clock = SystemClock()
    records = SqliteRecords(folder, blocking=ThreadBlocking(), clock=clock)
    guard = Pipeline(Timeout(seconds=10), name="records")
    conversations = Conversations(
        records.conversations, guard, completer=None, clock=clock, rng=random.Random(1), events=Events()
    )
    number = 0
    while True:
        number += 1
        query = Query(question=f"Is lamp {number} in stock?", conversation_id="c", request_id=f"req_{number}")
        asked = await conversations.begin(query)
        answer = Answer(text="Yes.", source=Source.LIVE, tier=Tier.FULL)
        if await conversations.finish(query, asked, answer):
            print(query.request_id, flush=True)


asyncio.run(main(Path(sys.argv[1])))
