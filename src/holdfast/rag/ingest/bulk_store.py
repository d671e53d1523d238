"""The store as bulk work uses it: behind a pipeline that has more time than that of questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

from holdfast.errors import RetriesExhaustedError
from holdfast.rag.ingest.faults import root_of, store_outage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.core.clock import Clock
    from holdfast.core.pipeline import Pipeline
    from holdfast.rag.ingest.faults import OutageError
    from holdfast.rag.store.base import DocumentRecord, Store
    from holdfast.rag.types import Document

__all__ = ["BulkStore"]

P = ParamSpec("P")
T = TypeVar("T")


class BulkStore:
    """A store and the pipeline around it.

    Args:
        guard: the pipeline for bulk work.
        clock: for what a failure says of time.
    """

    def __init__(self, store: Store, *, guard: Pipeline, clock: Clock) -> None:
        self.documents = store
        self._guard = guard
        self._clock = clock

    @property
    def name(self) -> str:
        """The store's name."""
        return self.documents.name

    async def call(self, fn: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the store through the pipeline; raises the failure itself, as it was last."""
        try:
            result: T = await self._guard.call(fn, *args, **kwargs)
        except RetriesExhaustedError as error:
            root = root_of(error)
            raise root from root.__cause__  # it stands behind the other one: as its cause, that would be a circle
        return result

    async def record(self, document: Document) -> DocumentRecord | None:
        """What is known of a document."""
        records = await self.call(self.documents.records, [document.id], collection=document.collection)
        return records.get(document.id)

    def outage(self, error: Exception) -> OutageError:
        """The store as a whole does not work."""
        return store_outage(error, self.name, self._clock)
