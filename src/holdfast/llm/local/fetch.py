"""Getting the files of the model: what a source is, how a file is verified, and the sources on this machine."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from holdfast.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.core.ports import Blocking
    from holdfast.llm.local.manifest import LocalModel, ModelFile

__all__ = ["LocalSource", "Progress", "Source", "SourceUnavailableError", "read_archive", "verify"]


class Progress(Protocol):
    """Is told how far an installation has come."""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Called on the event loop's thread; must return at once.

        Args:
            stage: ``"wait"`` (another process installs), ``"download"`` (from the hub), ``"package"`` (with pip),
                ``"read"`` (from the path given), ``"verify"``, ``"build"`` or ``"done"``.
            done: bytes so far, for a download; else 0.
            total: bytes in all, where that is known.
        """
        ...


class SourceUnavailableError(ModelUnavailableError):
    """This source cannot give the files; another one may."""


class Source(Protocol):
    """A place that the files of a model can be had from."""

    async def read(self, model: LocalModel, work: Path, progress: Progress) -> Mapping[str, bytes]:
        """Return the contents of the model's files by their names, not yet verified.

        Args:
            model: what is wanted.
            work: a folder to use; what is left there is found again when the installation is tried once more.
            progress: is told how far it has come.

        Raises:
            SourceUnavailableError: the files cannot be had from here.
            OSError: ``work`` cannot be written.
        """
        ...


def verify(file: ModelFile, content: bytes) -> None:
    """Check that ``content`` is the published file.

    Raises:
        ModelUnavailableError: it is not; names the file, the hash expected and the hash found.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise ModelUnavailableError(
            f"{file.name} is not the published file: expected SHA-256 {file.sha256}, found {found}. Nothing was kept. "
            "Get the file from a source you trust and run `holdfast model --from PATH`."
        )


class LocalSource:
    """The files in a folder, or inside the package's wheel, at a path that the user names."""

    def __init__(self, path: Path, *, blocking: Blocking) -> None:
        self._path = path
        self._blocking = blocking

    async def read(self, model: LocalModel, work: Path, progress: Progress) -> Mapping[str, bytes]:  # noqa: ARG002
        """Read the files. See :meth:`Source.read`."""
        progress("read", 0, None)
        return await self._blocking.run("model.read", self._read, model)

    def _read(self, model: LocalModel) -> dict[str, bytes]:
        try:
            if self._path.is_dir():
                return {file.name: (self._path / file.name).read_bytes() for file in model.files}
            return read_archive(self._path, model)
        except FileNotFoundError as error:
            names = " and ".join(file.name for file in model.files)
            raise SourceUnavailableError(
                f"{error.filename} does not exist. --from takes a folder with {names}, or the package's .whl file."
            ) from error
        except OSError as error:
            raise SourceUnavailableError(f"{self._path} cannot be read: {error.strerror or error}.") from error


def read_archive(archive: Path, model: LocalModel) -> dict[str, bytes]:
    """Return the model's files from a wheel or zip file, in whatever folder of it they are.

    Raises:
        SourceUnavailableError: it is not a zip file, or a file is missing in it or has the wrong size.
        OSError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return {file.name: _read_member(opened, file, archive) for file in model.files}
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise SourceUnavailableError(f"{archive} is not a readable wheel or zip file ({error}).") from error


def _read_member(opened: zipfile.ZipFile, file: ModelFile, archive: Path) -> bytes:
    for member in opened.infolist():
        if PurePosixPath(member.filename).name == file.name:
            if member.file_size != file.size:  # also keeps a hostile archive from unpacking without end
                raise SourceUnavailableError(
                    f"{file.name} in {archive} has {member.file_size} bytes, not the {file.size} of the published file."
                )
            return opened.read(member)
    raise SourceUnavailableError(f"{archive} does not hold {file.name}.")
