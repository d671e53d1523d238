"""The store of a world, with a memory of what it found.

Half of a scenario's questions are new wordings, which no cache of the service knows, of a few questions, whose words
are the same: the store would find the same again, thousands of times. What is remembered is the result of a read, and
nothing of how it comes about: each one waits for a thread, takes its time and meets its faults as before.
"""

from __future__ import annotations

import inspect
import re
from collections import OrderedDict
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from holdfast.core._options import options_by_name, whole

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence

    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Vectors
    from holdfast.rag.store.base import Scored
    from holdfast.rag.store.sqlite import SqliteStore
    from holdfast.rag.types import Scope, StoredChunk

__all__ = ["RememberingStore"]

_WORD = re.compile(r"[^\W_]+")
_KEPT = 4_096
_HARMLESS = frozenset({"open", "ping", "status", "get", "records", "ids_from", "list"})
_LOST = object()


@options_by_name
class RememberingStore:
    """A ``SqliteStore`` that runs each search once, until the documents change.

    The four reads of a search are remembered, by their arguments; of a question its words count, as they do for the
    store. So is the generation, which the engine asks for at each question, and which takes two looks at the file. All
    of it is forgotten around every call that may change something. All else is the store's own.

    Args:
        store: the store. Nobody else may write to its file.
        blocking: the store's own; each read is one piece of ``store.read``, as the store's are.
        kept: results that are remembered, 1 or more; the ones that nobody asked for longest go first.
    """

    def __init__(self, store: SqliteStore, *, blocking: Blocking, kept: int = _KEPT) -> None:
        self._store = store
        self._blocking = blocking
        self._kept = whole("kept", kept, least=1)
        self._known: OrderedDict[Hashable, Any] = OrderedDict()
        self._generation: int | None = None
        self._writers = 0
        self._age = 0

    async def generation(self) -> int:
        """See :meth:`holdfast.rag.store.base.Store.generation`."""
        if self._generation is not None:
            return self._generation
        age = self._age
        generation = await self._store.generation()
        if age == self._age and not self._writers:  # else it may be another one in a moment
            self._generation = generation
        return generation

    async def lexical(self, question: str, *, k: int, scope: Scope) -> Sequence[Scored]:
        """See :meth:`holdfast.rag.store.base.Store.lexical`."""
        key = ("lexical", _words_of(question), k, *_of(scope))
        found: Sequence[Scored] = await self._read(key, lambda: self._store.lexical(question, k=k, scope=scope))
        return found

    async def dense(self, vector: Vectors, *, embedder_id: str, k: int, scope: Scope) -> Sequence[Scored]:
        """See :meth:`holdfast.rag.store.base.Store.dense`."""
        key = ("dense", vector.tobytes(), vector.dtype, vector.shape, embedder_id, k, *_of(scope))
        found: Sequence[Scored] = await self._read(
            key, lambda: self._store.dense(vector, embedder_id=embedder_id, k=k, scope=scope)
        )
        return found

    async def fetch(
        self, chunk_ids: Sequence[str], *, collection: str = "default", sentence_vectors: bool = False
    ) -> Sequence[StoredChunk]:
        """See :meth:`holdfast.rag.store.base.Store.fetch`."""
        key = ("fetch", *chunk_ids, collection, sentence_vectors)
        found: Sequence[StoredChunk] = await self._read(
            key, lambda: self._store.fetch(chunk_ids, collection=collection, sentence_vectors=sentence_vectors)
        )
        return found

    async def document_frequency(
        self, words: Collection[str], *, collection: str = "default"
    ) -> tuple[dict[str, int], int]:
        """See :meth:`holdfast.rag.store.base.Store.document_frequency`."""
        key = ("document_frequency", *words, collection)
        counts, chunks = await self._read(key, lambda: self._store.document_frequency(words, collection=collection))
        return dict(counts), chunks

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self._store, name)
        if not callable(value) or not inspect.iscoroutinefunction(value) or name in _HARMLESS:
            return value

        async def writing(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the store's own
            self._forget()
            self._writers += 1
            try:
                return await value(*args, **kwargs)
            finally:
                self._writers -= 1
                self._forget()

        self.__dict__[name] = writing  # found without this method from now on
        return writing

    async def _read(self, key: Hashable, read: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - what it reads
        if key in self._known:
            found = await self._blocking.run("store.read", self._recalled, key)
            if found is not _LOST:
                return found
        age = self._age
        found = await read()
        if isinstance(found, list):
            found = tuple(found)  # nobody may change what others get, too
        if age == self._age and not self._writers:  # else it may be of before a change
            self._known[key] = found
            if len(self._known) > self._kept:
                self._known.popitem(last=False)
        return found

    def _forget(self) -> None:
        self._known.clear()
        self._generation = None
        self._age += 1

    def _recalled(self, key: Hashable) -> Any:  # noqa: ANN401 - as above
        """At the end of the read's time: what was written until then counts."""
        found = self._known.get(key, _LOST)
        if found is not _LOST:
            self._known.move_to_end(key)
        return found


@lru_cache(_KEPT)
def _words_of(question: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(normalize("NFC", question)))


def _of(scope: Scope) -> tuple[Hashable, ...]:
    if not scope.filters:
        return (scope.collection,)
    return scope.collection, *((name, repr(value)) for name, value in sorted(scope.filters.items()))
