"""Dead letters: what could not be ingested, kept with the reason and with what is needed to try it again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from holdfast.rag.store.jobs import JobItem

__all__ = ["DeadLetter", "DeadLetterPage", "DeadLetterStore", "letter_id"]


def letter_id(collection: str, document_id: str, *, source: str = "", uri: str = "") -> str:
    """The id of a dead letter: the same for every failure of the same document.

    Args:
        document_id: empty where the document could not be read, so that nobody knows its id; then ``source`` and
            ``uri`` count.
    """
    key = json.dumps([collection, document_id] if document_id else [collection, "", source, uri])
    return "dl-" + hashlib.sha256(key.encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A document, or a file or an upload that nothing could be read from, which is not stored as it should be.

    Attributes:
        uri: what it is, for people.
        reason: what happened and what to do.
        kind: what sort of failure: a ``FaultKind``, or ``unreadable``, ``unusable`` or ``crash``.
        stage: where: ``read``, ``embed`` or ``store``.
        document_id: its id; empty where it could not be read.
        source: the mark of the file that it came from (see ``Store.put``); empty when it came over the API.
        path, file_uri: the file that it came from, to be read again, and how it is shown; empty when it came over the
            API.
        item: what came over the API. A listing leaves its payload out. None for a file, and for a part of an upload
            that could not be read while the rest could: that part has to be handed in again.
        tries: how often it has failed.
        first_at, last_at: the first and the last failure, Unix seconds; set by the store.
    """

    collection: str
    uri: str
    reason: str
    kind: str
    stage: str
    document_id: str = ""
    source: str = ""
    path: str = ""
    file_uri: str = ""
    item: JobItem | None = None
    tries: int = 1
    first_at: float = 0.0
    last_at: float = 0.0

    @property
    def id(self) -> str:
        """The same at every failure of the same document."""
        return letter_id(self.collection, self.document_id, source=self.source, uri=self.uri)

    @property
    def retryable(self) -> bool:
        """Whether what is needed to try again is kept here."""
        return self.item is not None or bool(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterPage:
    """Some dead letters, without their payloads, and the cursor to go on with (None at the end)."""

    letters: Sequence[DeadLetter]
    next_cursor: str | None = None


@runtime_checkable
class DeadLetterStore(Protocol):
    """Keeps dead letters until their documents succeed, or somebody throws them away."""

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep these. One that is there under its id is replaced, counts a try more, and keeps ``first_at``."""
        ...

    async def dead_letters(
        self, *, collection: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> DeadLetterPage:
        """Dead letters in the order of their ids, without payloads; ``collection`` None: of all collections."""
        ...

    async def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """A dead letter by its id, with its payload."""
        ...

    async def dead_letter_sources(self, collection: str) -> Mapping[str, str]:
        """The ids of a collection's dead letters, each with its ``source``."""
        ...

    async def remove_dead_letters(self, letter_ids: Collection[str]) -> int:
        """Forget these; how many there were."""
        ...
