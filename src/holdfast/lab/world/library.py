"""The sample documents in a store, made once in a process and copied for each world."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.core.events import Events
from holdfast.errors import ConfigError
from holdfast.lab.doors.blocking import ModelledBlocking
from holdfast.lab.draws import Draws
from holdfast.lab.virtual.running import run
from holdfast.lab.world.embedder import HashedEmbedder
from holdfast.rag.app import build_engine
from holdfast.rag.injection.kinds import Dependency
from holdfast.rag.settings import Settings
from holdfast.sample import articles_dir

if TYPE_CHECKING:
    from holdfast.lab.virtual.clock import VirtualClock

__all__ = ["copy_library", "scratch_folder"]

_MEMORY = Path("/dev/shm")  # noqa: S108 - only where the system has it; each folder in it is private


def scratch_folder() -> Path:
    """A new folder for a world, in memory where the system has a file system there; whoever asks removes it."""
    where = str(_MEMORY) if _MEMORY.is_dir() else None
    return Path(tempfile.mkdtemp(prefix="holdfast-lab-", dir=where))


def copy_library(folder: Path, *, documents: Path | None, dimension: int | None) -> None:
    """Put a store with ``documents`` into ``folder``.

    Args:
        documents: a folder of documents; None: the sample's articles.
        dimension: of the vectors; None for documents without vectors.

    Raises:
        ConfigError: there is no document in it.
    """
    shutil.copytree(_library(documents or articles_dir(), dimension), folder, dirs_exist_ok=True)


@lru_cache(8)
def _library(documents: Path, dimension: int | None) -> Path:
    """A folder with a closed store. Made on a thread of its own: this one may be inside a virtual loop."""
    folder = scratch_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            run(lambda clock: _fill(clock, folder, documents, dimension))
        except BaseException as error:  # noqa: BLE001 - it is raised below, in the thread that waits
            failures.append(error)

    thread = threading.Thread(target=work, name="holdfast lab library")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return folder


async def _fill(clock: VirtualClock, folder: Path, documents: Path, dimension: int | None) -> None:
    blocking = ModelledBlocking(clock, Draws(0))
    engine = build_engine(
        Settings(data_dir=folder, embedder="none" if dimension is None else "local", cache_size=0),
        clock=clock,
        rng=Draws(0).stream("library"),
        blocking=blocking,
        events=Events(),
        environ={},
        wrap=lambda role, part: (
            HashedEmbedder(blocking, dimension=dimension or 1) if role is Dependency.EMBEDDER else part
        ),
    )
    await engine.open()
    report = await engine.ingestor.ingest_paths([documents])
    if engine.standby is not None:
        await engine.standby.catch_up()
    await engine.close()
    if not report.added:
        why = "".join(f"; {problem.uri}: {problem.reason}" for problem in report.skipped[:3])
        raise ConfigError("documents", str(documents), f"must be a folder with documents that can be read{why}")
