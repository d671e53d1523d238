"""What is in the database: its collections and their indexes.

documents   a row a document: what is known of it, its text, its visible version, and marks (see ``writing``)
chunks      a row a chunk and version: text, words, vector; whatever a search of it needs
spaces      the dimension of an embedder's vectors in a collection
meta        the generation of the content, the number of the last job
jobs, job_items, job_failures
dead_letters    what could not be ingested, with its payload
forgotten       documents that were deleted lately: what was handed in before does not bring them back
analytics, logs
            rows that end by themselves (see ``analytics``): each says when, and the server deletes it then
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from pymongo import IndexModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.rag.store.mongo.client import Database

__all__ = [
    "ANALYTICS",
    "CHUNKS",
    "DEAD_LETTERS",
    "DOCUMENTS",
    "FORGOTTEN",
    "JOBS",
    "JOB_FAILURES",
    "JOB_ITEMS",
    "LOGS",
    "META",
    "SPACES",
    "create_indexes",
    "key_of",
]

DOCUMENTS, CHUNKS, SPACES, META = "documents", "chunks", "spaces", "meta"
JOBS, JOB_ITEMS, JOB_FAILURES = "jobs", "job_items", "job_failures"
DEAD_LETTERS, FORGOTTEN = "dead_letters", "forgotten"
ANALYTICS, LOGS = "analytics", "logs"

INDEXES: Mapping[str, list[IndexModel]] = {
    DOCUMENTS: [
        IndexModel([("collection", 1), ("id", 1)], name="by_id"),
        IndexModel([("collection", 1), ("source", 1), ("id", 1)], name="by_source"),
        IndexModel([("collection", 1), ("embedder", 1)], name="by_embedder"),
        IndexModel([("unannounced", 1)], name="unannounced", sparse=True),
        IndexModel([("untidy", 1)], name="untidy", sparse=True),
    ],
    CHUNKS: [
        IndexModel([("collection", 1), ("id", 1)], name="by_id"),
        IndexModel([("version", 1)], name="by_version"),
        IndexModel([("collection", 1), ("words", 1)], name="by_word"),
    ],
    JOBS: [
        IndexModel([("status", 1), ("number", 1)], name="by_status"),
        IndexModel([("untidy", 1)], name="untidy", sparse=True),
    ],
    JOB_ITEMS: [IndexModel([("job", 1), ("item", 1)], name="by_job")],
    JOB_FAILURES: [IndexModel([("job", 1)], name="by_job")],
    DEAD_LETTERS: [IndexModel([("collection", 1), ("_id", 1)], name="by_collection")],
    FORGOTTEN: [IndexModel([("at", 1)], name="by_time")],
    ANALYTICS: [
        IndexModel([("expires_at", 1)], name="expiry", expireAfterSeconds=0),
        IndexModel([("at", 1)], name="by_time"),
    ],
    LOGS: [
        IndexModel([("expires_at", 1)], name="expiry", expireAfterSeconds=0),
        IndexModel([("at", 1)], name="by_time"),
    ],
}


async def create_indexes(database: Database) -> None:
    """Make the indexes that are not there; also the collections."""
    for name, indexes in INDEXES.items():
        await database[name].create_indexes(indexes)


_LONGEST_KEY = 512


def key_of(*names: str) -> str:
    """One string for several: no two lists of names share it, and it is short enough for any index."""
    text = json.dumps(names, ensure_ascii=True)
    return text if len(text) <= _LONGEST_KEY else hashlib.sha256(text.encode()).hexdigest()
