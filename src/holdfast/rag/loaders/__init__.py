"""Loaders: from the bytes of a file to documents. Pure functions: reading the file is the caller's."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from holdfast.rag.loaders.base import MAX_BYTES, Loaded, Problem, RawFile, UnreadableError
from holdfast.rag.loaders.registry import find_format, is_supported, supported_suffixes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.rag.types import Scalar

__all__ = ["MAX_BYTES", "Loaded", "Problem", "is_supported", "load", "supported_suffixes"]

_NONE: Mapping[str, Scalar] = MappingProxyType({})


def load(
    raw: bytes,
    *,
    name: str,
    uri: str,
    document_id: str = "",
    title: str = "",
    mime: str = "",
    collection: str = "default",
    metadata: Mapping[str, Scalar] = _NONE,
    max_bytes: int = MAX_BYTES,
) -> Loaded:
    """The documents in a file, and what is wrong with it. Bad content never raises: it is a :class:`Problem`.

    Args:
        raw: the file's bytes.
        name: the file's name; its ending tells the format, and its stem is the last resort for a title.
        uri: where it came from, as people see it.
        document_id: the id of the document; by default it is made from ``uri``. For a JSONL file, what the ids of
            documents without an id of their own are made from.
        title: wins over the title that the content has.
        mime: the media type, when it is known; a ``charset`` parameter is honoured.
        collection: where the documents belong.
        metadata: wins, key by key, over what the content says (front matter, the ``metadata`` of a JSONL line).
        max_bytes: the largest file that is read, in bytes, at least 1 (default 50 MiB).
    """
    format_ = find_format(name, mime)
    if format_ is None:
        known = ", ".join(supported_suffixes())
        return _failed(uri, f"Its format is not known by its name or media type. Convert it to one of: {known}.")
    if len(raw) > max_bytes:
        size, limit = len(raw) / 2**20, max_bytes / 2**20
        return _failed(uri, f"It has {size:,.1f} MiB, and the limit is {limit:,.1f} MiB. Split it into smaller files.")
    if not raw:
        return _failed(uri, "It is empty. Add some text, or leave the file out.")
    file = RawFile(
        data=raw,
        name=name,
        uri=uri,
        document_id=document_id,
        title=title,
        charset=_charset(mime),
        collection=collection,
        metadata=metadata,
    )
    try:
        return format_.load(file)
    except UnreadableError as error:
        return _failed(uri, str(error))


def _failed(uri: str, reason: str) -> Loaded:
    return Loaded(problems=(Problem(uri, reason),))


def _charset(mime: str) -> str:
    for parameter in mime.split(";")[1:]:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "charset":
            return value.strip().strip("\"'")
    return ""
