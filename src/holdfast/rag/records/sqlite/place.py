"""The records of one machine: one SQLite file, and the three stores in it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from holdfast.core._options import duration, positive
from holdfast.errors import StoreError
from holdfast.rag.records.limits import TOMBSTONE_SECONDS
from holdfast.rag.records.sqlite import conversations, feedback
from holdfast.rag.records.sqlite.conversations import SqliteConversations
from holdfast.rag.records.sqlite.feedback import SqliteFeedback
from holdfast.rag.records.sqlite.file import RecordFile
from holdfast.rag.records.sqlite.keys import SqliteKeys
from holdfast.rag.store.open_file import Call

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from os import PathLike

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking

__all__ = ["FILE_NAME", "SqliteRecords"]

FILE_NAME = "records.sqlite3"

T = TypeVar("T")

_log = logging.getLogger(__name__)

_KIND = "records"
_SWEPT_AT_ONCE = 200  # so that a sweep never keeps the write lock for long


class SqliteRecords:
    """Conversations, keys and feedback in ``records.sqlite3``, which any number of processes may share.

    The three stores are opened and closed together, through this object or through any of them. An object belongs to
    one event loop. The first use makes the file; a file that is removed while it is open is not made again.

    Args:
        directory: the folder.
        blocking: where SQLite runs; its kind of work is ``records``.
        clock: whose wall time records carry.
        retention: seconds after its last turn for which a conversation is kept, and feedback after it was given; at
            least 0, default 90 days; 0: for ever.
        busy_timeout: seconds to wait for another process's write lock, above 0; default 2.

    Raises:
        ConfigError: an option is out of its range.

    Attributes:
        conversations, keys, feedback: the stores.
    """

    name = "records:sqlite"

    def __init__(
        self,
        directory: str | PathLike[str],
        *,
        blocking: Blocking,
        clock: Clock,
        retention: float = 90 * 86_400.0,
        busy_timeout: float = 2.0,
    ) -> None:
        self._file = RecordFile(Path(directory).absolute() / FILE_NAME, timeout=positive("busy_timeout", busy_timeout))
        self._retention = duration("retention", retention, or_zero=True)
        self._blocking = blocking
        self._clock = clock
        self._turn = asyncio.Lock()  # writers wait here and not in threads, which readers need
        self.conversations = SqliteConversations(self)
        self.keys = SqliteKeys(self)
        self.feedback = SqliteFeedback(self)

    async def open(self) -> None:
        """Make the file when it is not there, and open it. Idempotent."""
        await self._blocking.run(_KIND, self._file.open)

    async def close(self) -> None:
        """Release the file. Idempotent."""
        await self._blocking.run(_KIND, self._file.close)

    async def ping(self) -> None:
        """Return when a read works; raise as any read would."""
        await self.read(lambda connection: connection.execute("SELECT count(*) FROM tombstones").fetchone())

    async def sweep(self) -> int:
        """Remove what is older than ``retention``, and empty SQLite's log; how many conversations and opinions."""
        removed = 0
        while True:
            some = await self.write(self._remove_expired)
            removed += some
            if not some:
                break
        await self._in_turn(lambda _: self._file.empty_log())
        return removed

    def now(self) -> float:
        """The wall time, Unix seconds."""
        return self._clock.wall_ns() / 1e9

    def oldest(self) -> float:
        """What is from before this time is not given out any more, Unix seconds."""
        return self.now() - self._retention if self._retention else 0.0

    async def read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``fn`` inside one read transaction."""
        call = Call()
        try:
            return await self._blocking.run(_KIND, self._file.read, call, fn)
        except asyncio.CancelledError:
            call.cancel()
            raise

    async def write(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``fn`` inside one write transaction; it is on disk when this returns."""
        return await self._in_turn(lambda call: self._file.write(call, fn))

    async def erase(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``fn``, which deletes, inside one write transaction; what it deletes is in none of the files after it.

        Where somebody reads the old state for longer than we wait, the next :meth:`sweep` clears the log instead.
        """

        def erase(call: Call) -> T:
            result = self._file.write(call, fn)
            try:
                self._file.empty_log()
            except StoreError as error:  # the deletion itself is done and on disk
                _log.warning("What was deleted stays in SQLite's log of the records until the next sweep: %s", error)
            return result

        return await self._in_turn(erase)

    async def _in_turn(self, fn: Callable[[Call], T]) -> T:
        call = Call()
        async with self._turn:
            try:
                return await self._blocking.run(_KIND, fn, call)
            except asyncio.CancelledError:
                call.cancel()
                raise

    def _remove_expired(self, connection: sqlite3.Connection) -> int:
        forgotten = self.now() - TOMBSTONE_SECONDS
        connection.execute("DELETE FROM tombstones WHERE deleted_at < ?", (forgotten,))
        oldest = self.oldest()
        return conversations.remove_expired(connection, oldest=oldest, limit=_SWEPT_AT_ONCE) + feedback.remove_expired(
            connection, oldest=oldest, limit=_SWEPT_AT_ONCE
        )
