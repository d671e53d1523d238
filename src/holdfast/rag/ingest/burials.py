"""Dead letters kept up to date while an ingest runs: what fails is kept, what succeeds leaves the list."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError
from holdfast.rag.identity import document_id_for, source_id_for
from holdfast.rag.store.dead_letters import DeadLetter
from holdfast.rag.store.jobs import JobItem

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from holdfast.rag.ingest.report import Fallen, Tally
    from holdfast.rag.store.dead_letters import DeadLetterStore
    from holdfast.rag.types import Document

__all__ = ["Burials", "letters_of_item", "source_of_item"]

_log = logging.getLogger(__name__)


def _item_of(document: Document) -> JobItem:
    """A document that was read, as something that can be handed in again."""
    return JobItem(
        name=document.title or document.id,
        payload=document.text.encode("utf-8", "replace"),
        mime=str(document.mime),
        document_id=document.id,
        title=document.title,
        uri=document.uri,
        metadata=document.metadata,
    )


class Burials:
    """The dead letters of one collection while something is ingested into it.

    Args:
        letters: where they are kept.
        strict: a store that does not take a letter is an error: what failed is nowhere else. Otherwise it is a line in
            the log: what failed is a file that is still there, and stands in the report.
    """

    def __init__(self, letters: DeadLetterStore, collection: str, *, strict: bool = False) -> None:
        self._strict = strict
        self._letters = letters
        self._collection = collection
        self._known: dict[str, str] = {}
        self._buried: set[str] = set()

    async def open(self) -> None:
        """Learn which dead letters there are.

        Raises:
            StoreError: the store is not usable.
        """
        self._known = dict(await self._letters.dead_letter_sources(self._collection))

    async def settle(self, tally: Tally) -> None:
        """Bury the files' documents that failed since the last time; forget letters of what succeeded since."""
        fallen, succeeded, sources = tally.take_news()
        await self.bury([_letter_of(each, self._collection) for each in fallen if each.file is not None])
        await self.read(sources, succeeded)

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep these.

        Raises:
            StoreError: the store does not take them, and we are strict.
        """
        if not letters:
            return
        self._known.update((each.id, each.source) for each in letters)
        self._buried.update(each.id for each in letters)
        try:
            await self._letters.bury(letters)
        except HoldfastError as error:
            if self._strict:
                raise
            _log.warning("%d dead letters could not be kept, the store does not take them: %s", len(letters), error)

    async def read(self, sources: Collection[str], succeeded: Collection[str]) -> None:
        """Forget the letters of these sources that were not buried in this run, and these letters.

        Args:
            sources: files and uploads that were read, and of which everything was tried.
            succeeded: ids that the letters of documents have which are stored now.
        """
        if not self._known:
            return
        done = {each for each in succeeded if each in self._known}
        done.update(each for each, source in self._known.items() if source in sources and each not in self._buried)
        if not done:
            return
        try:
            await self._letters.remove_dead_letters(done)
        except HoldfastError as error:
            _log.warning("%d dead letters of what is stored now could not be removed: %s", len(done), error)
            return
        for each in done:
            self._known.pop(each, None)


def _letter_of(fallen: Fallen, collection: str) -> DeadLetter:
    return DeadLetter(
        collection=collection,
        document_id="" if fallen.document is None else fallen.document.id,
        uri=fallen.uri,
        reason=fallen.reason,
        kind=fallen.kind,
        stage=fallen.stage,
        source=fallen.source,
        path="" if fallen.file is None else fallen.file.identity,
        file_uri="" if fallen.file is None else fallen.file.uri,
    )


def source_of_item(item: JobItem) -> str:
    """What marks the dead letters of an upload: the same at every upload of the same thing."""
    return source_id_for(json.dumps(["upload", item.document_id, item.uri or item.name]))


def letters_of_item(fallen: Sequence[Fallen], item: JobItem, collection: str, *, readable: int) -> list[DeadLetter]:
    """What to keep of an item of a job.

    Args:
        fallen: what failed of it.
        readable: how many documents could be read from it.
    """
    letters = []
    for each in fallen:
        letter = replace(_letter_of(each, collection), source=source_of_item(item))
        if each.document is not None:
            letter = replace(letter, item=item if readable == 1 else _item_of(each.document))
        elif not readable:
            document_id = item.document_id or document_id_for(item.uri or item.name)
            letter = replace(letter, document_id=document_id, item=item)
        letters.append(letter)
    return letters
