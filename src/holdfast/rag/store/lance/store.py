"""The store for many documents on one machine, or in object storage: one LanceDB table."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from holdfast.core.clock import to_ns
from holdfast.errors import ConfigError, StoreUnavailableError
from holdfast.rag.store.lance import reading, writing
from holdfast.rag.store.lance.faults import locked, store_faults
from holdfast.rag.store.lance.home import Home
from holdfast.rag.store.lance.rows import document_rows
from holdfast.rag.store.lance.searching import WordCounts, document_frequencies, search_vectors, search_words
from holdfast.rag.store.lance.upkeep import (
    Pace,
    UpkeepOptions,
    is_untidy,
    make_vector_indexes,
    tidy_up,
    vectors_to_index,
)
from holdfast.rag.store.lance.writing import Busy, under_lock
from holdfast.rag.store.repeating import Repeating
from holdfast.rag.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from os import PathLike

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Vectors
    from holdfast.rag.store.base import DocumentPage, DocumentRecord, Scored, StoreStatus
    from holdfast.rag.store.lance.home import Snapshot
    from holdfast.rag.types import Document, EmbeddedChunk, Scope, StoredChunk

__all__ = ["LanceStore"]

T = TypeVar("T")
_Scores: TypeAlias = "list[Scored]"
_Ids: TypeAlias = "list[str]"
_Chunks: TypeAlias = "list[StoredChunk]"

_FOLDER = "lance"
_PAUSE_NS = 20_000_000  # between two looks at another process's lock


class LanceStore:
    """A ``Store`` in a LanceDB table; its ingest jobs are in SQLite beside it (``jobs``).

    A store object belongs to one event loop. Reads never create anything: without a table they raise
    ``StoreUnavailableError`` and work again as soon as there is one. ``open`` and ``put`` create it. Writers of
    one machine, whichever their process, take turns.

    Args:
        directory: the folder; holds ``lance/`` (the table, and the locks), and the file of the jobs.
        blocking: where LanceDB runs; kinds ``store.read``, ``store.write`` and ``store.index``.
        clock: for times of storing, and for waiting.
        uri: where the table is instead of ``lance/``: object storage such as ``s3://bucket/path``, whose
            keys LanceDB takes from the environment. One machine may write to it.
        approximate: search vectors with an index where there is one: faster, and no longer exact; default false.
        approximate_above: vectors of an embedder from which on there is one, at least 1,000; default 50,000.
        upkeep: see :class:`~holdfast.rag.store.lance.upkeep.UpkeepOptions`.
        lock_timeout: seconds to wait for another who writes or tidies up, above 0; default 60.

    Raises:
        ConfigError: an option is out of its range.
    """

    def __init__(
        self,
        directory: str | PathLike[str],
        *,
        blocking: Blocking,
        clock: Clock,
        uri: str | None = None,
        approximate: bool = False,
        approximate_above: int = 50_000,
        upkeep: UpkeepOptions | None = None,
        lock_timeout: float = 60.0,
    ) -> None:
        if not lock_timeout > 0:
            raise ConfigError("lock_timeout", lock_timeout, "must be above 0 seconds")
        if approximate_above < 1_000:
            raise ConfigError("approximate_above", approximate_above, "must be at least 1,000")
        folder = Path(directory).absolute()
        self.jobs = SqliteStore(folder, blocking=blocking, clock=clock)
        self._locks = folder / _FOLDER
        self._write_lock = self._locks / "write.lock"
        self._home = Home(uri or str(folder / _FOLDER))
        self._blocking = blocking
        self._clock = clock
        self._approximate = approximate
        self._approximate_above = approximate_above
        self._options = upkeep or UpkeepOptions()
        self._lock_timeout = lock_timeout
        self._counts = WordCounts()
        self._pace = Pace(self._options.after_commits)
        self._turn = asyncio.Lock()  # writers wait here and not in threads, which readers need
        self._upkeep = Repeating(
            self.maintain, every=self._options.every, clock=clock, what="Tidying up the LanceDB store"
        )

    @property
    def name(self) -> str:
        """The dependency's name."""
        return "store:lance"

    async def open(self) -> None:
        """Make the store ready, creating it when it is not there. Idempotent."""
        self._home.open()
        try:
            await self.ping()
        except StoreUnavailableError:  # only then: who makes the table waits for those who write or tidy up
            await self._in_turn(lambda: self._home.writable(create_us=self._now_us()))
        await self.jobs.open()
        self._upkeep.start()

    async def close(self) -> None:
        """Release the table and the jobs, after tidying up what this object wrote. Idempotent."""
        await self._upkeep.stop()
        if self._pace.commits:
            await self._upkeep.once()
            self._pace.commits = 0
        await self._blocking.run("store.write", self._home.close)
        await self.jobs.close()

    async def ping(self) -> None:
        """Return when a read works; raise as any read would."""
        await self._read(lambda snapshot: snapshot.version)

    async def generation(self) -> int:
        """A number that grows with every commit by any process, those that only tidy up included."""
        return await self._read(lambda snapshot: snapshot.generation)

    async def status(self) -> StoreStatus:
        """Counts and sizes."""
        return await self._read(lambda snapshot: reading.status_of(snapshot, self._home.bytes_on_disk()))

    async def put(
        self, document: Document, chunks: Sequence[EmbeddedChunk], *, embedder_id: str | None, source: str = ""
    ) -> None:
        """Store the document with all of its chunks, replacing what was there under its id: one commit.

        Raises:
            InvalidInputError: a chunk's vectors are missing or do not fit the embedder, two chunks of the document
                share an id, or a text is not valid Unicode.
        """

        def rows() -> Callable[[], None]:
            with store_faults(self._home.uri):
                ready = document_rows(
                    document, chunks, embedder_id=embedder_id, source=source, now_ns=self._clock.wall_ns()
                )
            return lambda: writing.put_document(self._home, ready, embedder_id=embedder_id, now_us=self._now_us())

        await self._in_turn(await self._blocking.run("store.write", rows))
        self._committed()

    async def delete(self, document_id: str, *, collection: str = "default") -> bool:
        """Remove a document and everything made of it; False when it was not there.

        Nobody finds it from now on; its bytes leave the disk when LanceDB writes their file anew (see the docs).
        """
        done = await self._in_turn(lambda: writing.delete_document(self._home, document_id, collection=collection))
        self._committed()
        return done

    async def get(self, document_id: str, *, collection: str = "default") -> Document | None:
        """A document with its text."""
        return await self._read(lambda snapshot: reading.get_document(snapshot, document_id, collection))

    async def records(self, document_ids: Collection[str], *, collection: str = "default") -> dict[str, DocumentRecord]:
        """What is known of these documents; ids that are not stored are left out."""
        return await self._read(lambda snapshot: reading.records_of(snapshot, document_ids, collection))

    async def ids_from(self, source: str, *, collection: str = "default") -> _Ids:
        """The ids of the documents that came from ``source``, in their order; none for the empty source."""
        return await self._read(lambda snapshot: reading.ids_from(snapshot, source, collection))

    async def list(self, *, collection: str = "default", limit: int = 100, cursor: str | None = None) -> DocumentPage:
        """Documents in the order of their ids (by code point).

        Raises:
            InvalidInputError: ``limit`` is below 1.
        """
        return await self._read(lambda snapshot: reading.list_documents(snapshot, collection, limit, cursor))

    async def lexical(self, question: str, *, k: int, scope: Scope) -> _Scores:
        """The ``k`` best chunks by BM25 over title, heading and text, best first; scores are positive.

        Stop words are left out; a question of nothing else finds nothing. Of a longer question the first 64 words are
        looked at. The statistics are those of all collections.
        """
        return await self._read(lambda snapshot: search_words(snapshot, question, k, scope))

    async def dense(self, vector: Vectors, *, embedder_id: str, k: int, scope: Scope) -> _Scores:
        """The ``k`` best chunks by cosine similarity among those embedded by ``embedder_id``, best first.

        Exact, unless the store was made with ``approximate``.

        Raises:
            InvalidInputError: ``vector`` has another dimension than the vectors of ``embedder_id``.
        """
        return await self._read(
            lambda snapshot: search_vectors(
                snapshot, vector, embedder_id=embedder_id, k=k, scope=scope, approximate=self._approximate
            )
        )

    async def fetch(
        self, chunk_ids: Sequence[str], *, collection: str = "default", sentence_vectors: bool = False
    ) -> _Chunks:
        """Chunks with their text, in the order asked for; an id that is gone is left out."""
        return await self._read(
            lambda snapshot: reading.fetch_chunks(snapshot, chunk_ids, collection, sentence_vectors=sentence_vectors)
        )

    async def document_frequency(
        self, words: Collection[str], *, collection: str = "default"
    ) -> tuple[dict[str, int], int]:
        """For each word (any form) the number of chunks that hold it; and the number of chunks.

        The count of a word in 2,000 chunks and more may be old by a hundredth of the chunks.
        """
        return await self._read(lambda snapshot: document_frequencies(snapshot, self._counts, words, collection))

    async def maintain(self) -> bool:
        """Tidy the table up when it needs it and nobody else does; whether it was done.

        Done by itself in the background while the store is open; harmless at any time, by any number of processes.
        """
        try:
            return await self._blocking.run("store.index", self._maintain)
        except StoreUnavailableError:
            if self._home.is_there():
                raise
            return False  # nothing was stored yet, or somebody removed it: nothing to tidy up

    def _maintain(self) -> bool:
        """Runs in a thread, from the lock to its release: nobody who is cancelled leaves it behind."""
        place = self._home.uri
        done = under_lock(self._locks / "upkeep.lock", place, self._tidy_up)
        return done is True

    def _tidy_up(self) -> bool:
        if self._approximate:
            lacking = vectors_to_index(self._home.snapshot(), self._approximate_above)
            make_vector_indexes(self._home, lacking)
        keep_ns = to_ns(self._options.keep_versions)
        if not (self._pace.may_clean(self._clock.now_ns(), keep_ns) or is_untidy(self._home.snapshot())):
            return False
        give_up_ns = self._clock.now_ns() + to_ns(self._lock_timeout)
        while True:
            began_ns = self._clock.now_ns()
            done = under_lock(
                self._write_lock, self._home.uri, lambda: tidy_up(self._home, self._options.keep_versions)
            )
            if not isinstance(done, Busy):
                self._pace.done(began_ns, self._clock.now_ns(), changed=done)
                return done
            if self._clock.now_ns() >= give_up_ns:
                raise locked(self._home.uri)
            self._clock.sleep_ns(_PAUSE_NS)

    def _committed(self) -> None:
        if self._pace.committed(self._clock.now_ns()):
            self._upkeep.soon()

    def _now_us(self) -> int:
        return self._clock.wall_ns() // 1_000

    async def _read(self, fn: Callable[[Snapshot], T]) -> T:
        return await self._blocking.run("store.read", self._on_snapshot, fn)

    def _on_snapshot(self, fn: Callable[[Snapshot], T]) -> T:
        with store_faults(self._home.uri):
            return fn(self._home.snapshot())

    async def _in_turn(self, change: Callable[[], T]) -> T:
        give_up_ns = self._clock.now_ns() + to_ns(self._lock_timeout)
        async with self._turn:
            while True:
                done = await self._blocking.run("store.write", under_lock, self._write_lock, self._home.uri, change)
                if not isinstance(done, Busy):
                    return done
                if self._clock.now_ns() >= give_up_ns:
                    raise locked(self._home.uri)
                await self._clock.asleep_ns(_PAUSE_NS)
