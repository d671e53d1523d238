"""The store for a fleet: documents, words, vectors and ingest jobs in MongoDB, shared by all replicas.

See ``writing`` for why a kill between two writes loses nothing, ``visibility`` for what a reader sees, ``lexical`` and
``dense`` for the searches with and without MongoDB's search engine, ``jobs`` and ``leases`` for who runs a job.
"""

from holdfast.errors import MissingExtraError

try:
    import pymongo  # noqa: F401 - asked for here, so that a missing package is told by its extra
except ImportError as error:
    raise MissingExtraError("The MongoDB store", "mongo") from error

from holdfast.rag.store.mongo.store import MongoStore

__all__ = ["MongoStore"]
