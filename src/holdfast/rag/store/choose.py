"""Which store the settings name: the only place that knows all of them, and loads no other than the one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from holdfast.errors import ConfigError
from holdfast.rag.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.ports import Blocking
    from holdfast.rag.settings import Settings
    from holdfast.rag.store.base import Store
    from holdfast.rag.store.jobs import JobStore

__all__ = ["StoreKind", "Stores", "build_stores", "store_kind"]


class StoreKind(StrEnum):
    """Where documents are."""

    SQLITE = "sqlite"
    LANCEDB = "lancedb"
    MONGODB = "mongodb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """A document store, and where its ingest jobs are.

    Attributes:
        jobs: None where ``store`` is a ``JobStore`` too; else opened and closed with it.
    """

    kind: StoreKind
    store: Store
    jobs: JobStore | None = None


def store_kind(settings: Settings) -> StoreKind:
    """The store that the settings name; without a name MongoDB where its address is given, else SQLite.

    Raises:
        ConfigError: it is MongoDB, and its address is missing.
    """
    if settings.store is None:
        return StoreKind.SQLITE if settings.mongodb_uri is None else StoreKind.MONGODB
    kind = StoreKind(settings.store)
    if kind is StoreKind.MONGODB and settings.mongodb_uri is None:
        raise ConfigError("mongodb_uri", None, "must be set where `store` is mongodb")
    return kind


def build_stores(settings: Settings, *, blocking: Blocking, clock: Clock, events: Events) -> Stores:
    """The store of these settings, not opened. No I/O.

    Args:
        events: what analytics are made of, where the store keeps them and the settings want them.

    Raises:
        ConfigError: a setting that the store needs is missing or cannot be used.
        MissingExtraError: the store's packages are not installed; the message says which extra has them.
    """
    kind = store_kind(settings)
    if kind is StoreKind.MONGODB:
        return _in_mongodb(settings, blocking, clock, events if settings.analytics_days else None)
    if kind is StoreKind.LANCEDB:
        return _in_lancedb(settings, blocking, clock)
    sqlite = SqliteStore(settings.data_dir, blocking=blocking, clock=clock)
    return Stores(kind=kind, store=sqlite)


def _in_lancedb(settings: Settings, blocking: Blocking, clock: Clock) -> Stores:
    from holdfast.rag.store.lance import LanceStore  # noqa: PLC0415 - an extra, and two seconds to load

    lance = LanceStore(
        settings.data_dir,
        blocking=blocking,
        clock=clock,
        uri=settings.lancedb_place,
        approximate=settings.approximate_vectors,
    )
    return Stores(kind=StoreKind.LANCEDB, store=lance, jobs=lance.jobs)


def _in_mongodb(settings: Settings, blocking: Blocking, clock: Clock, events: Events | None) -> Stores:
    from holdfast.rag.store.mongo import MongoStore  # noqa: PLC0415 - an extra, not needed without MongoDB

    if settings.mongodb_uri is None:
        raise ConfigError("mongodb_uri", None, "must be set where `store` is mongodb")
    mongo = MongoStore(
        settings.mongodb_uri.get_secret_value(),
        blocking=blocking,
        clock=clock,
        approximate=settings.approximate_vectors,
        events=events,
        analytics_days=settings.analytics_days or 1,
    )
    return Stores(kind=StoreKind.MONGODB, store=mongo)
