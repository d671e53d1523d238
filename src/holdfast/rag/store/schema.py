"""How a store's SQLite file is laid out.

Three habits make the rest simple. Keys of chunks and generations are the wall clock in microseconds, or the last one
plus one if that is more: they grow, and no key ever stands for two contents, not even after a backup was restored, so
whatever was derived from a key stays true. Every collection has its own full-text table: BM25's statistics are the
collection's own. A file appears under its name only when it is complete: it is made under another name and linked.
"""

# ruff: noqa: S608 - the SQL that is put together here is ours: names of tables and question marks

from __future__ import annotations

import fcntl
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from holdfast.rag.store.faults import foreign, newer, older

__all__ = [
    "APPLICATION_ID",
    "SCHEMA_VERSION",
    "check_schema",
    "create_file",
    "create_words",
    "drop_words",
    "log_files",
    "schema_version",
    "upgrade",
    "words_table",
]

APPLICATION_ID = 0x486F6C64  # "Hold": tells file(1) and us whose database this is
SCHEMA_VERSION = 3

_PAGE_BYTES = (
    8192  # a vector of 384 float32 takes 1.5 kB and its sentences 2.3 kB: fewer bytes are lost than in 4 kB pages
)

_TABLES = """
CREATE TABLE meta (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  instance TEXT NOT NULL,
  generation INTEGER NOT NULL,
  last_key INTEGER NOT NULL
);
INSERT INTO meta VALUES (1, lower(hex(randomblob(8))), 0, 0);

CREATE TABLE collections (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  documents INTEGER NOT NULL DEFAULT 0,
  chunks INTEGER NOT NULL DEFAULT 0,
  sentences INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE spaces (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  collection INTEGER NOT NULL,
  embedder TEXT NOT NULL,
  dimension INTEGER NOT NULL,
  UNIQUE (collection, embedder)
);

CREATE TABLE documents (
  key INTEGER PRIMARY KEY,
  collection INTEGER NOT NULL,
  id TEXT NOT NULL,
  title TEXT NOT NULL,
  uri TEXT NOT NULL,
  mime TEXT NOT NULL,
  content_hash TEXT NOT NULL,
  metadata TEXT NOT NULL,
  space INTEGER,
  chunks INTEGER NOT NULL,
  sentences INTEGER NOT NULL,
  characters INTEGER NOT NULL,
  stored_at INTEGER NOT NULL,
  source TEXT NOT NULL,
  text TEXT NOT NULL,
  UNIQUE (collection, id)
);
CREATE INDEX documents_by_source ON documents (collection, source, id) WHERE source != '';

CREATE TABLE attributes (
  document INTEGER NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  value,
  PRIMARY KEY (document, name)
) WITHOUT ROWID;
CREATE INDEX attributes_by_value ON attributes (name, kind, value, document);

CREATE TABLE chunks (
  key INTEGER PRIMARY KEY,
  collection INTEGER NOT NULL,
  document INTEGER NOT NULL,
  id TEXT NOT NULL,
  ordinal INTEGER NOT NULL,
  start INTEGER NOT NULL,
  stop INTEGER NOT NULL,
  spans BLOB NOT NULL,
  heading TEXT NOT NULL,
  text TEXT NOT NULL,
  UNIQUE (collection, id)
);
CREATE INDEX chunks_by_document ON chunks (document);

CREATE TABLE vectors (key INTEGER PRIMARY KEY, space INTEGER NOT NULL, vector BLOB NOT NULL);
CREATE INDEX vectors_by_space ON vectors (space);
CREATE TABLE removed_vectors (number INTEGER PRIMARY KEY AUTOINCREMENT, space INTEGER NOT NULL, key INTEGER NOT NULL);
CREATE TABLE sentence_vectors (key INTEGER PRIMARY KEY, codes BLOB NOT NULL);

CREATE TABLE jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  collection TEXT NOT NULL,
  status TEXT NOT NULL,
  done INTEGER NOT NULL,
  total INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
CREATE INDEX jobs_open ON jobs (number) WHERE status IN ('queued', 'running');
CREATE TABLE job_items (
  job INTEGER NOT NULL,
  item INTEGER NOT NULL,
  name TEXT NOT NULL,
  mime TEXT NOT NULL,
  document_id TEXT NOT NULL,
  title TEXT NOT NULL,
  uri TEXT NOT NULL,
  metadata TEXT NOT NULL,
  payload BLOB NOT NULL,
  PRIMARY KEY (job, item)
);
CREATE TABLE job_failures (
  number INTEGER PRIMARY KEY,
  job INTEGER NOT NULL,
  document_id TEXT NOT NULL,
  reason TEXT NOT NULL
);
CREATE INDEX job_failures_by_job ON job_failures (job);
"""

_PROGRESS_AND_DEAD_LETTERS = """
ALTER TABLE jobs ADD COLUMN stage TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN detail TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN documents INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN chunks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN interrupted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_items ADD COLUMN letter TEXT NOT NULL DEFAULT '';
ALTER TABLE job_failures ADD COLUMN kind TEXT NOT NULL DEFAULT '';
CREATE INDEX jobs_over ON jobs (updated_at) WHERE status NOT IN ('queued', 'running');
CREATE TABLE dead_letters (
  id TEXT PRIMARY KEY,
  collection TEXT NOT NULL,
  document_id TEXT NOT NULL,
  uri TEXT NOT NULL,
  reason TEXT NOT NULL,
  kind TEXT NOT NULL,
  stage TEXT NOT NULL,
  source TEXT NOT NULL,
  path TEXT NOT NULL,
  file_uri TEXT NOT NULL,
  tries INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  item TEXT,
  payload BLOB
);
CREATE INDEX dead_letters_by_collection ON dead_letters (collection, id);
CREATE TABLE forgotten (
  collection TEXT NOT NULL,
  document_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (collection, document_id)
) WITHOUT ROWID;
"""

_STEPS = {2: _PROGRESS_AND_DEAD_LETTERS}
"""What brings a file of a version to the next one. Nothing that an earlier program needs is taken away."""


def words_table(collection: int) -> str:
    """The name of a collection's full-text table."""
    return f"words_{collection:d}"


def create_words(connection: sqlite3.Connection, collection: int) -> None:
    """Make a collection's full-text table; its content stays where it is, in ``documents`` and ``chunks``."""
    table = words_table(collection)
    connection.execute(
        f"CREATE VIEW {table}_content AS SELECT c.key AS key, d.title AS title, c.heading AS heading, c.text AS text "
        f"FROM chunks AS c JOIN documents AS d ON d.key = c.document WHERE c.collection = {collection:d}"
    )
    connection.execute(
        f"CREATE VIRTUAL TABLE {table} USING fts5(title, heading, text, content='{table}_content', "
        "content_rowid='key', tokenize='porter unicode61 remove_diacritics 2')"
    )


def drop_words(connection: sqlite3.Connection, collection: int) -> None:
    """Remove a collection's full-text table."""
    connection.execute(f"DROP TABLE {words_table(collection)}")
    connection.execute(f"DROP VIEW {words_table(collection)}_content")


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Return when the file is ours and of this version.

    Raises:
        StoreCorruptError: it is another program's database, or an empty file.
        StoreUnavailableError: it was written by a newer or an older version.
    """
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise foreign(path)
    version = schema_version(connection)
    if version > SCHEMA_VERSION:
        raise newer(path, version, SCHEMA_VERSION)
    if version < SCHEMA_VERSION:
        raise older(path, version, SCHEMA_VERSION)


def schema_version(connection: sqlite3.Connection) -> int:
    """Which version of the layout the file has."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring a file of an earlier version that we know up to date, in one transaction; leave every other file alone."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        return
    if schema_version(connection) not in _STEPS:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = schema_version(connection)  # another process may have been quicker
        while version in _STEPS:
            for statement in _STEPS[version].split(";"):
                connection.execute(statement)
            version += 1
        connection.execute(f"PRAGMA user_version = {version:d}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def log_files(path: Path) -> tuple[Path, Path]:
    """SQLite's write-ahead log of the file at ``path``, and the index of the log."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def create_file(path: Path) -> None:
    """Make an empty store at ``path`` unless there is one; of several processes that do so at once, one does.

    The file is made complete under a name of its own and then linked, because a process that is killed half-way
    must not leave a file that nobody can use, and because two writers of one new file lock each other out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as folder:
        draft = Path(folder) / path.name
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES:d}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(
                f"BEGIN; PRAGMA application_id = {APPLICATION_ID:d}; PRAGMA user_version = {SCHEMA_VERSION:d}; "
                f"{_TABLES} {''.join(_STEPS.values())} COMMIT;"
            )
        _link(draft, path)


def _link(draft: Path, path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # one creator at a time; the lock goes with the descriptor
        if path.exists():
            return
        for log in log_files(path):  # of a file that was deleted: SQLite would play it into the new one
            log.unlink(missing_ok=True)
        os.link(draft, path)
        os.fsync(descriptor)  # the name must be as durable as the content
    finally:
        os.close(descriptor)
