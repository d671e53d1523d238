"""Files as the sources of documents: read one by one, each with a mark at its end.

The mark says which file it was, which documents it holds now, and whether it was read whole, so that those which it
held before and holds no more can be removed once the others are stored. Of a file that could not be read whole, nothing
is known of what it does not hold.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from holdfast.rag.identity import document_id_for, source_id_for
from holdfast.rag.ingest.report import Fallen
from holdfast.rag.loaders import load
from holdfast.rag.loaders.base import Loaded, Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from holdfast.core.ports import Blocking
    from holdfast.rag.documents import FoundFile
    from holdfast.rag.ingest.report import Tally
    from holdfast.rag.ingest.writer import DocumentWriter
    from holdfast.rag.store.base import DocumentRecord
    from holdfast.rag.types import Document

__all__ = ["EndOfSource", "FileReader", "Incoming", "Sourced"]


@dataclass(frozen=True, slots=True)
class Sourced:
    """A document on its way in.

    Attributes:
        source: the mark of the file to store it under: empty when it came from no file.
        file: that file.
        stored: of a document that is stored and is only embedded anew: what was known of it when it was read. It is
            stored under the same hash, and only if it is still what it was.
    """

    document: Document
    source: str = ""
    file: FoundFile | None = None
    stored: DocumentRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndOfSource:
    """A source was read, and holds these documents now.

    Attributes:
        whole: whether it was read whole.
    """

    source: str
    uri: str
    collection: str
    document_ids: frozenset[str]
    whole: bool


Incoming: TypeAlias = Sourced | EndOfSource


class FileReader:
    """Reads and parses files one by one, as the writer asks for documents.

    Args:
        limit: the largest file that is read, in bytes.
    """

    def __init__(self, files: Sequence[FoundFile], *, collection: str, blocking: Blocking, limit: int) -> None:
        self._files = files
        self._collection = collection
        self._blocking = blocking
        self._limit = limit
        self._uri = ""
        self._taken = 0
        self._of = 0
        self.files_read = 0

    async def documents(
        self, tally: Tally, writer: DocumentWriter, *, fail_fast: bool = False
    ) -> AsyncIterator[Incoming]:
        """The documents of every file, each file's followed by its mark; problems are noted as skipped.

        Raises:
            IngestStoppedError: there is a problem, and ``fail_fast`` is set.
        """
        for file in self._files:
            with tally.timed("read"):
                loaded, emptied = await self._blocking.run("file.read", self._load, file)
            source = source_id_for(file.identity)
            for problem in loaded.problems:
                # A file that is empty now is read whole: there is nothing to try again.
                fallen = Fallen(
                    uri=problem.uri,
                    reason=problem.reason,
                    kind="unreadable",
                    stage="read",
                    source="" if emptied else source,
                    file=None if emptied else file,
                )
                writer.skip(tally, fallen, fail_fast=fail_fast)
            self._uri, self._taken, self._of = file.uri, 0, len(loaded.documents)
            for document in loaded.documents:
                self._taken += 1
                yield Sourced(document, source, file)
            self.files_read += 1
            yield EndOfSource(
                source=source,
                uri=file.uri,
                collection=self._collection,
                document_ids=frozenset(document.id for document in loaded.documents),
                whole=emptied or not loaded.problems,
            )

    def place(self, document: Document) -> str:
        """What to show while ``document`` is the last one that is settled."""
        return f"{self._uri}: {self._taken:,} documents" if self._of > 1 else document.uri

    def _load(self, file: FoundFile) -> tuple[Loaded, bool]:
        """What is in a file, and whether that is nothing at all."""
        try:
            size = file.path.stat().st_size
            if size > self._limit:
                reason = f"It has {size:,} bytes; at most {self._limit:,} are read. Split it, or raise max_file_bytes."
                return Loaded(problems=(Problem(file.uri, reason),)), False
            raw = file.path.read_bytes()
        except OSError as error:
            reason = f"It cannot be read: {error.strerror or error}. Check that it is still there and its permissions."
            return Loaded(problems=(Problem(file.uri, reason),)), False
        loaded = load(
            raw,
            name=file.path.name,
            uri=file.uri,
            document_id=document_id_for(file.identity),
            collection=self._collection,
            max_bytes=self._limit,
        )
        return loaded, _is_blank(raw)


def _is_blank(raw: bytes) -> bool:
    """Whether there is nothing but white space; a file of zeros is damaged and not blank."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return not raw.decode("utf-16", "replace").strip()
    return not raw.removeprefix(codecs.BOM_UTF8).strip()
