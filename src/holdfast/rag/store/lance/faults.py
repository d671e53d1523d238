"""LanceDB's errors, told as the store's errors: what happened, and what to do.

LanceDB raises ``RuntimeError`` and ``ValueError`` for most of what its Rust core reports, so that the words are all
there is to go by.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.errors import (
    HoldfastError,
    InvalidInputError,
    StoreCorruptError,
    StoreLockedError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["closed", "foreign", "gone", "is_conflict", "locked", "missing", "other_layout", "store_faults"]

_CONFLICT = ("conflict", "preempted", "concurrent")
_GONE = ("not found",)
_DAMAGED = (
    "corrupt",
    "decode",
    "failed to fill whole buffer",
    "file size is too small",
    "invalid range",
    "invalid magic",
    "invalid footer",
    "magic number",
    "protobuf",
)
_CAUSES = {
    "permission denied": "this user may not access it; change its owner or its permissions",
    "read-only file system": "it is read-only; give this user the right to write to it",
    "no space left": "the disk is full; make room, then try again",
    "cannot allocate memory": "there is not enough memory; free some, then try again",
    "too many open files": "too many files are open; raise the limit (ulimit -n)",
    "out of memory": "there is not enough memory; free some, then try again",
}
_LONGEST = 200


@contextmanager
def store_faults(place: str) -> Iterator[None]:
    """Raise whatever LanceDB or the file system raises inside as an error of the store at ``place``."""
    try:
        yield
    except HoldfastError:
        raise
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            "text", "holds characters that are not valid Unicode (lone surrogates): decode the source rightly"
        ) from error
    except (RuntimeError, ValueError, OSError) as error:
        raise _translated(error, place) from error


def is_conflict(error: Exception) -> bool:
    """Whether the commit came second: the same change may be made again on what is there now."""
    return any(word in str(error).lower() for word in _CONFLICT)


def _translated(error: Exception, place: str) -> HoldfastError:
    words = str(error).lower()
    for word, cause in _CAUSES.items():
        if word in words:
            return StoreUnavailableError(f"The store {place} cannot be used: {cause}.")
    if is_conflict(error):
        return locked(place)
    if any(word in words for word in _DAMAGED):
        return StoreCorruptError(
            f"The store {place} is damaged ({_short(error)}): stop what uses it, then restore its folder from a "
            "backup, or delete the folder and ingest again."
        )
    if any(word in words for word in _GONE):
        return gone(place)
    return StoreUnavailableError(f"The store {place} cannot be used: {_short(error)}.")


def _short(error: Exception) -> str:
    """The first of what Rust says; its places in the source follow, and mean nothing to anybody here."""
    line = str(error).partition("\n")[0].removeprefix("lance error: ")
    return line.partition(", /")[0][:_LONGEST]


def locked(place: str) -> StoreLockedError:
    """Others write all the time, or hold the lock."""
    return StoreLockedError(
        f"Another process is writing to the store {place} and did not finish in time: "
        "try again, or stop the other process if it hangs."
    )


def closed(place: str) -> StoreUnavailableError:
    """The store was closed by its owner."""
    return StoreUnavailableError(f"The store {place} is closed in this process: open it again before using it.")


def missing(place: str) -> StoreUnavailableError:
    """There is no store yet, and the call does not create one."""
    return StoreUnavailableError(f"There is no store at {place}: ingest documents to create it, or correct the place.")


def gone(place: str) -> StoreUnavailableError:
    """There was a store, and somebody removed it, or a part of it, while we ran."""
    return StoreUnavailableError(
        f"The store {place} is gone, or a part of it is: restore it from a backup, or ingest again."
    )


def foreign(place: str) -> StoreCorruptError:
    """The table is not ours."""
    return StoreCorruptError(
        f"{place} is not a Holdfast store (its table belongs to another program): move it away, or name another place, "
        "and ingest again."
    )


def other_layout(place: str, found: str, known: int) -> StoreUnavailableError:
    """The table was written by another version of Holdfast."""
    return StoreUnavailableError(
        f"The store {place} was written by another version of Holdfast (layout {found}; this version knows {known}): "
        "use that version, or name another place and ingest again."
    )
