"""The embedded store: one SQLite file for documents, words, vectors and ingest jobs; a matrix beside it for speed.

One transaction covers everything of a document, several processes may use the file at once, and a kill at any moment
leaves whole documents. See ``schema`` for the layout, ``connection`` for what happens when the file is deleted or
replaced while we run, ``lexical`` and ``dense`` for the searches, ``claims`` for who runs a job.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from holdfast.errors import ConfigError, RejectedError, StoreError
from holdfast.rag.store import reader, writer
from holdfast.rag.store.claims import JobClaims
from holdfast.rag.store.connection import Database
from holdfast.rag.store.dense import DenseIndex
from holdfast.rag.store.lexical import WordCounts, document_frequencies, search_words
from holdfast.rag.store.open_file import Call
from holdfast.rag.store.schema import log_files
from holdfast.rag.store.sqlite_job_store import SqliteJobs
from holdfast.rag.store.vectors import VectorFiles

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Sequence
    from os import PathLike

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Vectors
    from holdfast.rag.store.base import DocumentPage, DocumentRecord, Scored, StoreStatus
    from holdfast.rag.types import Document, EmbeddedChunk, Scope, StoredChunk

__all__ = ["FILE_NAME", "SqliteStore"]

FILE_NAME = "holdfast.sqlite3"

T = TypeVar("T")
_Scores: TypeAlias = "list[Scored]"
_Ids: TypeAlias = "list[str]"
_Chunks: TypeAlias = "list[StoredChunk]"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Derived:
    """What is kept in memory of one file's content."""

    counts: WordCounts
    index: DenseIndex


class SqliteStore(SqliteJobs):
    """A ``Store`` and a ``JobStore`` in one folder.

    A store object belongs to one event loop. Reads never create anything: without a file they raise
    ``StoreUnavailableError`` and work again as soon as there is one. ``open``, ``put`` and ``create_job`` create it.

    Args:
        directory: the folder; holds ``holdfast.sqlite3``, SQLite's two files beside it, ``vectors/`` and ``jobs/``.
        blocking: where SQLite runs; kinds ``store.read``, ``store.write`` and ``store.index``.
        clock: for times of storing; also makes keys and generations.
        busy_timeout: seconds to wait for another process's write lock, above 0; default 5.

    Raises:
        ConfigError: ``busy_timeout`` is not above 0.
    """

    def __init__(
        self, directory: str | PathLike[str], *, blocking: Blocking, clock: Clock, busy_timeout: float = 5.0
    ) -> None:
        if not busy_timeout > 0:
            raise ConfigError("busy_timeout", busy_timeout, "must be above 0 seconds")
        self._folder = Path(directory).absolute()
        self._blocking = blocking
        self._clock = clock
        self._database = Database(self._folder / FILE_NAME, timeout=busy_timeout, derive=self._derive)
        self._claims = JobClaims(self._folder / "jobs")
        self._turn = asyncio.Lock()  # writers wait here and not in threads, which readers need
        self._folding: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The dependency's name."""
        return "store:sqlite"

    async def open(self) -> None:
        """Make the store ready, creating it when it is not there. Idempotent."""
        await self._blocking.run("store.write", self._database.open)

    async def close(self) -> None:
        """Release the file, and the jobs that were begun and not finished. Idempotent."""
        if self._folding is not None:
            await self._folding
            self._folding = None
        await self._blocking.run("store.write", self._close)

    async def ping(self) -> None:
        """Return when a read works; raise as any read would."""
        await self._read(lambda connection, _: reader.generation_of(connection))

    async def generation(self) -> int:
        """A number that grows with every committed change by any process.

        Asked on the event loop and not in a thread: a ``stat`` and a pragma on a connection that is kept for it take
        some microseconds, wait for no lock that a writer holds, and the way to a thread and back takes ten times that.
        """
        known = self._database.generation_at_once()
        return known if known is not None else await self._blocking.run("store.read", self._database.generation)

    async def status(self) -> StoreStatus:
        """Counts and sizes."""
        return await self._read(
            lambda connection, derived: reader.status_of(connection, self._file_bytes() + derived.index.bytes_on_disk())
        )

    async def put(
        self, document: Document, chunks: Sequence[EmbeddedChunk], *, embedder_id: str | None, source: str = ""
    ) -> None:
        """Store the document with all of its chunks, replacing what was there under its id: one transaction.

        Raises:
            InvalidInputError: a chunk's vectors are missing or do not fit the embedder, two chunks share an id, or a
                text is not valid Unicode.
        """
        await self._write(
            lambda connection: writer.put_document(
                connection, document, chunks, embedder_id=embedder_id, source=source, now_ns=self._clock.wall_ns()
            ),
            create=True,
        )

    async def delete(self, document_id: str, *, collection: str = "default") -> bool:
        """Remove a document and everything made of it; False when it was not there."""
        return await self._write(
            lambda connection: writer.delete_document(
                connection, document_id, collection=collection, now_ns=self._clock.wall_ns()
            )
        )

    async def get(self, document_id: str, *, collection: str = "default") -> Document | None:
        """A document with its text."""
        return await self._read(lambda connection, _: reader.get_document(connection, document_id, collection))

    async def records(self, document_ids: Collection[str], *, collection: str = "default") -> dict[str, DocumentRecord]:
        """What is known of these documents; ids that are not stored are left out."""
        return await self._read(lambda connection, _: reader.records_of(connection, document_ids, collection))

    async def ids_from(self, source: str, *, collection: str = "default") -> _Ids:
        """The ids of the documents that came from ``source``, in their order; none for the empty source."""
        return await self._read(lambda connection, _: reader.ids_from(connection, source, collection))

    async def list(self, *, collection: str = "default", limit: int = 100, cursor: str | None = None) -> DocumentPage:
        """Documents in the order of their ids (by code point).

        Raises:
            InvalidInputError: ``limit`` is below 1.
        """
        return await self._read(lambda connection, _: reader.list_documents(connection, collection, limit, cursor))

    async def lexical(self, question: str, *, k: int, scope: Scope) -> _Scores:
        """The ``k`` best chunks by BM25 over title, heading and text, best first; scores are positive.

        Stop words are left out; a question of nothing else finds nothing. So are words that stand in more than a tenth
        of the chunks, when there are many chunks and rarer words in the question.
        """
        return await self._read(
            lambda connection, derived: search_words(connection, derived.counts, question, k, scope)
        )

    async def dense(self, vector: Vectors, *, embedder_id: str, k: int, scope: Scope) -> _Scores:
        """The ``k`` best chunks by cosine similarity among those embedded by ``embedder_id``, best first; exact.

        Raises:
            InvalidInputError: ``vector`` has another dimension than the vectors of ``embedder_id``.
        """
        found, to_fold = await self._read(
            lambda connection, derived: (
                derived.index.search(connection, vector, embedder_id, k, scope),
                derived.index.to_fold(),
            )
        )
        if to_fold and (self._folding is None or self._folding.done()):
            self._folding = asyncio.create_task(self._fold(to_fold))
        return found

    async def fetch(
        self, chunk_ids: Sequence[str], *, collection: str = "default", sentence_vectors: bool = False
    ) -> _Chunks:
        """Chunks with their text, in the order asked for; an id that is gone is left out."""
        return await self._read(
            lambda connection, _: reader.fetch_chunks(
                connection, chunk_ids, collection, sentence_vectors=sentence_vectors
            )
        )

    async def document_frequency(
        self, words: Collection[str], *, collection: str = "default"
    ) -> tuple[dict[str, int], int]:
        """For each word (any form) the number of chunks that hold it; and the number of chunks."""
        return await self._read(
            lambda connection, derived: document_frequencies(connection, derived.counts, words, collection)
        )

    async def _read(self, fn: Callable[[sqlite3.Connection, _Derived], T]) -> T:
        call = Call()
        try:
            return await self._blocking.run("store.read", self._database.read, call, fn)
        except asyncio.CancelledError:
            call.cancel()
            raise

    async def _write(self, fn: Callable[[sqlite3.Connection], T], *, create: bool = False) -> T:
        return await self._in_turn(lambda call: self._database.write(call, fn, create=create))

    async def _in_turn(self, fn: Callable[[Call], T]) -> T:
        call = Call()
        async with self._turn:
            try:
                return await self._blocking.run("store.write", fn, call)
            except asyncio.CancelledError:
                call.cancel()
                raise

    async def _fold(self, spaces: Sequence[int]) -> None:
        def fold(connection: sqlite3.Connection, derived: _Derived) -> None:
            for space in spaces:
                derived.index.fold(connection, space)

        try:
            await self._blocking.run("store.index", self._database.read, Call(), fold)
        except (StoreError, RejectedError) as error:  # the vector files only save time: SQLite has everything
            _log.warning("The vector file could not be written, searches go on without it: %s", error)

    def _derive(self, connection: sqlite3.Connection) -> _Derived:
        files = VectorFiles(self._folder / "vectors", reader.instance_of(connection))
        return _Derived(WordCounts(), DenseIndex(files))

    def _close(self) -> None:
        self._claims.release_all()
        self._database.close()

    def _file_bytes(self) -> int:
        path = self._folder / FILE_NAME
        return sum(file.stat().st_size for file in (path, *log_files(path)) if file.exists())
