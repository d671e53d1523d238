"""How the file is laid out, and how it comes into being."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from holdfast.rag.records.sqlite.faults import foreign, other_version
from holdfast.rag.store.schema import log_files

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["APPLICATION_ID", "LAYOUT_VERSION", "check_layout", "prepare_file"]

APPLICATION_ID = 0x486F6C72  # "Holr": tells file(1) and us whose database this is
LAYOUT_VERSION = 1

_TABLES = """
CREATE TABLE conversations (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL,
  turns INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  first_question TEXT NOT NULL,
  summary TEXT NOT NULL,
  summarised INTEGER NOT NULL
);
CREATE INDEX conversations_by_time ON conversations (updated_at, id);

CREATE TABLE turns (
  conversation INTEGER NOT NULL,
  number INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  question TEXT NOT NULL,
  answer TEXT NOT NULL,
  asked_at REAL NOT NULL,
  source TEXT NOT NULL,
  tier TEXT NOT NULL,
  standalone TEXT NOT NULL,
  UNIQUE (conversation, number),
  UNIQUE (conversation, request_id)
);

CREATE TABLE tombstones (digest TEXT PRIMARY KEY, deleted_at REAL NOT NULL) WITHOUT ROWID;

CREATE TABLE keys (
  number INTEGER PRIMARY KEY,
  digest TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  prefix TEXT NOT NULL,
  created_at REAL NOT NULL,
  last_used_at REAL,
  expires_at REAL,
  revoked_at REAL,
  requests_per_minute INTEGER,
  tokens_per_minute INTEGER,
  priority INTEGER
);
CREATE UNIQUE INDEX keys_by_name ON keys (name) WHERE revoked_at IS NULL;

CREATE TABLE feedback (
  request_id TEXT PRIMARY KEY,
  useful INTEGER NOT NULL,
  comment TEXT NOT NULL,
  given_at REAL NOT NULL
);
CREATE INDEX feedback_by_time ON feedback (given_at);
"""


def check_layout(connection: sqlite3.Connection, path: Path) -> None:
    """Return when the file is ours and of this version.

    Raises:
        StoreCorruptError: it is another program's database.
        StoreUnavailableError: it was written by another version.
    """
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise foreign(path)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != LAYOUT_VERSION:
        raise other_version(path, version, LAYOUT_VERSION)


def prepare_file(path: Path, timeout: float) -> None:
    """Make the file at ``path`` unless there is one; of several processes that do so at once, one does.

    A file that is empty, because somebody was killed while making it, is finished.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # one maker at a time; the lock goes with the descriptor
        if not path.exists():
            for log in log_files(path):  # of a file that was removed: SQLite would play it into the new one
                log.unlink(missing_ok=True)
            # What people asked is nobody else's business; SQLite gives the files beside it the same permissions.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(path, timeout=timeout, isolation_level=None)) as connection:
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(
                f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID:d}; "
                f"PRAGMA user_version = {LAYOUT_VERSION:d}; {_TABLES} COMMIT;"
            )
        os.fsync(descriptor)  # the name must be as durable as the content
    finally:
        os.close(descriptor)
