"""The ways in: files named on the command line, jobs handed in over the API, and what has failed before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.errors import InvalidInputError, ModelUnavailableError, NotFoundError
from holdfast.rag.documents import FoundFile, Ignored, walk
from holdfast.rag.ingest.batch import Writing
from holdfast.rag.ingest.burials import Burials, letters_of_item, source_of_item
from holdfast.rag.ingest.course import Course, StoredCourse
from holdfast.rag.ingest.items import ItemReader, each_of
from holdfast.rag.ingest.report import Fallen
from holdfast.rag.ingest.sources import FileReader, Sourced
from holdfast.rag.ingest.worker import JobWorker
from holdfast.rag.loaders.base import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Embedder
    from holdfast.rag.documents import WalkItem
    from holdfast.rag.ingest.report import IngestReport, Progress, Tally
    from holdfast.rag.ingest.sources import Incoming
    from holdfast.rag.ingest.writer import DocumentWriter
    from holdfast.rag.narrator import Narrator
    from holdfast.rag.store.base import DocumentRecord
    from holdfast.rag.store.dead_letters import DeadLetter
    from holdfast.rag.store.jobs import JobStore

__all__ = ["Ingestor"]

_PAGE = 500
"""Records and dead letters that are asked for at once."""


class Ingestor:
    """Brings files and jobs into the store.

    Args:
        writer: what embeds and stores documents.
        jobs: where jobs and dead letters are kept.
        max_file_bytes: the largest file that is read.
    """

    def __init__(
        self,
        *,
        writer: DocumentWriter,
        jobs: JobStore,
        blocking: Blocking,
        clock: Clock,
        narrator: Narrator,
        max_file_bytes: int,
    ) -> None:
        self._writer = writer
        self._jobs = jobs
        self._blocking = blocking
        self._clock = clock
        self._max_file_bytes = max_file_bytes
        self._items = ItemReader(blocking=blocking, max_file_bytes=max_file_bytes)
        self._worker = JobWorker(writer=writer, jobs=jobs, items=self._items, clock=clock, narrator=narrator)

    async def ingest_paths(
        self,
        paths: Sequence[Path],
        *,
        collection: str = "default",
        uri_prefix: str = "",
        progress: Progress | None = None,
        fail_fast: bool = False,
    ) -> IngestReport:
        """Ingest files and folders, and remove what a file held at an earlier time and holds no more.

        A file that is gone from the disk keeps its documents, and so does one that could not be read whole. What fails
        becomes a dead letter; what succeeds leaves their list.

        Args:
            paths: files, and folders that are searched recursively.
            uri_prefix: put before each file's path below its folder to make the address that citations show, e.g.
                ``https://example.com/help/``; empty: the folder's name.
            progress: told after each document and at the end.
            fail_fast: stop at the first failure, and try nothing twice.

        Raises:
            StoreError: the store is not usable; nothing was read.
            OutageError: the embedder does not work; nothing was read.
            IngestStoppedError: something failed, and ``fail_fast`` is set.
        """
        tally, embedder, burials = await self._begin(collection, fail_fast=fail_fast)
        how = Writing(tally=tally, embedder=embedder, course=Course(), fail_fast=fail_fast)
        files: list[FoundFile] = []
        for item in await self._blocking.run("file.scan", _scan, paths, uri_prefix):
            if isinstance(item, Problem):
                fallen = Fallen(uri=item.uri, reason=item.reason, kind="unreadable", stage="read")
                self._writer.skip(tally, fallen, fail_fast=fail_fast)
            elif isinstance(item, Ignored):
                tally.ignored = item.by_suffix
            else:
                files.append(item)
        if progress is not None:
            progress("scan", len(files), len(files), "")
        await self._ingest_files(files, how, burials, collection=collection, progress=progress)
        return tally.report()

    async def retry(
        self,
        letter_ids: Sequence[str] | None = None,
        *,
        collection: str = "default",
        progress: Progress | None = None,
        fail_fast: bool = False,
    ) -> IngestReport:
        """Try dead letters again, here and now: files are read anew, uploads are taken from where they are kept.

        Args:
            letter_ids: which; None: all of the collection that can be tried again.

        Raises:
            NotFoundError: there is no such dead letter in the collection.
            InvalidInputError: of one that was named nothing is kept that could be tried again.
            StoreError, OutageError, IngestStoppedError: as for :meth:`ingest_paths`.
        """
        tally, embedder, burials = await self._begin(collection, fail_fast=fail_fast)
        how = Writing(tally=tally, embedder=embedder, course=Course(), fail_fast=fail_fast)
        letters = await self._letters(letter_ids, collection)
        paths = {each.path: each.file_uri for each in letters if each.path}
        files = [FoundFile(path=Path(path), identity=path, uri=uri, size=0) for path, uri in paths.items()]
        await self._ingest_files(files, how, burials, collection=collection, progress=progress)
        kept = [each.id for each in letters if not each.path]
        for done, letter_id in enumerate(kept):
            if tally.stopped:
                break
            letter = await self._jobs.dead_letter(letter_id)
            if letter is not None and letter.item is not None:
                await self._retry_kept(letter, how, burials)
            if progress is not None:
                progress("ingest", len(files) + done + 1, len(files) + len(kept), letter_id)
        return tally.report()

    async def reembed(
        self, *, collection: str = "default", progress: Progress | None = None, fail_fast: bool = False
    ) -> IngestReport:
        """Embed every document of a collection anew that has no vectors of the present embedder.

        Each document changes in one transaction: until then it is found by the vectors that it has, by those who ask
        with the embedder of those, and by its words. Interrupted, it goes on where it stopped.

        Raises:
            InvalidInputError: there is no embedder, by choice.
            ModelUnavailableError: the local model is not there.
            StoreError, OutageError, IngestStoppedError: as for :meth:`ingest_paths`.
        """
        tally, embedder, burials = await self._begin(collection, fail_fast=fail_fast)
        if embedder is None:
            if self._writer.embeds:
                raise ModelUnavailableError("The local model is not there: run `holdfast model`, then this again.")
            raise InvalidInputError("embedder", "is switched off: name one in the settings to embed documents anew")
        course = StoredCourse(self._jobs, since=self._clock.wall_ns() / 1e9)
        how = Writing(tally=tally, embedder=embedder, course=course, fail_fast=fail_fast)
        waiting = [each async for each in self._not_embedded_by(embedder, collection)]
        if progress is not None:
            progress("scan", len(waiting), len(waiting), "")
        done = 0
        async for document in self._writer.put_all(self._stored(waiting), how):
            await burials.settle(tally)
            done += 1
            if progress is not None:
                progress("ingest", done, len(waiting), document.uri)
        await burials.settle(tally)
        return tally.report()

    async def forget(self, document_id: str, *, collection: str) -> bool:
        """Forget everything of a document on its way in: its place in open jobs, its dead letter, its vectors.

        Returns:
            whether there was anything in open jobs, or a dead letter.

        Raises:
            StoreError: the store does not take the change.
        """
        dropped = await self._writer.store.call(self._jobs.forget_document, document_id, collection=collection)
        await self._writer.forget(document_id, collection=collection)
        return dropped

    def wake(self) -> None:
        """Tell the worker of this process that a job is waiting."""
        self._worker.wake()

    async def run_jobs(self) -> None:
        """Work on jobs, oldest first, until cancelled; see :class:`JobWorker`."""
        await self._worker.run()

    # -- the parts of a run ------------------------------------------------------------------------------------------

    async def _begin(self, collection: str, *, fail_fast: bool) -> tuple[Tally, Embedder | None, Burials]:
        await self._writer.store.documents.open()
        burials = Burials(self._jobs, collection)
        await self._writer.store.call(self._jobs.remove_dead_letters, ())  # a write: it is asked for before we pay
        await burials.open()
        tally, embedder = await self._writer.begin(fail_fast=fail_fast)
        return tally, embedder, burials

    async def _ingest_files(
        self,
        files: Sequence[FoundFile],
        how: Writing,
        burials: Burials,
        *,
        collection: str,
        progress: Progress | None,
    ) -> None:
        tally = how.tally
        reader = FileReader(files, collection=collection, blocking=self._blocking, limit=self._max_file_bytes)
        incoming = reader.documents(tally, self._writer, fail_fast=how.fail_fast)
        async for document in self._writer.put_all(incoming, how):
            await burials.settle(tally)
            if progress is not None:
                progress("ingest", reader.files_read, len(files), reader.place(document))
        await burials.settle(tally)
        if progress is not None and not tally.stopped:
            progress("ingest", len(files), len(files), "")

    async def _retry_kept(self, letter: DeadLetter, how: Writing, burials: Burials) -> None:
        if letter.item is None:
            raise AssertionError("only what is kept is tried again")
        loaded = await self._items.read(letter.item, collection=letter.collection)
        for problem in loaded.fallen:
            self._writer.skip(how.tally, problem, fail_fast=how.fail_fast)
        now = replace(how, course=StoredCourse(self._jobs, since=letter.last_at))
        async for _ in self._writer.put_all(each_of(loaded.documents), now):
            pass
        fallen, succeeded, _ = how.tally.take_news()
        await burials.bury(letters_of_item(fallen, letter.item, letter.collection, readable=len(loaded.documents)))
        if not how.tally.stopped:
            await burials.read([source_of_item(letter.item)], succeeded)

    async def _letters(self, letter_ids: Sequence[str] | None, collection: str) -> list[DeadLetter]:
        """The dead letters to try again, without payloads."""
        found: dict[str, DeadLetter] = {}
        cursor: str | None = None
        while True:
            page = await self._jobs.dead_letters(collection=collection, limit=_PAGE, cursor=cursor)
            found.update((each.id, each) for each in page.letters)
            cursor = page.next_cursor
            if cursor is None:
                break
        if letter_ids is None:
            return [each for each in found.values() if each.retryable]
        for each in letter_ids:
            if each not in found:
                raise NotFoundError("id", f"There is no dead letter {each} in the collection {collection}.")
            if not found[each].retryable:
                raise InvalidInputError("id", f"nothing of {each} is kept: correct it and hand it in again")
        return [found[each] for each in dict.fromkeys(letter_ids)]

    async def _not_embedded_by(self, embedder: Embedder, collection: str) -> AsyncIterator[DocumentRecord]:
        store, cursor = self._writer.store.documents, None
        while True:
            page = await self._writer.store.call(store.list, collection=collection, limit=_PAGE, cursor=cursor)
            for record in page.documents:
                if record.embedder_id != embedder.id:
                    yield record
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _stored(self, records: Sequence[DocumentRecord]) -> AsyncIterator[Incoming]:
        """The documents of these records as they are stored; without those that are gone."""
        store = self._writer.store.documents
        for record in records:
            document = await self._writer.store.call(store.get, record.id, collection=record.collection)
            if document is not None and document.content_hash == record.content_hash:
                yield Sourced(document, record.source, stored=record)


def _scan(paths: Sequence[Path], uri_prefix: str) -> list[WalkItem]:
    return list(walk(paths, uri_prefix=uri_prefix))
