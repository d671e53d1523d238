"""The store of a fleet: one MongoDB database for documents, words, vectors and ingest jobs."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias
from uuid import uuid4

from holdfast.errors import ConfigError
from holdfast.rag.store.mongo import reading, writing
from holdfast.rag.store.mongo.analytics import Analytics
from holdfast.rag.store.mongo.client import Client, Timeouts, database_of, make_client, place_of
from holdfast.rag.store.mongo.dense import ExactIndex, search_vectors
from holdfast.rag.store.mongo.faults import closed, store_faults
from holdfast.rag.store.mongo.job_store import MongoJobs
from holdfast.rag.store.mongo.jobs import sweep_jobs
from holdfast.rag.store.mongo.layout import META, create_indexes
from holdfast.rag.store.mongo.leases import Leases
from holdfast.rag.store.mongo.ledger import generation_of
from holdfast.rag.store.mongo.lexical import WordCounts, document_frequencies, search_words
from holdfast.rag.store.mongo.rows import prepared
from holdfast.rag.store.mongo.search_indexes import SearchIndexes, SearchMode
from holdfast.rag.store.mongo.spaces import Spaces
from holdfast.rag.store.repeating import Repeating

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Vectors
    from holdfast.rag.store.base import DocumentPage, DocumentRecord, Scored, StoreStatus
    from holdfast.rag.store.mongo.client import Database
    from holdfast.rag.types import Document, EmbeddedChunk, Scope, StoredChunk

__all__ = ["MongoStore"]

_Scores: TypeAlias = "list[Scored]"
_Ids: TypeAlias = "list[str]"
_Chunks: TypeAlias = "list[StoredChunk]"

_SWEPT_AT_OPENING = 100


class MongoStore(MongoJobs):
    """A ``Store`` and a ``JobStore`` in one MongoDB database, which any number of processes may share.

    A store object belongs to one event loop. It connects with the first call; ``open`` makes the indexes, and where it
    could not reach the server the first ``put`` does. Nothing is retried here: that is for the policies around it.

    Args:
        uri: the server's address; holds a password, and is kept by the driver alone.
        blocking: where texts are split and vectors are scored; kinds ``store.write`` and ``store.read``.
        clock: for times of storing, generations, and leases (whose seconds are the wall clock's).
        database: its name; 1 to 63 letters, digits, _ or -; default ``"holdfast"``.
        search: ``"auto"``: MongoDB's search engine where its indexes are ready, else the store's own searches;
            ``"exact"``: the store's own always.
        approximate: let the engine's vector search look at some candidates only: faster above some ten thousand
            chunks, and no longer exact; default false.
        max_exact_vectors: of one collection and embedder that are scored in this process, at least 1; default 50,000
            (77 MB at 384 numbers). With more, ``dense`` needs the engine, and without it raises.
        timeouts: see :class:`~holdfast.rag.store.mongo.client.Timeouts`.
        max_connections: of this process, at least 1; default 20.
        lease_seconds: after which a job of a process that died is free, above 0; default 60.
        abandoned_after: seconds after which what an unfinished put or job has written is taken for left by a process
            that died, above 0; default 3,600. A put that takes longer fails.
        sweep_every: seconds between two sweeps while the store is open, above 0; default 300.
        events: what analytics and logs are made of, see :class:`~holdfast.rag.store.mongo.analytics.Analytics`; None:
            there are none.
        analytics_days: days for which they are kept, above 0; default 30.

    Attributes:
        analytics: what writes them, or None.

    Raises:
        ConfigError: an option is out of its range, or the address cannot be read.
    """

    def __init__(
        self,
        uri: str,
        *,
        blocking: Blocking,
        clock: Clock,
        database: str = "holdfast",
        search: str = "auto",
        approximate: bool = False,
        max_exact_vectors: int = 50_000,
        timeouts: Timeouts | None = None,
        max_connections: int = 20,
        lease_seconds: float = 60.0,
        abandoned_after: float = 3_600.0,
        sweep_every: float = 300.0,
        events: Events | None = None,
        analytics_days: float = 30.0,
    ) -> None:
        for field, value in (("max_exact_vectors", max_exact_vectors), ("max_connections", max_connections)):
            if value < 1:
                raise ConfigError(field, value, "must be at least 1")
        for field, seconds in (
            ("lease_seconds", lease_seconds), ("abandoned_after", abandoned_after), ("sweep_every", sweep_every)
        ):  # fmt: skip
            if not seconds > 0:
                raise ConfigError(field, seconds, "must be above 0 seconds")
        if not analytics_days > 0:
            raise ConfigError("analytics_days", analytics_days, "must be above 0 days")
        if search not in set(SearchMode):
            raise ConfigError("search", search, "must be auto or exact")
        self._place = place_of(uri, database)
        limits = timeouts or Timeouts()

        def connect() -> tuple[Client, Database]:
            client = make_client(uri, timeouts=limits, max_connections=max_connections)
            return client, database_of(client, database, timeouts=limits)

        self._connect = connect
        self._connected: tuple[Client, Database] | None = connect()
        self._blocking = blocking
        self._clock = clock
        self._approximate = approximate
        self._abandoned_after = abandoned_after
        self._indexed = False
        self._indexing = asyncio.Lock()
        self._dimensions: set[int] = set()
        self._spaces = Spaces()
        self._indexes = SearchIndexes(SearchMode(search), clock)
        self._exact = ExactIndex(max_vectors=max_exact_vectors, place=self._place)
        self._counts = WordCounts()
        self._leases = Leases(lambda: self._database, clock=clock, seconds=lease_seconds, place=self._place)
        self._sweeping = Repeating(self.sweep, every=sweep_every, clock=clock, what="Sweeping the MongoDB store")
        self.analytics = (
            None
            if events is None
            else Analytics(lambda: self._database, self._place, events=events, clock=clock, days=analytics_days)
        )

    @property
    def name(self) -> str:
        """The dependency's name."""
        return "store:mongo"

    async def open(self) -> None:
        """Make the indexes that are missing, and finish what processes left that died. Idempotent."""
        if self._connected is None:
            self._connected = self._connect()
        self._sweeping.start()
        if self.analytics is not None:
            self.analytics.start()
        async with self._using() as database:
            await self._index(database, await self._spaces.dimensions(database))
        await self.sweep(limit=_SWEPT_AT_OPENING)

    async def close(self) -> None:
        """Release the connections, and the jobs that were begun and not finished. Idempotent."""
        if self._connected is None:
            return
        await self._sweeping.stop()
        if self.analytics is not None:
            await self.analytics.stop()
        await self._leases.release_all()
        (client, _), self._connected = self._connected, None
        self._indexed = False
        await client.close()

    async def sweep(self, *, limit: int = 1_000) -> int:
        """Finish what puts, deletes and jobs left whose process died; how many of them were looked at.

        Every store object does it for its own calls, for up to 100 others' when it is opened, and every
        ``sweep_every`` seconds while it is open. Harmless at any time, by any number of processes.
        """
        async with self._using() as database:
            left = await writing.sweep(database, clock=self._clock, abandoned_after=self._abandoned_after, limit=limit)
            return left + await sweep_jobs(
                database, clock=self._clock, abandoned_after=self._abandoned_after, limit=limit
            )

    async def ping(self) -> None:
        """Return when a read works; raise as any read would."""
        async with self._using() as database:
            await database[META].find_one({"_id": "content"})

    async def generation(self) -> int:
        """A number that grows with every committed change by any process; two small reads at the same time."""
        async with self._using() as database:
            return await generation_of(database, self._clock)

    async def status(self) -> StoreStatus:
        """Counts and sizes."""
        async with self._using() as database:
            return await reading.status_of(database, await generation_of(database, self._clock))

    async def put(
        self, document: Document, chunks: Sequence[EmbeddedChunk], *, embedder_id: str | None, source: str = ""
    ) -> None:
        """Store the document with all of its chunks, replacing what was there under its id: one change.

        Raises:
            InvalidInputError: a chunk's vectors are missing or do not fit the embedder, two chunks share an id, a text
                is not valid Unicode, or the document's text is larger than MongoDB takes for one (16 MB).
        """
        version = uuid4().hex
        async with self._using() as database:
            ready = await self._blocking.run(
                "store.write",
                lambda: prepared(
                    document,
                    chunks,
                    embedder_id=embedder_id,
                    source=source,
                    version=version,
                    now_ns=self._clock.wall_ns(),
                ),
            )
            if ready.dimension and embedder_id is not None:
                await self._spaces.register(database, document.collection, embedder_id, ready.dimension)
            await self._index(database, {ready.dimension} - {0})
            await writing.put_document(database, document, ready, version=version, clock=self._clock, place=self._place)

    async def delete(self, document_id: str, *, collection: str = "default") -> bool:
        """Remove a document and everything made of it; False when it was not there."""
        async with self._using() as database:
            return await writing.delete_document(
                database, collection, document_id, clock=self._clock, place=self._place
            )

    async def get(self, document_id: str, *, collection: str = "default") -> Document | None:
        """A document with its text."""
        async with self._using() as database:
            return await reading.get_document(database, document_id, collection)

    async def records(self, document_ids: Collection[str], *, collection: str = "default") -> dict[str, DocumentRecord]:
        """What is known of these documents; ids that are not stored are left out."""
        async with self._using() as database:
            return await reading.records_of(database, document_ids, collection)

    async def ids_from(self, source: str, *, collection: str = "default") -> _Ids:
        """The ids of the documents that came from ``source``, in their order; none for the empty source."""
        async with self._using() as database:
            return await reading.ids_from(database, source, collection)

    async def list(self, *, collection: str = "default", limit: int = 100, cursor: str | None = None) -> DocumentPage:
        """Documents in the order of their ids (by code point).

        Raises:
            InvalidInputError: ``limit`` is below 1.
        """
        async with self._using() as database:
            return await reading.list_documents(database, collection, limit, cursor)

    async def lexical(self, question: str, *, k: int, scope: Scope) -> _Scores:
        """The ``k`` best chunks by BM25 over title, heading and text, best first; scores are positive.

        Stop words are left out; a question of nothing else finds nothing. Of a longer question the first 64 words are
        looked at; without the engine, common words are left out where rarer ones bring some thousand chunks already.
        """
        async with self._using() as database:
            counts = self._counts.at(await generation_of(database, self._clock))
            return await search_words(database, self._indexes, counts, self._blocking, question, k=k, scope=scope)

    async def dense(self, vector: Vectors, *, embedder_id: str, k: int, scope: Scope) -> _Scores:
        """The ``k`` best chunks by cosine similarity among those embedded by ``embedder_id``, best first.

        Exact, unless the store was made with ``approximate``.

        Raises:
            InvalidInputError: ``vector`` has another dimension than the vectors of ``embedder_id``.
            StoreUnavailableError: there is no vector index, and more vectors than this process may score.
        """
        async with self._using() as database:
            return await search_vectors(
                database,
                self._indexes,
                self._exact,
                self._blocking,
                vector,
                embedder_id=embedder_id,
                dimension=await self._spaces.dimension(database, scope.collection, embedder_id),
                k=k,
                scope=scope,
                generation=await generation_of(database, self._clock),
                approximate=self._approximate,
            )

    async def fetch(
        self, chunk_ids: Sequence[str], *, collection: str = "default", sentence_vectors: bool = False
    ) -> _Chunks:
        """Chunks with their text, in the order asked for; an id that is gone is left out."""
        async with self._using() as database:
            return await reading.fetch_chunks(database, chunk_ids, collection, sentence_vectors=sentence_vectors)

    async def document_frequency(
        self, words: Collection[str], *, collection: str = "default"
    ) -> tuple[dict[str, int], int]:
        """For each word (any form) the number of chunks that hold it; and the number of chunks."""
        async with self._using() as database:
            counts = self._counts.at(await generation_of(database, self._clock))
            return await document_frequencies(database, counts, words, collection)

    async def _index(self, database: Database, dimensions: set[int]) -> None:
        """Make the indexes once in this object's life, and a vector index once for each dimension."""
        if self._indexed and dimensions <= self._dimensions:
            return
        async with self._indexing:
            if not self._indexed:
                await create_indexes(database)
            await self._indexes.create(database, dimensions)
            self._dimensions |= dimensions
            self._indexed = True

    @property
    def _database(self) -> Database:
        if self._connected is None:
            raise closed(self._place)
        return self._connected[1]

    @asynccontextmanager
    async def _using(self) -> AsyncIterator[Database]:
        with store_faults(self._place):
            yield self._database
