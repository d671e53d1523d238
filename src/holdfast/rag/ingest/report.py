"""What an ingest did, counted while it runs."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from holdfast.rag.loaders.base import Problem
from holdfast.rag.store.dead_letters import letter_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from holdfast.core.clock import Clock
    from holdfast.rag.documents import FoundFile
    from holdfast.rag.types import Document

__all__ = ["Fallen", "IngestFailure", "IngestReport", "Progress", "Tally"]


class Progress(Protocol):
    """Is told how far an ingest is."""

    def __call__(self, stage: str, done: int, total: int, detail: str) -> None:
        """``stage`` is ``scan`` or ``ingest``; ``done`` and ``total`` are files, or documents where no file is read.

        ``detail`` names what was just finished; inside a file of many documents, how many of them were taken.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestFailure:
    """A document that was read and could not be embedded or stored.

    Attributes:
        uri: which document.
        reason: what happened and what to do.
        kind: what sort of failure: a ``FaultKind``.
        stage: ``embed`` or ``store``.
    """

    uri: str
    reason: str
    kind: str
    stage: str
    document_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallen:
    """Something that failed, with what is known of where it came from.

    Attributes:
        document: None where it could not be read.
        source, file: the file's mark, and the file; empty and None when it came over the API.
    """

    uri: str
    reason: str
    kind: str
    stage: str
    document: Document | None = None
    source: str = ""
    file: FoundFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What an ingest did.

    Attributes:
        added, changed, unchanged: documents.
        removed: documents that were deleted because their file was read whole and does not hold them any more.
        skipped: what could not be read or parsed, and why; nothing of it is stored.
        failed: what was read but could not be embedded or stored; the next run tries it again.
        stopped: why the run ended before everything was tried: the store or the embedder is down. Empty: it did not.
        ignored: files of formats that are not supported, by ending.
        embedded: False when there was no embedder: the documents can be found by their words only.
        timings_s: seconds by stage: ``read``, ``parse``, ``embed_chunks``, ``embed_sentences``, ``store``.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: tuple[Problem, ...] = ()
    failed: tuple[IngestFailure, ...] = ()
    stopped: str = ""
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
        self.failed: list[IngestFailure] = []
        self.stopped = ""
        self.store_failures = 0  # documents in a row that the store did not take
        self.ignored: Mapping[str, int] = {}
        self.chunks = 0
        self.sentences = 0
        self.embedded = True
        self._timings: Counter[str] = Counter()
        self._seen: set[tuple[str, str]] = set()
        self._not_settled: set[tuple[str, str]] = set()
        self._textless: set[tuple[str, str]] = set()
        self._fallen: list[Fallen] = []
        self._settled: list[tuple[str, str]] = []
        self._read: list[str] = []

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

    def fail(self, fallen: Fallen) -> None:
        """Note a document that was read and could not be stored."""
        document_id = ""
        if fallen.document is not None:
            document_id = fallen.document.id
            self._not_settled.add((fallen.document.collection, document_id))
        self.failed.append(
            IngestFailure(
                uri=fallen.uri,
                reason=fallen.reason,
                kind=fallen.kind,
                stage=fallen.stage,
                document_id=document_id,
            )
        )
        self._fallen.append(fallen)

    def skip(self, fallen: Fallen) -> None:
        """Note something that cannot be used."""
        self.skipped.append(Problem(fallen.uri, fallen.reason))
        self._fallen.append(fallen)

    def settle(self, document: Document) -> None:
        """Note a document that is stored as it should be."""
        self._settled.append((document.collection, document.id))

    def was_read(self, source: str) -> None:
        """Note a file of which everything was tried."""
        self._read.append(source)

    def stop(self, reason: str) -> None:
        """Note why nothing more is tried."""
        self.stopped = self.stopped or reason

    def take_news(self) -> tuple[list[Fallen], list[str], list[str]]:
        """Since the last time: what failed, the ids that dead letters of what succeeded have, and sources read."""
        news = self._fallen, [letter_id(*each) for each in self._settled], self._read
        self._fallen, self._settled, self._read = [], [], []
        return news

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
            stopped=self.stopped,
            ignored=dict(self.ignored),
            chunks=self.chunks,
            sentences=self.sentences,
            seconds=(self._clock.now_ns() - self._started) / 1e9,
            embedded=self.embedded,
            timings_s={stage: ns / 1e9 for stage, ns in self._timings.items()},
        )
