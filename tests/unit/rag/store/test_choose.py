"""Which store the settings name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.core.clock import SystemClock
from holdfast.core.events import Events
from holdfast.errors import ConfigError, MissingExtraError
from holdfast.rag.app import build_engine
from holdfast.rag.settings import Settings
from holdfast.rag.store.base import Store
from holdfast.rag.store.choose import StoreKind, build_stores, store_kind
from holdfast.rag.store.lance import LanceStore
from holdfast.rag.store.mongo import MongoStore
from holdfast.rag.store.sqlite import SqliteStore
from holdfast.testing.blocking import InlineBlocking

if TYPE_CHECKING:
    from pathlib import Path

URI = "mongodb://me:secret@127.0.0.1:1"


def _settings(folder: Path, **values: Any) -> Settings:
    return Settings(data_dir=folder, **values)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, StoreKind.SQLITE),
        ({"mongodb_uri": URI}, StoreKind.MONGODB),
        ({"mongodb_uri": URI, "store": "sqlite"}, StoreKind.SQLITE),
        ({"mongodb_uri": URI, "store": "lancedb"}, StoreKind.LANCEDB),
        ({"store": "lancedb"}, StoreKind.LANCEDB),
        ({"store": "mongodb", "mongodb_uri": URI}, StoreKind.MONGODB),
    ],
)
async def test_the_store_is_the_one_that_is_named(tmp_path: Path, values: dict[str, str], kind: StoreKind) -> None:
    """Without a name MongoDB where there is an address, else SQLite; nothing is opened, and no folder made."""
    settings = _settings(tmp_path / "data", **values)
    assert store_kind(settings) is kind
    stores = build_stores(settings, blocking=InlineBlocking(), clock=SystemClock(), events=Events())
    assert stores.kind is kind
    assert isinstance(stores.store, Store)
    classes: dict[StoreKind, type] = {
        StoreKind.SQLITE: SqliteStore,
        StoreKind.LANCEDB: LanceStore,
        StoreKind.MONGODB: MongoStore,
    }
    assert isinstance(stores.store, classes[kind])
    assert (stores.jobs is not None) == (kind is StoreKind.LANCEDB)
    assert not (tmp_path / "data").exists()


async def test_mongodb_without_its_address_is_named(tmp_path: Path) -> None:
    """The error says which setting is missing, and for which."""
    with pytest.raises(ConfigError, match="mongodb_uri=None: must be set where `store` is mongodb"):
        build_stores(
            _settings(tmp_path, store="mongodb"), blocking=InlineBlocking(), clock=SystemClock(), events=Events()
        )


@pytest.mark.parametrize(
    ("store", "package", "extra"), [("lancedb", "lancedb", "lance"), ("mongodb", "pymongo", "mongo")]
)
async def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, package: str, extra: str
) -> None:
    """Without its packages a store cannot be built, and the error says what to install."""
    module = f"holdfast.rag.store.{extra}"
    for name in [each for each in sys.modules if each == module or each.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    settings = _settings(tmp_path, store=store, mongodb_uri=URI)
    with pytest.raises(MissingExtraError, match=rf"pip install 'holdfast\[{extra}\]'"):
        build_stores(settings, blocking=InlineBlocking(), clock=SystemClock(), events=Events())


async def test_analytics_are_switched_off_by_a_setting(tmp_path: Path) -> None:
    """0 days: nothing is listened to."""
    for days, there in ((0, False), (7, True)):
        settings = _settings(tmp_path, mongodb_uri=URI, analytics_days=days)
        stores = build_stores(settings, blocking=InlineBlocking(), clock=SystemClock(), events=Events())
        assert isinstance(stores.store, MongoStore)
        assert (stores.store.analytics is not None) == there


async def test_an_engine_answers_from_lancedb(tmp_path: Path) -> None:
    """The settings alone make a service whose documents are in LanceDB and whose jobs are in SQLite."""
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "zebra.md").write_text("# Zebras\n\nA zebra eats grass and lives in the savanna.\n")
    engine = build_engine(_settings(tmp_path / "data", store="lancedb", embedder="none"))
    await engine.open()
    try:
        assert isinstance(engine.store, LanceStore)
        assert engine.jobs is engine.store.jobs
        await engine.ingestor.ingest_paths([documents])
        answer = await engine.ask("What does a zebra eat?")
        assert [citation.title for citation in answer.citations] == ["Zebras"]
    finally:
        await engine.close()
    assert (tmp_path / "data" / "lance" / "chunks.lance").is_dir()
    assert (tmp_path / "data" / "holdfast.sqlite3").is_file()
