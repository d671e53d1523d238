"""Processes that ingest, read, or work on jobs until they are killed; forked from one that has imported everything.

Run as a program it is that one: it reads a role with its arguments, forks, and answers with the child's number; or it
reads a child's number, waits for its end, and answers how it ended.
"""

# ruff: noqa: T201 - the test reads what it prints

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.core.blocking import ThreadBlocking
from holdfast.core.clock import SystemClock
from holdfast.core.events import Events
from holdfast.rag.chunking import ChunkOptions
from holdfast.rag.guards import Guards
from holdfast.rag.ingest import Ingestor, worker
from holdfast.rag.ingest.journal import EmbeddingJournal
from holdfast.rag.ingest.writer import DocumentWriter
from holdfast.rag.narrator import Narrator
from holdfast.rag.store.sqlite import SqliteStore
from holdfast.rag.types import Scope
from holdfast.testing.embedders import HashEmbedder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from holdfast.llm.embedding import EmbedKind, Vectors

_EMBEDDING_SECONDS = 0.002


class LoggingEmbedder(HashEmbedder):
    """A hash embedder that writes down every text that it was paid for, as a bill would."""

    def __init__(self, space: str, bill: Path) -> None:
        super().__init__(dimension=32)
        self._space = space
        self._bill = bill

    @property
    def id(self) -> str:
        """The vector space."""
        return f"test:{self._space}"

    async def embed(self, texts: Sequence[str], *, kind: EmbedKind = "document") -> Vectors:
        """Embed, after a while."""
        await asyncio.sleep(_EMBEDDING_SECONDS)
        vectors = await super().embed(texts, kind=kind)
        lines = [f"{self._space} {hashlib.sha256(text.encode()).hexdigest()}\n" for text in texts if len(texts) > 1]
        with self._bill.open("ab", buffering=0) as bill:
            bill.write("".join(lines).encode())
        return vectors


def ingestor_of(folder: Path, space: str) -> tuple[Ingestor, SqliteStore, LoggingEmbedder]:
    """An ingestor on the real clock, with real threads."""
    clock, events, blocking = SystemClock(), Events(), ThreadBlocking(max_workers=4)
    store = SqliteStore(folder, blocking=blocking, clock=clock)
    embedder = LoggingEmbedder(space, folder.parent / "bill.txt")
    guards = Guards(
        cache="cache:none",
        embedder=embedder.name,
        store=store.name,
        answerer="answerer:none",
        clock=clock,
        rng=random.Random(7),
        events=events,
    )
    narrator = Narrator(events, clock)
    writer = DocumentWriter(
        store=store,
        embedder=embedder,
        guards=guards,
        blocking=blocking,
        clock=clock,
        narrator=narrator,
        chunk_options=ChunkOptions(),
        journal=EmbeddingJournal(folder / "journal.sqlite3", blocking=blocking, clock=clock),
    )
    ingestor = Ingestor(
        writer=writer, jobs=store, blocking=blocking, clock=clock, narrator=narrator, max_file_bytes=10_000_000
    )
    return ingestor, store, embedder


async def jobs(folder: Path, space: str) -> None:
    """Work on jobs until killed."""
    ingestor, _, _ = ingestor_of(folder, space)
    await ingestor.run_jobs()


async def files(folder: Path, space: str, *paths: str) -> None:
    """Ingest paths, and end."""
    ingestor, store, _ = ingestor_of(folder, space)
    report = await ingestor.ingest_paths([Path(path) for path in paths])
    await store.close()
    if report.failed or report.skipped or report.stopped:
        raise AssertionError(report)


async def reembed(folder: Path, space: str) -> None:
    """Embed everything anew, and end."""
    ingestor, store, _ = ingestor_of(folder, space)
    report = await ingestor.reembed()
    await store.close()
    if report.failed or report.stopped:
        raise AssertionError(report)


async def read(folder: Path, space: str, until: str, told: str) -> None:
    """Search until a file is there, then tell how often; every passage must be a piece of its document's text."""
    _, store, embedder = ingestor_of(folder, space)
    searches = found = 0
    over, report = Path(until), Path(told)
    while not await asyncio.to_thread(over.exists):
        vector = (await embedder.embed(["the sentence of a part"], kind="query"))[0]
        hits = await store.dense(vector, embedder_id=embedder.id, k=20, scope=Scope())
        hits += await store.lexical("sentence part", k=20, scope=Scope())
        for each in await store.fetch([hit.chunk_id for hit in hits], sentence_vectors=True):
            document = await store.get(each.chunk.document_id)
            if document is not None and each.chunk.text not in document.text:
                raise AssertionError(each)
            if each.sentence_vectors is None or len(each.sentence_vectors) != len(each.chunk.sentences):
                raise AssertionError(each)
        searches, found = searches + 1, found + len(hits)
    await store.close()
    await asyncio.to_thread(report.write_text, f"{searches} {found}")


ROLES = {role.__name__: role for role in (jobs, files, reembed, read)}


def main() -> None:
    """Fork what is asked for, and wait for whom is asked for."""
    # However often a process is killed here while it works on an item, the item is not to blame.
    worker._MAX_CRASHES = 1_000_000
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, int):
            print(os.waitstatus_to_exitcode(os.waitpid(asked, 0)[1]), flush=True)
            continue
        role, folder, space, *rest = asked
        child = os.fork()
        if child == 0:
            code = 1
            try:
                asyncio.run(ROLES[role](Path(folder), space, *rest))
                code = 0
            except BaseException:  # noqa: BLE001 - the end of the line
                traceback.print_exc()
            os._exit(code)
        print(child, flush=True)


class Nursery:
    """The process that forks, seen from the test."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            process_group=0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def start(self, role: str, folder: Path, space: str, *rest: str) -> int:
        """Start a child; its process number."""
        return self._ask([role, str(folder), space, *rest])

    def wait(self, child: int) -> int:
        """Wait for the end of a child; its exit code, or the signal that ended it, negated."""
        return self._ask(child)

    def kill(self, child: int) -> bool:
        """Kill a child with SIGKILL; whether that is what ended it."""
        os.kill(child, signal.SIGKILL)
        code = self.wait(child)
        if code not in {0, -signal.SIGKILL}:
            raise AssertionError(f"the child ended by itself with {code}")
        return code != 0

    def _ask(self, asked: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


if __name__ == "__main__":
    main()
