"""The copy itself: a SQLite store of its own, with documents and words and without vectors."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from holdfast.rag.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking

__all__ = ["STANDBY", "STANDBY_THREADS", "DocumentCopy", "Held"]

STANDBY = "store:standby"
"""The copy's name in pipelines, metrics and logs."""

STANDBY_THREADS = "standby"
"""The kind of the copy's blocking work. It needs threads of its own: a store that hangs may hold all others."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Held:
    """How much the copy has of one collection."""

    documents: int
    chunks: int


class DocumentCopy(SqliteStore):
    """Documents as the store has them, cut into the same chunks.

    Args:
        directory: a folder that holds nothing else.
        blocking: where SQLite runs, under the kind :data:`STANDBY_THREADS`.
        clock: for times of storing.
    """

    def __init__(self, directory: str | PathLike[str], *, blocking: Blocking, clock: Clock) -> None:
        super().__init__(directory, blocking=_OfOneKind(blocking, STANDBY_THREADS), clock=clock)
        self._directory = Path(directory)

    @property
    def name(self) -> str:
        """The dependency's name."""
        return STANDBY

    async def held(self) -> Mapping[str, Held]:
        """How much there is, by collection.

        Raises:
            StoreError: the file is not there, or cannot be read.
        """
        rows = await self._read(
            lambda connection, _: connection.execute("SELECT name, documents, chunks FROM collections").fetchall()
        )
        return {name: Held(documents, chunks) for name, documents, chunks in rows}

    async def begin_anew(self) -> None:
        """Throw a damaged copy away, and begin with an empty one: the store has everything.

        Raises:
            StoreError: the folder cannot be written to.
        """
        await self.close()
        await self._blocking.run(STANDBY_THREADS, shutil.rmtree, self._directory, ignore_errors=True)
        await self.open()


class _OfOneKind:
    """Blocking work, all of it under one kind."""

    def __init__(self, blocking: Blocking, kind: str) -> None:
        self._blocking = blocking
        self._kind = kind

    async def run(self, kind: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:  # noqa: ARG002 - the port's
        return await self._blocking.run(self._kind, fn, *args, **kwargs)

    async def close(self) -> None:
        """Nothing: the threads are somebody else's."""
