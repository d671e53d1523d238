"""What an ingest did, counted while it runs."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from holdfast.rag.loaders.base import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from holdfast.core.clock import Clock
    from holdfast.rag.types import Document

__all__ = ["IngestReport", "Progress", "Tally"]


class Progress(Protocol):
    """Is told how far an ingest is."""

    def __call__(self, stage: str, done: int, total: int, detail: str) -> None:
        """``stage`` is ``scan`` or ``ingest``; ``done`` and ``total`` are files.

        ``detail`` names what was just finished; inside a file of many documents, how many of them were taken.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What an ingest did.

    Attributes:
        added, changed, unchanged: documents.
        removed: documents that were deleted because their file was read whole and does not hold them any more.
        skipped: what could not be read or parsed, and why; nothing of it is stored.
        failed: what was read but could not be embedded or stored; the next run tries it again.
        ignored: files of formats that are not supported, by ending.
        embedded: False when there was no embedder: the documents can be found by their words only.
        timings_s: seconds by stage: ``read``, ``parse``, ``embed_chunks``, ``embed_sentences``, ``store``.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: tuple[Problem, ...] = ()
    failed: tuple[Problem, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)
    chunks: int = 0
    sentences: int = 0
    seconds: float = 0.0
    embedded: bool = True
    timings_s: Mapping[str, float] = field(default_factory=dict)


class Tally:
    """The counts of an ingest while it runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.now_ns()
        self.documents: Counter[str] = Counter()
        self.skipped: list[Problem] = []
        self.failed: list[Problem] = []
        self.ignored: Mapping[str, int] = {}
        self.chunks = 0
        self.sentences = 0
        self.embedded = True
        self._timings: Counter[str] = Counter()
        self._seen: set[tuple[str, str]] = set()
        self._not_settled: set[tuple[str, str]] = set()
        self._textless: set[tuple[str, str]] = set()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add what the block takes to a stage's time."""
        started = self._clock.now_ns()
        try:
            yield
        finally:
            self._timings[stage] += self._clock.now_ns() - started

    def first_time(self, document: Document) -> bool:
        """Whether no document of this run had the same id; a second one would silently replace the first."""
        key = (document.collection, document.id)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def fail(self, document: Document, reason: str) -> None:
        """Note a document that was read and could not be stored."""
        self.failed.append(Problem(document.uri, reason))
        self._not_settled.add((document.collection, document.id))

    def without_text(self, document: Document) -> None:
        """Note a document that turned out to hold nothing that could be searched."""
        self._textless.add((document.collection, document.id))

    def is_held(self, collection: str, document_id: str) -> bool:
        """Whether a document of this run has this id and holds text."""
        key = (collection, document_id)
        return key in self._seen and key not in self._textless

    def any_failed(self, collection: str, document_ids: Iterable[str]) -> bool:
        """Whether one of these documents could not be stored in this run."""
        return any((collection, each) in self._not_settled for each in document_ids)

    def forget_ids(self) -> None:
        """Let the ids that were used so far be used again."""
        self._seen.clear()
        self._not_settled.clear()
        self._textless.clear()

    def report(self) -> IngestReport:
        """The counts as they stand."""
        return IngestReport(
            added=self.documents["added"],
            changed=self.documents["changed"],
            unchanged=self.documents["unchanged"],
            removed=self.documents["removed"],
            skipped=tuple(self.skipped),
            failed=tuple(self.failed),
            ignored=dict(self.ignored),
            chunks=self.chunks,
            sentences=self.sentences,
            seconds=(self._clock.now_ns() - self._started) / 1e9,
            embedded=self.embedded,
            timings_s={stage: ns / 1e9 for stage, ns in self._timings.items()},
        )
