"""Vector files: a copy of the vectors of one space as a matrix that processes map into memory and share.

SQLite holds the truth; a file here is only a quick way to most of it. It maps keys to vectors, and no key ever stands
for two vectors (see ``schema``), so a file is never wrong, only incomplete or outdated: the reader asks SQLite which
keys are live, and for those that the file lacks.

A file is two arrays in NumPy's ``.npy`` format, one after the other: the keys (int64, ascending), then the matrix
(float32, one row a key). Its name holds the store's instance, the space and the generation.
"""

from __future__ import annotations

import fcntl
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.lib import format as npy

from holdfast.rag.store.locks import FileLock

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from holdfast.llm.embedding import Vectors

    Keys: TypeAlias = NDArray[np.int64]

__all__ = ["VectorFiles"]

_DRAFT = ".draft-"


class VectorFiles:
    """The vector files of one store.

    Args:
        folder: where they are; made when the first is written.
        instance: the store's own mark, so that another store's files are never taken for its own.
    """

    def __init__(self, folder: Path, instance: str) -> None:
        self._folder = folder
        self._instance = instance

    def load(self, space: int, dimension: int) -> tuple[Keys, Vectors] | None:
        """The newest usable file's keys and matrix (mapped, not read); None when there is none."""
        for path in sorted(self._files(space), key=_generation, reverse=True):
            try:
                return _map(path, dimension)
            except (OSError, ValueError):  # removed by another process just now, or cut short: SQLite has it all
                continue
        return None

    def save(self, space: int, generation: int, parts: Sequence[tuple[Keys, Vectors]]) -> None:
        """Write keys and rows, in ascending order of the keys over all parts, and remove the space's older files.

        Raises:
            OSError: the folder cannot be written to; nothing is lost by that.
        """
        self._folder.mkdir(exist_ok=True)
        self._remove_orphans()
        path = self._folder / f"{self._prefix(space)}{generation}.npy"
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=_DRAFT, delete=False) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # held while we live: tells a draft in work from an orphan
            draft = Path(file.name)
            try:
                _write(file, parts)
                draft.replace(path)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
        for other in self._files(space):
            if _generation(other) < generation:
                other.unlink(missing_ok=True)

    def keep_only(self, spaces: Collection[int]) -> None:
        """Remove the files of all other spaces: their vectors are gone."""
        for path in self._files(None):
            space = path.name.removeprefix(self._prefix(None)).split("-")[0]
            if not space.isdecimal() or int(space) not in spaces:
                path.unlink(missing_ok=True)

    def bytes_on_disk(self) -> int:
        """The size of all files."""
        return sum(path.stat().st_size for path in self._files(None))

    def _remove_orphans(self) -> None:
        for draft in self._folder.glob(f"{_DRAFT}*"):
            lock = FileLock.try_acquire(draft)
            if lock is not None:
                lock.release(remove=True)

    def _prefix(self, space: int | None) -> str:
        return f"{self._instance}-" if space is None else f"{self._instance}-{space}-"

    def _files(self, space: int | None) -> list[Path]:
        return list(self._folder.glob(f"{self._prefix(space)}*.npy"))


def _generation(path: Path) -> int:
    text = path.stem.rpartition("-")[2]
    return int(text) if text.isdecimal() else -1


def _write(file: IO[bytes], parts: Sequence[tuple[Keys, Vectors]]) -> None:
    rows = sum(len(keys) for keys, _ in parts)
    shape = (rows, parts[0][1].shape[1])
    npy.write_array_header_1_0(file, {"descr": "<i8", "fortran_order": False, "shape": (rows,)})
    for keys, _ in parts:
        file.write(np.ascontiguousarray(keys, dtype="<i8").data)
    npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    for _, matrix in parts:
        file.write(np.ascontiguousarray(matrix, dtype="<f4").data)
    file.flush()


def _map(path: Path, dimension: int) -> tuple[Keys, Vectors]:
    with path.open("rb") as file:
        keys = npy.read_array(file, allow_pickle=False)
        npy.read_magic(file)
        shape, _, kind = npy.read_array_header_1_0(file)
        offset = file.tell()
    if keys.dtype != np.dtype("<i8") or kind != np.dtype("<f4") or shape != (len(keys), dimension):
        raise ValueError(f"{path.name} is not a vector file of dimension {dimension}")
    if path.stat().st_size != offset + 4 * shape[0] * shape[1]:
        raise ValueError(f"{path.name} is cut short")
    return keys, np.memmap(path, dtype=np.float32, mode="r", offset=offset, shape=shape).view(np.ndarray)
