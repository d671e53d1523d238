"""SQLite's and the file system's errors, told as errors of the records: what happened, and what to do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.errors import StoreCorruptError, StoreLockedError, StoreUnavailableError
from holdfast.rag.store.faults import store_faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["closed", "foreign", "gone", "other_version", "read_for_long", "record_faults"]


@contextmanager
def record_faults(path: Path) -> Iterator[None]:
    """Raise whatever SQLite or the file system raises inside as an error of the records at ``path``."""
    try:
        with store_faults(path):
            yield
    except StoreCorruptError as error:
        if error.__cause__ is None:  # ours, and already says what to do
            raise
        raise StoreCorruptError(
            f"The records {path} (conversations, API keys, feedback) are damaged or are no database "
            f"({error.__cause__}): stop the service, then restore the file from a backup, or move it away to begin "
            "with none."
        ) from error.__cause__


def gone(path: Path) -> StoreUnavailableError:
    """There were records, and somebody removed them while we ran."""
    return StoreUnavailableError(
        f"The records {path} (conversations, API keys, feedback) are gone: restore the file, or restart the service "
        "to begin with none."
    )


def closed(path: Path) -> StoreUnavailableError:
    """The records were closed by their owner."""
    return StoreUnavailableError(f"The records {path} are closed in this process: open them again before using them.")


def read_for_long(path: Path) -> StoreLockedError:
    """SQLite's log cannot be cut while somebody reads what is in it."""
    return StoreLockedError(f"Another process reads the records {path} and did not finish in time.")


def foreign(path: Path) -> StoreCorruptError:
    """The file is a database, and it is not ours."""
    return StoreCorruptError(
        f"{path} holds no records of Holdfast (it belongs to another program): move it away, or name another folder."
    )


def other_version(path: Path, found: int, known: int) -> StoreUnavailableError:
    """The file was written by another version of Holdfast."""
    return StoreUnavailableError(
        f"The records {path} were written by another version of Holdfast (layout {found}; this version knows {known}): "
        "use that version, or move the file away to begin with none."
    )
