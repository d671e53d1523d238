"""Where the table is, and what a reader sees: one version of it, whole.

Every read begins by asking for the newest version, and keeps to it until its end. A folder that was deleted while it is
open would go on answering, and a write would make half of it anew: so before every use the folder at the path is
compared with the one that is open, whose descriptor is held lest its number be given to another.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import lancedb
from lancedb.table import LanceTable

from holdfast.rag.store.lance.faults import closed, foreign, gone, missing, other_layout
from holdfast.rag.store.lance.layout import CREATED, INDEXES, LAYOUT, LAYOUT_VERSION, TABLE, base_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from lancedb.db import DBConnection

__all__ = ["Home", "Snapshot"]

_INDEX_CACHE_BYTES = 512 * 1024 * 1024  # LanceDB's own default is 6 GB
_METADATA_CACHE_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One version of the table; never changed.

    Attributes:
        created_us: which table it is: the microsecond of Unix time at which it was made.
        version: of the table; another for every commit, those that only tidy up included.
        counts: the numbers of chunks that were counted of it, by condition.
    """

    table: LanceTable
    schema: pa.Schema
    created_us: int
    version: int
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def generation(self) -> int:
        """Grows with every commit, also when the table is made anew; never stands for two contents."""
        return self.created_us + self.version

    @property
    def figures(self) -> Mapping[str, Any]:
        """LanceDB's own: ``total_bytes``, and the files under ``fragment_stats``."""
        figures: object = self.table.stats()
        return cast("Mapping[str, Any]", figures)  # whatever its annotation says

    def count(self, condition: str) -> int:
        """The number of rows; counted once."""
        known = self.counts.get(condition)
        if known is None:
            known = self.counts[condition] = self.table.count_rows(condition)
        return known


@dataclass(slots=True)
class _Open:
    """The table's folder as it was found once.

    Attributes:
        folder: a descriptor of it, on this machine's disk.
    """

    connection: DBConnection
    newest: LanceTable
    created_us: int
    folder: int | None
    snapshot: Snapshot | None = None
    is_indexed: bool = False


class Home:
    """The table at a place. Thread-safe, blocking.

    Args:
        uri: a folder, or an address of object storage such as ``s3://bucket/path``.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.is_local = "://" not in uri
        self._folder = Path(uri) / f"{TABLE}.lance"
        self._lock = threading.Lock()
        self._open: _Open | None = None
        self._found_before = False
        self._closed = False

    def open(self) -> None:
        """Allow the use of the table, after ``close`` again."""
        self._closed = False

    def close(self) -> None:
        """Let go of the table."""
        with self._lock:
            self._closed = True
            self._let_go()

    def snapshot(self) -> Snapshot:
        """The newest version.

        Raises:
            StoreUnavailableError: there is no table.
        """
        with self._lock:
            found = self._attach()
            found.newest.checkout_latest()  # type: ignore[no-untyped-call]
            if found.snapshot is None or found.snapshot.version != found.newest.version:
                table = self._table(found.connection)
                found.snapshot = Snapshot(
                    table=table, schema=table.schema, created_us=found.created_us, version=table.version
                )
            return found.snapshot

    def writable(self, *, create_us: int | None = None) -> LanceTable:
        """The newest version, to be changed. Only for who holds the lock of writers.

        Args:
            create_us: make the table when it is not there, or not ready yet; the microsecond of Unix time.
        """
        with self._lock:
            found = self._attach(create_us)
            table = self._table(found.connection)
        if create_us is not None and not found.is_indexed:
            _make_indexes(table)  # also those of a table whose maker was killed
            found.is_indexed = True
        return table

    def is_there(self) -> bool:
        """Whether there is anything at the place; always where it is not on this machine."""
        return not self.is_local or self._folder.exists()

    def bytes_on_disk(self) -> int:
        """The size of all files; those of the newest version where they are not on this machine."""
        if not self.is_local:
            return int(self.snapshot().figures["total_bytes"])
        total = 0
        for file in self._folder.rglob("*"):
            with suppress(FileNotFoundError):  # a cleanup may run
                total += file.stat().st_size
        return total

    def _attach(self, create_us: int | None = None) -> _Open:
        if self._closed:
            raise closed(self.uri)
        if self._open is not None and not self._is_current(self._open):
            self._let_go()
        if self._open is None:
            self._open = self._found()
        if self._open is None and create_us is not None:
            self._create(create_us)
            self._open = self._found()
        if self._open is None:
            raise gone(self.uri) if self._found_before else missing(self.uri)
        self._found_before = True
        return self._open

    def _found(self) -> _Open | None:
        folder = None
        if self.is_local:
            try:
                folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                return None
        try:
            found = self._opened(folder)
        except BaseException:
            _release(folder)
            raise
        if found is None:
            _release(folder)
        return found

    def _opened(self, folder: int | None) -> _Open | None:
        connection = self._connect()
        try:
            table = self._table(connection)
        except ValueError as error:
            if str(error).endswith("was not found"):
                return None
            raise
        return _Open(connection, table, self._created_us(table), folder)

    def _create(self, now_us: int) -> None:
        if self.is_local:
            Path(self.uri).mkdir(parents=True, exist_ok=True)
        self._connect().create_table(TABLE, schema=base_schema(now_us), exist_ok=True)

    def _connect(self) -> DBConnection:
        # A session of its own: what another has in memory is known by paths, and may be of a folder that is gone.
        session = lancedb.Session(_INDEX_CACHE_BYTES, _METADATA_CACHE_BYTES)
        return lancedb.connect(self.uri, session=session)

    def _table(self, connection: DBConnection) -> LanceTable:
        table = connection.open_table(TABLE)
        assert isinstance(table, LanceTable)  # noqa: S101 - the other kind is LanceDB's cloud
        return table

    def _created_us(self, table: LanceTable) -> int:
        metadata = table.schema.metadata or {}
        layout = metadata.get(LAYOUT)
        if layout is None or CREATED not in metadata:
            raise foreign(self.uri)
        if layout != str(LAYOUT_VERSION).encode():
            raise other_layout(self.uri, layout.decode(errors="replace"), LAYOUT_VERSION)
        return int(metadata[CREATED])

    def _is_current(self, found: _Open) -> bool:
        if found.folder is None:
            return True
        try:
            there = self._folder.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        ours = os.fstat(found.folder)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _let_go(self) -> None:
        if self._open is not None:
            _release(self._open.folder)
            self._open = None


def _release(folder: int | None) -> None:
    if folder is not None:
        os.close(folder)


def _make_indexes(table: LanceTable) -> None:
    there = {index.name for index in table.list_indices()}
    for column, config in INDEXES.items():
        if column not in there:
            table.create_index(column, config=config, name=column)
