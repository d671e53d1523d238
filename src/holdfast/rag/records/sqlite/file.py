"""The records' file at its path, and whether it is still the one that we opened.

An open file goes on working after it was removed: reads would answer from a ghost and writes would be lost, both
without an error. So before every use the file at the path is compared with the one that is open. One that was replaced
(a backup was restored) is opened anew. One that is gone is not made again by a running service: API keys that worked
would be unknown from then on, and nobody would be told why.
"""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from holdfast.rag.records.sqlite.faults import closed, gone, read_for_long, record_faults
from holdfast.rag.records.sqlite.layout import check_layout, prepare_file
from holdfast.rag.store.faults import cancelled
from holdfast.rag.store.open_file import OpenFile, ReplacedError, connect, identity_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from holdfast.rag.store.open_file import Call

__all__ = ["RecordFile"]

T = TypeVar("T")

_LOOKS = 3  # a file that is replaced more often than this while we open it is not ours to keep up with


class RecordFile:
    """The records' file. Thread-safe, blocking. The first use makes it when it is not there.

    Args:
        path: the SQLite file.
        timeout: seconds to wait for another process's write lock.
    """

    def __init__(self, path: Path, *, timeout: float) -> None:
        self.path = path
        self._timeout = timeout
        self._lock = threading.Lock()
        self._file: OpenFile[None] | None = None
        self._closed = False
        self._found_before = False

    def open(self) -> None:
        """Make the file unless it is there, and open it."""
        with record_faults(self.path):
            self._closed = False
            self._attach()

    def close(self) -> None:
        """Close every connection."""
        with record_faults(self.path), self._lock:
            self._closed = True
            file, self._file = self._file, None
            if file is not None:
                file.retire()

    def read(self, call: Call, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``fn`` inside one read transaction."""

        def attempt(file: OpenFile[None]) -> T:
            if call.cancelled:
                raise cancelled(self.path)
            with file.reading(call) as connection:
                return fn(connection)

        return self._on_current_file(attempt)

    def write(self, call: Call, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``fn`` inside one write transaction and commit it. What it deletes is overwritten with zeros."""

        def attempt(file: OpenFile[None]) -> T:
            with file.writing(call) as connection:
                connection.execute("PRAGMA secure_delete = ON")
                result = fn(connection)
            if identity_of(self.path) != file.identity:
                raise ReplacedError
            return result

        return self._on_current_file(attempt)

    def empty_log(self) -> None:
        """Move everything from SQLite's write-ahead log into the file, and cut the log to nothing.

        What was deleted is still in the log before.

        Raises:
            StoreLockedError: somebody reads the old state for longer than we wait.
        """
        with record_faults(self.path):
            self._attach()
            with closing(connect(self.path, self._timeout, read_only=False)) as connection:
                if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    raise read_for_long(self.path)

    def _on_current_file(self, attempt: Callable[[OpenFile[None]], T]) -> T:
        with record_faults(self.path):
            for _ in range(_LOOKS):
                try:
                    return attempt(self._attach())
                except ReplacedError:
                    continue
            raise gone(self.path)

    def _attach(self) -> OpenFile[None]:
        file = self._file
        if file is not None and identity_of(self.path) == file.identity:
            return file
        with self._lock:
            if self._closed:
                raise closed(self.path)
            self._drop_replaced()
            if self._file is None:
                if not self._found_before:
                    prepare_file(self.path, self._timeout)
                self._file = self._open_file()
                self._found_before = True
            return self._file

    def _drop_replaced(self) -> None:
        file, found = self._file, identity_of(self.path)
        if file is None or found == file.identity:
            return
        self._file = None
        if found is not None:
            file.remove_stale_log()
        file.retire()

    def _open_file(self) -> OpenFile[None]:
        for _ in range(_LOOKS):
            before = identity_of(self.path)
            if before is None:
                break
            anchor = connect(self.path, self._timeout, read_only=True)
            try:
                check_layout(anchor, self.path)
                if before == identity_of(self.path):
                    return OpenFile(self.path, before, anchor, None, self._timeout)
            except BaseException:
                anchor.close()
                raise
            anchor.close()
        raise gone(self.path)
