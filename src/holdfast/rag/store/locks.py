"""Locks that the kernel gives back when their holder dies, however it dies (``flock``).

They answer "is the process that began this still alive?" without clocks, heartbeats or process numbers, across
containers that share a folder too.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FileLock"]


class FileLock:
    """A lock that this object holds on ``path`` until it is released or the process ends.

    Two objects exclude each other even within one process.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def try_acquire(cls, path: Path) -> FileLock | None:
        """The lock, or None when somebody holds it. Never waits.

        Raises:
            OSError: the file cannot be made.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    def release(self, *, remove: bool = False) -> None:
        """Give the lock back; ``remove`` its file too when nobody will want this lock again."""
        if remove:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
