"""Conversations, API keys and feedback in MongoDB, shared by all replicas."""

from holdfast.errors import MissingExtraError

try:
    import pymongo  # noqa: F401 - asked for here, so that a missing package is told by its extra
except ImportError as error:
    raise MissingExtraError("MongoDB", "mongo") from error

from holdfast.rag.records.mongo.place import MongoRecords

__all__ = ["MongoRecords"]
