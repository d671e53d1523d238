"""What loaders take and give, and the bounds that hold for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError
from holdfast.rag.identity import content_hash, document_id_for
from holdfast.rag.types import Document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.rag.types import Mime, Scalar

__all__ = ["MAX_BYTES", "Content", "Loaded", "Problem", "RawFile", "UnreadableError", "document_from", "stem_of"]

MAX_BYTES = 50 * 1024 * 1024
"""The largest file that is read, in bytes: 50 MiB."""

MAX_TITLE = 300
"""Characters of a title that are kept."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be ingested.

    Attributes:
        uri: which file or document it is.
        reason: one sentence or two: what is wrong, and what to do.
    """

    uri: str
    reason: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came out of one file: its documents, and what was wrong. Never both empty."""

    documents: tuple[Document, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """A file before it is read, with what the caller says about it (see :func:`holdfast.rag.loaders.load`)."""

    data: bytes
    name: str
    uri: str
    document_id: str = ""
    title: str = ""
    charset: str = ""
    collection: str = "default"
    metadata: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """What the ids of documents found inside the file are made from."""
        return self.document_id or self.uri


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a reader made of a file: its text and what the text says about itself."""

    text: str
    mime: Mime
    title: str = ""
    metadata: Mapping[str, Scalar] = field(default_factory=dict)


class UnreadableError(HoldfastError):
    """A file cannot be read. Ends as a :class:`Problem` with the same sentence; never leaves the loaders."""


def stem_of(name: str) -> str:
    """A file name without its folders and its last ending; the name itself when nothing else is left."""
    return PurePosixPath(name.replace("\\", "/")).stem or name


def document_from(raw: RawFile, content: Content) -> Document:
    """The one document of a file.

    What the caller says wins over what the content says about itself, and that over the file's name.

    Raises:
        UnreadableError: the content has no text.
    """
    if not content.text.strip():
        raise UnreadableError("It holds no text. Add some, or leave the file out.")
    title = raw.title.strip() or content.title.strip() or stem_of(raw.name) or raw.uri
    title = _storable(" ".join(title.split()))[:MAX_TITLE]
    uri = _storable(raw.uri)
    metadata = {
        _storable(key): _storable(value) if isinstance(value, str) else value
        for key, value in {**content.metadata, **raw.metadata}.items()
    }
    return Document(
        id=raw.document_id or document_id_for(raw.uri),
        text=content.text,
        title=title,
        uri=uri,
        mime=content.mime,
        content_hash=content_hash(text=content.text, title=title, uri=uri, mime=content.mime, metadata=metadata),
        collection=raw.collection,
        metadata=metadata,
    )


def _storable(text: str) -> str:
    """``text`` without lone surrogates: JSON escapes and file names can hold them, and no database stores them."""
    return text.encode("utf-8", "replace").decode("utf-8")
