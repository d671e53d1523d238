"""Conversations, API keys and feedback in one SQLite file, beside the documents' and apart from it."""

from holdfast.rag.records.sqlite.place import FILE_NAME, SqliteRecords

__all__ = ["FILE_NAME", "SqliteRecords"]
