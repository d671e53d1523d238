"""A store's file as it was found once, and the connections to it.

One connection (the anchor) is kept open for as long as we believe in a file: it keeps the file's inode number from
being given to another one, and it tells in a few microseconds whether anything was committed.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from traceback import clear_frames
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar
from urllib.parse import quote

from holdfast.rag.store.faults import cancelled
from holdfast.rag.store.schema import log_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Call", "Identity", "OpenFile", "ReplacedError", "connect", "identity_of"]

C = TypeVar("C")

_READER_CACHE_KIB = 16_384
_WRITER_CACHE_KIB = 32_768
_WAL_LIMIT_BYTES = 64 * 1024 * 1024  # the write-ahead log is cut back to this after a checkpoint


class Call:
    """What one caller is doing in the store, so that a caller who gives up can stop it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._cancelled = False

    @contextmanager
    def using(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Let ``cancel`` interrupt this connection, until the end of the block and not later."""
        with self._lock:
            self._connection = connection
        try:
            yield
        finally:
            with self._lock:
                self._connection = None

    @property
    def cancelled(self) -> bool:
        """Whether the caller has given up."""
        return self._cancelled

    def cancel(self) -> None:
        """Stop the statement that runs, if any. Called from another thread."""
        with self._lock:
            self._cancelled = True
            if self._connection is not None:
                self._connection.interrupt()


class ReplacedError(Exception):
    """The file was found to be deleted or replaced between two steps: look again what is at the path."""


class Identity(NamedTuple):
    """Which file it is, whatever its name."""

    device: int
    inode: int


def identity_of(path: Path) -> Identity | None:
    """The file at ``path`` now, or None."""
    try:
        found = os.stat(path)  # noqa: PTH116 - asked before every read; the method takes twice as long
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Identity(found.st_dev, found.st_ino)


def connect(path: Path, timeout: float, *, read_only: bool) -> sqlite3.Connection:
    """A connection to a file that is there; it never makes one."""
    # mode=rw never creates a file; a reader needs it too, because the index of the write-ahead log is shared memory
    # that every reader writes to.
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB if read_only else _WRITER_CACHE_KIB:d}")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            # FULL: what was acknowledged survives a power cut, not only a killed process.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES:d}")
    except BaseException:
        connection.close()
        raise
    return connection


class OpenFile(Generic[C]):
    """The file as we found it once: connections to it, and what was derived from its content.

    Attributes:
        derived: caches that are true for this file only.
    """

    def __init__(self, path: Path, identity: Identity, anchor: sqlite3.Connection, derived: C, timeout: float) -> None:
        self.identity = identity
        self.derived = derived
        self._path = path
        self._timeout = timeout
        self._anchor = anchor
        self._anchor_lock = threading.Lock()
        self._known: tuple[int, int] | None = None  # (data_version, generation)
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._retired = False
        self._writer: sqlite3.Connection | None = None
        self._writer_lock = threading.Lock()
        self._log = {each: identity_of(each) for each in log_files(path)}

    @contextmanager
    def reading(self, call: Call) -> Iterator[sqlite3.Connection]:
        """A connection inside a read transaction: every statement sees the same state of the store."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._connect(read_only=True)
        healthy = False
        try:
            with call.using(connection):
                connection.execute("BEGIN")
                yield connection
                connection.execute("COMMIT")
                healthy = True
        finally:
            with self._lock:
                keep = healthy and not self._retired
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    @contextmanager
    def writing(self, call: Call) -> Iterator[sqlite3.Connection]:
        """The one writing connection, inside a transaction that has the write lock; committed at the end."""
        with self._writer_lock:
            if self._writer is None:
                self._writer = self._connect(read_only=False)
            connection = self._writer
            try:
                with call.using(connection):
                    connection.execute("BEGIN IMMEDIATE")
                    yield connection
                    self._check(call)
                    connection.execute("COMMIT")
            except BaseException as error:
                # An interruption holds until no statement runs, and a cursor in a frame of the traceback counts as one:
                # it would hit the rollback, and whoever writes next.
                clear_frames(error.__traceback__)
                raise
            finally:
                if connection.in_transaction:
                    connection.rollback()
                if self._retired:
                    self._drop_writer()

    def generation(self) -> int:
        """The content's generation; microseconds when nothing was committed since the last time."""
        with self._anchor_lock:
            return self._ask_anchor()

    def generation_at_once(self) -> int | None:
        """The same without waiting for another thread: None when one is asking."""
        if not self._anchor_lock.acquire(blocking=False):
            return None
        try:
            return self._ask_anchor()
        finally:
            self._anchor_lock.release()

    def _ask_anchor(self) -> int:
        if self._retired:
            raise ReplacedError
        # data_version changes with every commit that another connection made; the anchor itself never writes.
        version: int = self._anchor.execute("PRAGMA data_version").fetchone()[0]
        if self._known is None or self._known[0] != version:
            generation: int = self._anchor.execute("SELECT generation FROM meta").fetchone()[0]
            self._known = (version, generation)
        return self._known[1]

    def remove_stale_log(self) -> None:
        """Remove this file's log from beside the file that has taken its place.

        SQLite finds a log by its name alone: it would play ours into a backup that was moved to our path.
        """
        for path, identity in self._log.items():
            if identity is not None and identity_of(path) == identity:
                path.unlink(missing_ok=True)

    def retire(self) -> None:
        """Close every connection; those in use are closed by their users when they are done."""
        with self._lock:
            self._retired = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        if self._writer_lock.acquire(blocking=False):
            try:
                self._drop_writer()
            finally:
                self._writer_lock.release()
        with self._anchor_lock:
            self._anchor.close()

    def _connect(self, *, read_only: bool) -> sqlite3.Connection:
        connection = connect(self._path, self._timeout, read_only=read_only)
        # Another file may have taken the path since we were found to be current. As long as we are not retired the
        # anchor is open and our inode number cannot be another file's.
        if identity_of(self._path) != self.identity or self._retired:
            connection.close()
            raise ReplacedError
        return connection

    def _check(self, call: Call) -> None:
        if call.cancelled:
            raise cancelled(self._path)

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
