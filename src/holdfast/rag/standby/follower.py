"""Keeps the copy as the store is: whatever is new or changed there is copied, whatever is gone is removed.

The store's generation says whether anything changed; while it stays, a look costs one cheap call. When it moved, the
documents are listed page by page and their content hashes compared, and each that differs is read, cut into chunks and
put into the copy by itself. So a turn that breaks off leaves whole documents, and the next one goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from holdfast.core._options import duration, options_by_name, whole
from holdfast.core.clock import NS_PER_SECOND
from holdfast.core.deadline import deadline_scope
from holdfast.errors import InvalidInputError, StoreCorruptError
from holdfast.rag.chunking import ChunkOptions, chunk
from holdfast.rag.standby.copy import STANDBY_THREADS
from holdfast.rag.types import EmbeddedChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking
    from holdfast.rag.ingest.bulk_store import BulkStore
    from holdfast.rag.standby.copy import DocumentCopy, Held
    from holdfast.rag.store.base import DocumentRecord

__all__ = ["Follower", "FollowerOptions", "FollowerSnapshot"]

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)

_PAGE = 200
_MOST_COLLECTIONS = 100
"""More are not followed: anybody may ask for a collection, and each costs a listing whenever something changes."""


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerOptions:
    """How the store is followed.

    Attributes:
        characters: what the copied documents' texts may have together, 1 or more.
        call_seconds: the time that one call to the store may take, its repetitions included, above 0 (default 30).

    Raises:
        ConfigError: a value is out of its range.
    """

    characters: int
    call_seconds: float = 30.0

    def __post_init__(self) -> None:
        whole("characters", self.characters, least=1)
        duration("call_seconds", self.call_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerSnapshot:
    """What is copied.

    Attributes:
        held: how much of each collection.
        left_out: documents that do not fit, or that cannot be copied.
        seconds: since the copy was last known to be as the store is; None: not since the start.
        trouble: why the last turn did not come to its end; empty when it did.
    """

    held: Mapping[str, Held]
    left_out: int
    seconds: float | None
    trouble: str


@dataclass(slots=True)
class _Passed:
    """What one pass through a collection came to.

    Attributes:
        characters: of the documents that are to be in the copy.
        left_out: documents that are not.
        whole: whether all others are in it as the store has them.
    """

    characters: int = 0
    left_out: int = 0
    whole: bool = True


class Follower:
    """Makes the copy like the store, turn by turn.

    Args:
        store: what is copied, behind the pipeline for bulk work.
        copy: where to.
        chunk_options: how documents are cut.
        blocking: cuts them.
        collections: those that are followed from the beginning, the important ones first.
    """

    def __init__(
        self,
        store: BulkStore,
        copy: DocumentCopy,
        *,
        chunk_options: ChunkOptions,
        blocking: Blocking,
        clock: Clock,
        collections: Sequence[str],
        options: FollowerOptions,
    ) -> None:
        self._store = store
        self._copy = copy
        self._chunk_options = chunk_options
        self._blocking = blocking
        self._clock = clock
        self._options = options
        self._followed = dict.fromkeys(collections)
        self._held: Mapping[str, Held] = {}
        self._passed: dict[str, _Passed] = {}
        self._generations: dict[str, int] = {}
        self._empty: set[str] = set()
        self._forgotten: set[tuple[str, str]] = set()
        self._turns = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._made = 0
        self._damaged = False
        self._even_ns: int | None = None
        self._trouble = ""

    @property
    def held(self) -> Mapping[str, Held]:
        """What the copy has, by collection."""
        return self._held

    def snapshot(self) -> FollowerSnapshot:
        """What is copied."""
        even = self._even_ns
        return FollowerSnapshot(
            held=self._held,
            left_out=sum(passed.left_out for passed in self._passed.values()),
            seconds=None if even is None else (self._clock.now_ns() - even) / NS_PER_SECOND,
            trouble=self._trouble,
        )

    def follow(self, collection: str) -> bool:
        """Copy this collection, too; False where that is known, or where there are too many."""
        if collection in self._followed or len(self._followed) >= _MOST_COLLECTIONS:
            return False
        self._followed[collection] = None
        return True

    def is_even(self, collection: str, generation: int) -> bool:
        """Whether the copy of a collection is made of the store's content of this generation."""
        return self._generations.get(collection) == generation

    def is_forgotten(self, collection: str, document_id: str) -> bool:
        """Whether a document was deleted that may still be in the copy."""
        return (collection, document_id) in self._forgotten

    def damaged(self) -> None:
        """Somebody who searched the copy found it damaged: the next turn throws it away, if the store answers."""
        self._damaged = True

    async def look(self) -> None:
        """Learn what the copy has.

        Raises:
            StoreError: it cannot be read.
        """
        self._held = await self._copy.held()
        for collection in self._held:
            self.follow(collection)

    async def forget(self, document_id: str, *, collection: str) -> None:
        """Remove a document from the copy; what is being copied just now does not bring it back.

        Raises:
            StoreError: the copy does not take the change. Until it does, :meth:`is_forgotten` tells.
        """
        self._forgotten.add((collection, document_id))
        self._generations.pop(collection, None)
        async with self._writing:
            await self._copy.delete(document_id, collection=collection)
        self._held = await self._copy.held()

    async def turn(self) -> bool:
        """Make the copy like the store, as far as that can be done now; whether it is. What fails raises nothing."""
        async with self._turns:
            try:
                await self._turn()
                trouble = "" if self._is_whole() else "some documents could not be read as the store lists them"
            except _NotAnsweredError as error:
                trouble = f"the store does not answer: {error}"
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again, and nobody waits for it
                trouble = f"the copy does not work: {str(error) or type(error).__name__}"
                if trouble != self._trouble:
                    _log.warning("The copy of the documents could not be brought up to date: %s", error)
            self._trouble = trouble
            return not trouble

    # --- one turn -----------------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        generation = await self._asked(self._store.documents.generation)
        now = self._clock.now_ns()
        try:
            if self._damaged:
                await self._begin_anew()
            await self._copy.open()
            if await self._copy.generation() < self._made:  # deleted, or replaced by an earlier one
                self._generations.clear()
            if self._forgotten or not all(self.is_even(collection, generation) for collection in self._followed):
                await self._follow(generation)
        except StoreCorruptError:
            await self._begin_anew()
            raise
        if self._is_whole():
            self._even_ns = now

    async def _begin_anew(self) -> None:
        self._generations.clear()
        self._held = {}
        await self._copy.begin_anew()
        self._damaged = False

    async def _follow(self, generation: int) -> None:
        await self._forget_again()
        await self.look()
        left = self._options.characters
        for collection in tuple(self._followed):
            if not self.is_even(collection, generation):
                try:
                    passed = self._passed[collection] = await self._pass(collection, left)
                except _NotAnsweredError:  # now what is copied so far is needed
                    self._held = await self._copy.held()
                    raise
                if passed.whole:
                    self._generations[collection] = generation
            left -= self._passed[collection].characters
        self._held = await self._copy.held()
        self._made = await self._copy.generation()

    def _is_whole(self) -> bool:
        return all(passed.whole for passed in self._passed.values())

    async def _forget_again(self) -> None:
        """Remove what was deleted, wherever that has failed; from here on the store's list tells what is there.

        It is read anew: a store that could not be told still has them, and a pass that was under way left them out.
        """
        for collection, document_id in tuple(self._forgotten):
            self._generations.pop(collection, None)
            async with self._writing:
                await self._copy.delete(document_id, collection=collection)
            self._forgotten.discard((collection, document_id))

    async def _pass(self, collection: str, left: int) -> _Passed:
        passed, wanted = _Passed(), set[str]()
        listed: set[str] = set()
        async for page in self._pages(collection):
            there = await self._copy.records([record.id for record in page], collection=collection)
            for record in page:
                listed.add(record.id)
                if passed.characters + record.characters > left:
                    passed.left_out += 1
                    continue
                passed.characters += record.characters
                wanted.add(record.id)
                known = there.get(record.id)
                if known is None or known.content_hash != record.content_hash:
                    await self._take(record, passed)
            self._held = await self._copy.held()  # the first copy takes minutes, and answers from what it has
        await self._remove_others(collection, wanted, listed, passed)
        return passed

    async def _pages(self, collection: str) -> AsyncIterator[Sequence[DocumentRecord]]:
        cursor: str | None = None
        while True:
            page = await self._asked(self._store.documents.list, collection=collection, limit=_PAGE, cursor=cursor)
            yield page.documents
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _take(self, record: DocumentRecord, passed: _Passed) -> None:
        """Copy one document, then rest as long as that took: questions come first."""
        started = self._clock.now_ns()
        document = await self._asked(self._store.documents.get, record.id, collection=record.collection)
        if document is None or (document.content_hash, len(document.text)) != (record.content_hash, record.characters):
            passed.whole = False  # it changed since it was listed, or the store gives what it never got
            return
        chunks = await self._blocking.run(STANDBY_THREADS, chunk, document, self._chunk_options)
        async with self._writing:
            if self.is_forgotten(record.collection, record.id):
                return
            try:
                await self._copy.put(document, [EmbeddedChunk(chunk=each) for each in chunks], embedder_id=None)
            except InvalidInputError as error:
                _log.warning("The document %s cannot be copied: %s", record.id, error)
                passed.left_out += 1
        taken = self._clock.now_ns() - started
        if taken > 0:
            await self._clock.asleep_ns(taken)

    async def _remove_others(
        self, collection: str, wanted: Collection[str], listed: Collection[str], passed: _Passed
    ) -> None:
        """Remove what the store does not list any more, and what has no room any more.

        A store that lists what is not all of it must not empty the copy: what is gone is asked for once more, and where
        nothing at all is left, the next turn has to find the same.
        """
        gone: list[str] = []
        async for page in self._copied(collection):
            gone += [each for each in page if each not in wanted]
        if not gone:
            return
        if not listed and collection not in self._empty:
            self._empty.add(collection)
            passed.whole = False
            return
        self._empty.discard(collection)
        for first in range(0, len(gone), _PAGE):
            some = gone[first : first + _PAGE]
            unlisted = [each for each in some if each not in listed]
            records = self._store.documents.records
            still = await self._asked(records, unlisted, collection=collection) if unlisted else {}
            passed.whole = passed.whole and not still
            for each in some:
                if each not in still:
                    async with self._writing:
                        await self._copy.delete(each, collection=collection)

    async def _copied(self, collection: str) -> AsyncIterator[Sequence[str]]:
        """The ids of what is copied, page by page."""
        cursor: str | None = None
        while True:
            page = await self._copy.list(collection=collection, limit=_PAGE, cursor=cursor)
            yield [record.id for record in page.documents]
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _asked(self, fn: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call to the store, which has a bounded time.

        Raises:
            _NotAnsweredError: it failed. Its pipeline tells why.
        """
        try:
            with deadline_scope(self._options.call_seconds, clock=self._clock):
                return await self._store.call(fn, *args, **kwargs)
        except Exception as error:
            raise _NotAnsweredError(str(error) or type(error).__name__) from error


class _NotAnsweredError(Exception):
    """The store, and not the copy, has failed."""
