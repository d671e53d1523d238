"""What is in the database: its collections and their indexes.

    documents   a row a document: what is known of it, its text, its visible version, and marks (see ``writing``)
    chunks      a row a chunk and version: text, words, vector; whatever a search of it needs
    spaces      the dimension of an embedder's vectors in a collection
    meta        the generation of the content, the number of the last job
    jobs, job_items, job_failures

Collections whose rows end by themselves (logs, analytics) are not here yet: they get a row in ``INDEXES`` with
MongoDB's ``expireAfterSeconds``, and no code of this package reads them.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from pymongo import IndexModel

from holdfast.rag.store.codec import typed_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.rag.store.mongo.client import Database
    from holdfast.rag.types import Scalar

__all__ = [
    "CHUNKS",
    "DOCUMENTS",
    "JOBS",
    "JOB_FAILURES",
    "JOB_ITEMS",
    "META",
    "SPACES",
    "create_indexes",
    "key_of",
    "tags_of",
]

DOCUMENTS, CHUNKS, SPACES, META = "documents", "chunks", "spaces", "meta"
JOBS, JOB_ITEMS, JOB_FAILURES = "jobs", "job_items", "job_failures"

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


def tags_of(field: str, metadata: Mapping[str, Scalar]) -> list[str]:
    """A mark for each metadata value, equal exactly when name and value are; short, whatever the value.

    Raises:
        InvalidInputError: a value is not text, a number, true or false.
    """
    return [_tag(name, *typed_value(field, name, value)) for name, value in metadata.items()]


def _tag(name: str, kind: str, value: str | float) -> str:
    if kind in {"number", "digits"}:  # 1 and 1.0 are one number, and so are large ones
        number = int(value) if isinstance(value, str) else value
        kind, value = "number", str(int(number)) if number == number // 1 else repr(number)
    return hashlib.sha256(json.dumps([name, kind, value]).encode()).hexdigest()[:32]
