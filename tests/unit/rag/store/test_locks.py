"""Locks on files, and the claims on jobs that are made of them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from holdfast.rag.store.claims import JobClaims
from holdfast.rag.store.locks import FileLock

if TYPE_CHECKING:
    from pathlib import Path


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    """While one holds the lock nobody else gets it; after the release somebody does."""
    path = tmp_path / "a.lock"
    lock = FileLock.try_acquire(path)
    assert lock is not None
    assert FileLock.try_acquire(path) is None
    lock.release()
    again = FileLock.try_acquire(path)
    assert again is not None
    again.release(remove=True)
    assert not path.exists()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """A lock that cannot be made is not a lock that is held."""
    with pytest.raises(FileNotFoundError):
        FileLock.try_acquire(tmp_path / "not" / "a.lock")


@pytest.mark.process
def test_the_kernel_frees_the_lock_of_a_killed_process(tmp_path: Path) -> None:
    """Killed without a chance to clean up, a process holds nothing any more."""
    path = tmp_path / "a.lock"
    script = (
        "import sys, pathlib; from holdfast.rag.store.locks import FileLock; "
        "lock = FileLock.try_acquire(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert FileLock.try_acquire(path) is None
        holder.kill()
        holder.wait()
        lock = FileLock.try_acquire(path)
        assert lock is not None
        lock.release()


def test_claims_exclude_each_other_until_they_are_released(tmp_path: Path) -> None:
    """A job that one has claimed is free again when it gives up, and has no lock file once it is settled."""
    one, two = JobClaims(tmp_path / "jobs"), JobClaims(tmp_path / "jobs")
    assert one.claim("a")
    assert not one.claim("a")
    assert not two.claim("a")
    one.give_up("a")
    assert two.claim("a")
    one.settle("a")  # somebody else's: stays
    assert not one.claim("a")
    two.settle("a")
    assert list((tmp_path / "jobs").iterdir()) == []
    assert one.claim("b")
    one.release_all()
    two.settle("b")
    assert list((tmp_path / "jobs").iterdir()) == []
