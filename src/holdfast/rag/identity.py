"""What a document is called and when it counts as changed: ids and content hashes."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from holdfast.rag.chunking import CHUNKER_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.rag.types import Mime, Scalar

__all__ = ["content_hash", "document_id_for", "source_id_for"]


def document_id_for(uri: str) -> str:
    """The id of the document that comes from ``uri``: ``doc_`` and 24 hex digits of its SHA-256.

    Args:
        uri: what identifies the source, the same at every run: a file's resolved path, a URL.
    """
    return "doc_" + hashlib.sha256(uri.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def source_id_for(identity: str) -> str:
    """The mark of a file that documents come from: ``src_`` and 24 hex digits of its SHA-256.

    Args:
        identity: what identifies the file, the same at every run: its resolved path.
    """
    return "src_" + hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def content_hash(*, text: str, title: str, uri: str, mime: Mime, metadata: Mapping[str, Scalar]) -> str:
    """SHA-256 (hex) of everything that decides what is stored for a document, the chunker's version included.

    Two equal hashes mean that ingesting the document again would store the same chunks, so that it may be skipped.
    ``True`` and ``1`` are different values here, as they are to a filter.
    """
    parts = [CHUNKER_VERSION, text, title, uri, str(mime), sorted((key, value) for key, value in metadata.items())]
    canonical = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))  # escapes: any text has a byte form
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
