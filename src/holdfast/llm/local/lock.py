"""A lock between processes, on a file."""

from __future__ import annotations

import fcntl
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from holdfast.core.clock import NS_PER_SECOND, Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from holdfast.core.ports import Blocking

__all__ = ["file_lock"]

_POLL_NS = NS_PER_SECOND // 5


@asynccontextmanager
async def file_lock(
    path: Path, *, blocking: Blocking, clock: Clock, waiting: Callable[[], object]
) -> AsyncIterator[None]:
    """Hold the lock at ``path``, which the system gives back if the process dies.

    It is asked for again and again instead of waited for: a wait would hold one of the threads that the holder, if it
    is in the same process, needs to finish. The file stays: to remove a lock's file is to let two processes hold it.

    Args:
        path: the lock's file; made if it is not there.
        blocking: opens the file.
        clock: waits between two tries.
        waiting: called once if another one holds it.

    Raises:
        OSError: the file cannot be made or locked.
    """
    handle = await blocking.run("file.write", os.open, path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        told = False
        while not _try_lock(handle):
            if not told:
                told = True
                waiting()
            await clock.asleep_ns(_POLL_NS)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
