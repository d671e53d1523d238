"""SQLite's and the file system's errors, told as the store's errors: what happened, and what to do."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from holdfast.errors import (
    HoldfastError,
    InvalidInputError,
    StoreCorruptError,
    StoreLockedError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["cancelled", "closed", "foreign", "gone", "missing", "newer", "older", "store_faults"]

_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_PRIMARY_CODE = 0xFF  # the low byte of an extended result code
_NOT_UNICODE = (
    "holds characters that are not valid Unicode (lone surrogates): decode the source with its right encoding"
)


class store_faults:  # noqa: N801 - used like a function
    """Raise whatever SQLite or the file system raises inside as an error of the store at ``path``.

    A class and not a generator: it stands around every look at the file, and takes a third of the time.
    """

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing happens before an error."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell an error as the store's."""
        if isinstance(error, sqlite3.Error):
            raise _translated(error, self._path) from error
        if isinstance(error, UnicodeEncodeError):
            raise InvalidInputError("text", _NOT_UNICODE) from error
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            raise StoreUnavailableError(
                f"The store's folder {self._path.parent} cannot be used ({reason}): check that it exists, that this "
                "user may write to it, and that the disk has room."
            ) from error


def _translated(error: sqlite3.Error, path: Path) -> HoldfastError:
    extended = getattr(error, "sqlite_errorcode", None)
    if extended is None:  # raised by Python's own module, which knows only one such case here
        return closed(path)
    if extended == sqlite3.SQLITE_READONLY_DBMOVED:
        return gone(path)
    code = extended & _PRIMARY_CODE
    if code in _LOCKED:
        return StoreLockedError(
            f"Another process is writing to the store {path} and did not finish in time: "
            "try again, or stop the other process if it hangs."
        )
    if code in _CORRUPT:
        return StoreCorruptError(
            f"The store {path} is damaged or is not a database ({error}): "
            "stop what uses it, then restore its folder from a backup, or delete the folder and ingest again."
        )
    if code == sqlite3.SQLITE_TOOBIG:
        return InvalidInputError("text", "is larger than the store takes for one document (about 1 GB): split it")
    return StoreUnavailableError(f"The store {path} cannot be used: {_CAUSES.get(code, str(error))}.")


_CAUSES = {
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; check that this user may read and write it",
    sqlite3.SQLITE_PERM: "this user may not access the file; change its owner or its permissions",
    sqlite3.SQLITE_READONLY: "it is read-only; give this user the right to write to the file and its folder",
    sqlite3.SQLITE_FULL: "the disk is full; make room, then try again",
    sqlite3.SQLITE_IOERR: "reading or writing the disk failed; check the disk, then try again",
    sqlite3.SQLITE_NOMEM: "there is not enough memory; free some, then try again",
    sqlite3.SQLITE_INTERRUPT: "the call was cancelled while it ran; nothing was changed",
}


def cancelled(path: Path) -> StoreUnavailableError:
    """The caller gave up before the work was done."""
    return StoreUnavailableError(f"The store {path} cannot be used: {_CAUSES[sqlite3.SQLITE_INTERRUPT]}.")


def closed(path: Path) -> StoreUnavailableError:
    """The store was closed by its owner."""
    return StoreUnavailableError(f"The store {path} is closed in this process: open it again before using it.")


def missing(path: Path) -> StoreUnavailableError:
    """There is no store yet, and the call does not create one."""
    return StoreUnavailableError(f"There is no store at {path}: ingest documents to create it, or correct the folder.")


def gone(path: Path) -> StoreUnavailableError:
    """There was a store, and somebody removed it while we ran."""
    return StoreUnavailableError(
        f"The store's folder {path.parent} is gone, or its file {path.name} is: restore it or ingest again."
    )


def foreign(path: Path) -> StoreCorruptError:
    """The file is a database, and it is not ours."""
    return StoreCorruptError(
        f"{path} is not a Holdfast store (it is empty, or it belongs to another program): "
        "move it away, or name another folder, and ingest again."
    )


def newer(path: Path, found: int, known: int) -> StoreUnavailableError:
    """The file was written by a later version of Holdfast."""
    return StoreUnavailableError(
        f"The store {path} was written by a newer version of Holdfast (layout {found}; this version knows {known}): "
        "upgrade Holdfast, or name another folder."
    )


def older(path: Path, found: int, known: int) -> StoreUnavailableError:
    """The file was written by an earlier version of Holdfast, whose layout is not read any more."""
    return StoreUnavailableError(
        f"The store {path} was written by an older version of Holdfast (layout {found}; this version needs {known}): "
        "delete its folder, or name another one, and ingest again."
    )
