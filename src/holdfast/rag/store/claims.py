"""Which jobs this process runs.

Each is a lock that the kernel holds for it, so that a job whose process died is free again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.rag.store.locks import FileLock

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["JobClaims"]


class JobClaims:
    """The jobs that one store object runs.

    ``claim`` and ``settle`` are used inside write transactions only, which come one at a time; ``give_up`` anywhere.

    Args:
        folder: where the lock files are; made with the first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, FileLock] = {}

    def claim(self, job_id: str) -> bool:
        """Take a job; False when this object or a living process has it."""
        if job_id in self._held:
            return False
        self._folder.mkdir(exist_ok=True)
        lock = FileLock.try_acquire(self._path(job_id))
        if lock is None:
            return False
        self._held[job_id] = lock
        return True

    def give_up(self, job_id: str) -> None:
        """Free a job that was claimed and is not finished. Idempotent."""
        lock = self._held.pop(job_id, None)
        if lock is not None:
            lock.release()

    def settle(self, job_id: str) -> None:
        """Forget a job that is over: nobody will claim it again. Call it after the commit that says so."""
        lock = self._held.pop(job_id, None)
        if lock is None and self._path(job_id).exists():
            lock = FileLock.try_acquire(self._path(job_id))  # None: another process still has to hear of it
        if lock is not None:
            lock.release(remove=True)

    def release_all(self) -> None:
        """Free every job, begun or not: this process will not go on with them."""
        for job_id in list(self._held):
            self.give_up(job_id)

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.lock"
