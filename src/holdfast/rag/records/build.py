"""Puts the records of a service together."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.core.events import Events
from holdfast.rag.records.records import Records
from holdfast.rag.records.sqlite import SqliteRecords
from holdfast.rag.store.choose import StoreKind, store_kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking
    from holdfast.rag.records.records import RecordPlace
    from holdfast.rag.settings import Settings

__all__ = ["build_records", "opened_records"]

_DAY_SECONDS = 86_400.0


def build_records(
    settings: Settings, *, blocking: Blocking, clock: Clock, rng: random.Random, events: Events
) -> Records:
    """The records of these settings: in MongoDB where the documents are, else in ``data_dir``. No I/O.

    Raises:
        ConfigError: they are to be in MongoDB, and its address is missing or cannot be read.
        MissingExtraError: its driver is not installed.
    """
    retention = settings.conversation_days * _DAY_SECONDS
    place: RecordPlace
    if store_kind(settings) is StoreKind.MONGODB and settings.mongodb_uri is not None:
        from holdfast.rag.records.mongo import MongoRecords  # noqa: PLC0415 - an extra, not needed without MongoDB

        place = MongoRecords(settings.mongodb_uri.get_secret_value(), clock=clock, retention=retention)
    else:
        place = SqliteRecords(settings.data_dir, blocking=blocking, clock=clock, retention=retention)
    return Records(place, clock=clock, rng=rng, events=events)


@asynccontextmanager
async def opened_records(settings: Settings) -> AsyncIterator[Records]:
    """The records of these settings without a service around them, closed at the end of the block.

    Raises:
        ConfigError, MissingExtraError: as for :func:`build_records`.
    """
    blocking = ThreadBlocking(1)
    rng = random.Random()  # noqa: S311 - spreads retries; guards no secret
    records = build_records(settings, blocking=blocking, clock=SYSTEM_CLOCK, rng=rng, events=Events())
    try:
        yield records
    finally:
        await records.close()
        await blocking.close()
