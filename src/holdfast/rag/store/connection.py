"""The store's file at its path, and whether it is still the one that we opened.

On Linux an open file goes on working after it was deleted: reads would answer from a ghost and writes would be lost,
both without an error. So before every use the file at the path is compared with the one that is open. When there is
none the call fails; when it is another one, everything that was derived from the old file is dropped and the new one is
opened.
"""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Generic, TypeVar

from holdfast.rag.store.faults import cancelled, closed, gone, missing, store_faults
from holdfast.rag.store.open_file import OpenFile, ReplacedError, connect, identity_of
from holdfast.rag.store.schema import SCHEMA_VERSION, check_schema, create_file, schema_version, upgrade

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from holdfast.rag.store.open_file import Call

__all__ = ["Database"]

C = TypeVar("C")
T = TypeVar("T")

_REPLACED_RETRIES = 3  # a file that is replaced more often than this while we open it is not ours to keep up with


class Database(Generic[C]):
    """The store's file at a path that others may delete, restore or write to at any time. Thread-safe, blocking.

    Args:
        path: the SQLite file.
        timeout: seconds to wait for another process's write lock.
        derive: makes the caches for a newly opened file, given a connection to it.
    """

    def __init__(self, path: Path, *, timeout: float, derive: Callable[[sqlite3.Connection], C]) -> None:
        self.path = path
        self._timeout = timeout
        self._derive = derive
        self._lock = threading.Lock()
        self._file: OpenFile[C] | None = None
        self._closed = False
        self._found_before = False

    def open(self) -> None:
        """Create the file unless it is there, and open it."""
        with store_faults(self.path):
            self._closed = False
            self._attach(create=True)

    def close(self) -> None:
        """Close every connection."""
        with store_faults(self.path), self._lock:
            self._closed = True
            file, self._file = self._file, None
            if file is not None:
                file.retire()

    def read(self, call: Call, fn: Callable[[sqlite3.Connection, C], T]) -> T:
        """Run ``fn`` inside one read transaction on the file that is at the path now."""

        def attempt(file: OpenFile[C]) -> T:
            if call.cancelled:
                raise cancelled(self.path)
            with file.reading(call) as connection:
                return fn(connection, file.derived)

        return self._on_current_file(attempt, create=False)

    def write(self, call: Call, fn: Callable[[sqlite3.Connection], T], *, create: bool) -> T:
        """Run ``fn`` inside one write transaction and commit it.

        A file that was deleted while the transaction ran has taken it along: then it is run again on a new file, or
        fails when the call may not create one.
        """

        def attempt(file: OpenFile[C]) -> T:
            with file.writing(call) as connection:
                result = fn(connection)
            if identity_of(self.path) != file.identity:
                raise ReplacedError
            return result

        return self._on_current_file(attempt, create=create)

    def generation(self) -> int:
        """The content's generation."""
        return self._on_current_file(OpenFile.generation, create=False)

    def _on_current_file(self, attempt: Callable[[OpenFile[C]], T], *, create: bool) -> T:
        with store_faults(self.path):
            for _ in range(_REPLACED_RETRIES):
                file = self._attach(create=create)
                try:
                    return attempt(file)
                except ReplacedError:
                    continue
            raise gone(self.path)

    def generation_at_once(self) -> int | None:
        """The content's generation when it takes no more than a stat and a pragma; else None."""
        file = self._file
        if file is None:
            return None
        with store_faults(self.path):
            try:
                return file.generation_at_once() if identity_of(self.path) == file.identity else None
            except ReplacedError:
                return None

    def _attach(self, *, create: bool) -> OpenFile[C]:
        file = self._file
        if file is not None and identity_of(self.path) == file.identity:
            return file
        with self._lock:
            if self._closed:
                raise closed(self.path)
            self._drop_replaced()
            if self._file is None:
                if identity_of(self.path) is None:
                    if not create:
                        raise gone(self.path) if self._found_before else missing(self.path)
                    create_file(self.path)
                self._file = self._open_file()
                self._found_before = True
            return self._file

    def _drop_replaced(self) -> None:
        file = self._file
        if file is None or identity_of(self.path) == file.identity:
            return
        self._file = None
        if identity_of(self.path) is not None:
            file.remove_stale_log()
        file.retire()

    def _open_file(self) -> OpenFile[C]:
        for _ in range(_REPLACED_RETRIES):
            before = identity_of(self.path)
            anchor = connect(self.path, self._timeout, read_only=True)
            try:
                if schema_version(anchor) < SCHEMA_VERSION:
                    with closing(connect(self.path, self._timeout, read_only=False)) as writer:
                        upgrade(writer)
                check_schema(anchor, self.path)
                if before is not None and before == identity_of(self.path):
                    return OpenFile(self.path, before, anchor, self._derive(anchor), self._timeout)
            except BaseException:
                anchor.close()
                raise
            anchor.close()
        raise gone(self.path)
