"""The embedding journal: vectors that were paid for and belong to documents that are not stored yet.

A vector is written down as soon as it was made, and struck off when its document is stored. A run that was killed, or
that a rate limit ended in the middle of a large document, therefore pays again for one call at most. The journal is a
file of its own: whatever happens to it costs money at worst and never a document, so a failure of the journal is a
line in the log.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from holdfast.state.embeddings import VectorCodec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from holdfast.core.clock import Clock
    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import Vectors

__all__ = ["EmbeddingJournal", "owner_of"]

_log = logging.getLogger(__name__)

_DAY_NS = 86_400_000_000_000
_KEPT_NS = 7 * _DAY_NS
"""How long a vector is kept for a document that nobody brings again."""

_KEYS_PER_QUERY = 500
_DROPPED_SHARE = 10  # of a journal that is full, the oldest tenth goes

_TABLES = """
CREATE TABLE IF NOT EXISTS vectors (
  number INTEGER PRIMARY KEY,
  key BLOB NOT NULL UNIQUE,
  owner BLOB NOT NULL,
  at INTEGER NOT NULL,
  vector BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS vectors_by_owner ON vectors (owner);
"""


def owner_of(collection: str, document_id: str) -> bytes:
    """What marks the vectors of a document."""
    return hashlib.sha256(json.dumps([collection, document_id]).encode()).digest()[:16]


class EmbeddingJournal:
    """Vectors by the embedder that made them and by their text's hash; no text is kept.

    Several processes may share one. Nothing here raises.

    Args:
        path: the file; made with the first vector.
        blocking: where SQLite runs; kind ``ingest.journal``.
        clock: for the age of what is kept.
        max_bytes: when the file holds more than this, its oldest vectors go; 1 GiB by default.
    """

    def __init__(self, path: Path, *, blocking: Blocking, clock: Clock, max_bytes: int = 1 << 30) -> None:
        self._path = path
        self._blocking = blocking
        self._clock = clock
        self._max_bytes = max_bytes

    async def find(self, texts: Sequence[str], *, embedder_id: str, dimension: int) -> dict[str, Vectors]:
        """The vectors of those of the texts that are known."""
        if not texts or not self._path.exists():
            return {}
        try:
            return await self._blocking.run("ingest.journal", self._find, texts, embedder_id, VectorCodec(dimension))
        except (sqlite3.Error, OSError) as error:
            _log.warning("The embedding journal cannot be read, what it knows is embedded again: %s", error)
            return {}

    async def keep(self, vectors: Mapping[str, Vectors], owners: Mapping[str, bytes], *, embedder_id: str) -> None:
        """Write vectors down, each by its text, for the documents in ``owners``."""
        try:
            await self._blocking.run("ingest.journal", self._keep, vectors, owners, embedder_id)
        except (sqlite3.Error, OSError) as error:
            _log.warning("The embedding journal cannot be written, the ingest goes on without it: %s", error)

    async def strike(self, owners: Collection[bytes]) -> None:
        """Forget the vectors of these documents: they are stored, or gone."""
        if not owners or not self._path.exists():
            return
        try:
            await self._blocking.run("ingest.journal", self._strike, owners)
        except (sqlite3.Error, OSError) as error:
            _log.warning("The embedding journal cannot be written, it forgets by itself after a week: %s", error)

    async def tidy(self) -> None:
        """Forget what was written down long ago."""
        if not self._path.exists():
            return
        try:
            await self._blocking.run("ingest.journal", self._tidy)
        except (sqlite3.Error, OSError) as error:
            _log.warning("The embedding journal cannot be written: %s", error)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=5.0)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last calls, a kill does not
            connection.executescript(_TABLES)
        except BaseException:
            connection.close()
            raise
        return connection

    def _find(self, texts: Sequence[str], embedder_id: str, codec: VectorCodec) -> dict[str, Vectors]:
        keys = {_key(embedder_id, text): text for text in texts}
        found: dict[str, Vectors] = {}
        with closing(self._connect()) as connection:
            wanted = list(keys)
            for start in range(0, len(wanted), _KEYS_PER_QUERY):
                some = wanted[start : start + _KEYS_PER_QUERY]
                marks = ", ".join("?" * len(some))
                for key, vector in connection.execute(
                    f"SELECT key, vector FROM vectors WHERE key IN ({marks})",  # noqa: S608 - question marks
                    some,
                ):
                    try:
                        found[keys[key]] = codec.decode(vector)
                    except ValueError:  # not a vector of this embedder: as good as unknown
                        continue
        return found

    def _keep(self, vectors: Mapping[str, Vectors], owners: Mapping[str, bytes], embedder_id: str) -> None:
        now = self._clock.wall_ns()
        rows = [
            (_key(embedder_id, text), owners[text], now, VectorCodec(vector.size).encode(vector))
            for text, vector in vectors.items()
        ]
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR REPLACE INTO vectors (key, owner, at, vector) VALUES (?, ?, ?, ?)", rows)
            if self._bytes(connection) > self._max_bytes:
                connection.execute(
                    "DELETE FROM vectors WHERE number <= (SELECT min(number) + (max(number) - min(number)) / ? "
                    "FROM vectors)",
                    (_DROPPED_SHARE,),
                )
            connection.execute("COMMIT")

    def _strike(self, owners: Collection[bytes]) -> None:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("DELETE FROM vectors WHERE owner = ?", [(each,) for each in owners])
            connection.execute("COMMIT")

    def _tidy(self) -> None:
        with closing(self._connect()) as connection:
            connection.execute("DELETE FROM vectors WHERE at < ?", (self._clock.wall_ns() - _KEPT_NS,))

    @staticmethod
    def _bytes(connection: sqlite3.Connection) -> int:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)


def _key(embedder_id: str, text: str) -> bytes:
    return hashlib.sha256(json.dumps([embedder_id, text]).encode()).digest()
