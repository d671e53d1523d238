"""The records of a service: when they are opened and swept, and what is forgotten together."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from holdfast.core.events import Events
from holdfast.errors import ConfigError, RetriesExhaustedError, StoreError
from holdfast.rag.records.build import build_records, opened_records
from holdfast.rag.records.feedback import Feedback
from holdfast.rag.records.keys import make_key
from holdfast.rag.records.records import Records
from holdfast.rag.records.sqlite import FILE_NAME, SqliteRecords
from holdfast.rag.settings import Settings, load_settings
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock
from holdfast.testing.record_conformance import sample_turn

if TYPE_CHECKING:
    from pathlib import Path


class Place(SqliteRecords):
    """Counts its sweeps, and breaks on demand."""

    sweeps = 0
    error: Exception | None = None

    async def sweep(self) -> int:
        self.sweeps += 1
        if self.error is not None:
            raise self.error
        return await super().sweep()


def made(folder: Path, clock: FakeClock) -> tuple[Records, Place]:
    place = Place(folder, blocking=InlineBlocking(), clock=clock, retention=60.0)
    return Records(place, clock=clock, rng=random.Random(7), events=Events()), place


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_opening_makes_nothing(tmp_path: Path) -> None:
    """The file is made by the first use and not before; closing twice is closing."""
    records, _ = made(tmp_path / "data", FakeClock())
    await records.open()
    assert not (tmp_path / "data").exists()
    await records.ping()
    assert (tmp_path / "data" / FILE_NAME).exists()
    await records.close()
    await records.close()


async def test_closed_records_open_again(tmp_path: Path) -> None:
    """Records that were closed can be opened again."""
    records, _ = made(tmp_path, FakeClock())
    await records.call(records.conversations.append, "c1", sample_turn(1, asked_at=1.0))
    await records.close()
    with pytest.raises((StoreError, RetriesExhaustedError)):
        await records.call(records.conversations.get, "c1")
    await records.open()
    assert await records.call(records.conversations.get, "c1") is not None
    await records.close()


async def test_records_that_cannot_be_opened_stop_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Opening broken records again is told in the log; they work as soon as they are mended."""
    records, _ = made(tmp_path / "data", FakeClock())
    await records.close()
    (tmp_path / "data").write_text("in the way")
    await records.open()
    assert "goes on without them" in caplog.text
    (tmp_path / "data").unlink()
    await records.call(records.feedback.counts)
    await records.close()


async def test_sweeps_come_by_themselves(tmp_path: Path) -> None:
    """A minute after the start and then every hour what is too old is removed; a failed sweep is not the last one."""
    clock = FakeClock()
    records, place = made(tmp_path, clock)
    await records.open()
    await records.call(records.conversations.append, "c1", sample_turn(1, asked_at=1.0))
    clock.advance(59)
    await settle()
    assert place.sweeps == 0
    clock.advance(2)
    await settle()
    assert place.sweeps == 1
    assert await place.sweep() == 0  # there was one, and it is gone
    place.error = StoreError("No.")
    for n in (3, 4, 5):
        clock.advance(3_600)
        await settle()
        assert place.sweeps == n
    await records.close()
    clock.advance(36_000)
    await settle()
    assert place.sweeps == 5


async def test_feedback_goes_with_its_conversation(tmp_path: Path) -> None:
    """What was said of the answers of a conversation is forgotten, and nothing else."""
    records, _ = made(tmp_path, FakeClock())
    for n in range(2):
        await records.conversations.append("c1", sample_turn(n, asked_at=1.0))
    for request_id in ("req_0", "req_1", "req_9"):
        await records.feedback.put(Feedback(request_id=request_id, useful=False, comment="c", given_at=2e9))
    await records.forget_feedback_on("c1")
    await records.forget_feedback_on("none")
    assert await records.feedback.get("req_0") is None
    assert await records.feedback.get("req_1") is None
    assert await records.feedback.get("req_9") is not None
    await records.close()


async def test_breaking_records_are_left_alone(tmp_path: Path) -> None:
    """Calls that keep failing open the breaker of the records, which nobody else's is."""
    records, _ = made(tmp_path / "data", FakeClock())
    (tmp_path / "data").write_text("in the way")
    for _ in range(5):
        with pytest.raises((StoreError, RetriesExhaustedError)):
            await records.call(records.feedback.counts)
    breaker = records.guard.snapshot().breaker
    assert breaker is not None
    assert (records.guard.name, breaker.state) == ("records:sqlite", "open")


async def test_the_settings_say_where(tmp_path: Path) -> None:
    """Records lie in the data folder, and with the documents in MongoDB in its database."""
    settings = Settings(data_dir=tmp_path, conversation_days=1)
    async with opened_records(settings) as records:
        assert records.name == "records:sqlite"
        key, _ = make_key("web", now=1.0)
        await records.call(records.keys.add, key)
    assert (tmp_path / FILE_NAME).exists()

    def build(settings: Settings) -> Records:
        return build_records(
            settings, blocking=InlineBlocking(), clock=FakeClock(), rng=random.Random(7), events=Events()
        )

    uri = SecretStr("mongodb://user:pa55word@127.0.0.1:1/")
    for store, name in (("mongodb", "mongodb"), (None, "mongodb"), ("sqlite", "sqlite"), ("lancedb", "sqlite")):
        built = build(load_settings(environ={}, data_dir=tmp_path, mongodb_uri=uri.get_secret_value(), store=store))
        assert built.name == f"records:{name}"
        await built.close()
    with pytest.raises(ConfigError) as caught:
        build(Settings(data_dir=tmp_path, store="mongodb"))
    assert caught.value.field == "mongodb_uri"
