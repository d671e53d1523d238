"""JSONL: one document a line, ``{"text": ..., "id"?, "title"?, "uri"?, "mime"?, "metadata"?}``."""

from __future__ import annotations

import codecs
import hashlib
import json
import math
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeGuard

from holdfast.rag.identity import document_id_for
from holdfast.rag.loaders.base import Content, Loaded, Problem, RawFile, UnreadableError, document_from, stem_of
from holdfast.rag.loaders.encoding import clean, decode
from holdfast.rag.loaders.html import read_html
from holdfast.rag.loaders.markdown import read_markdown
from holdfast.rag.loaders.text import read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from holdfast.rag.types import Document, Scalar

__all__ = ["MAX_DEPTH", "MAX_LINE_BYTES", "load_jsonl"]

MAX_LINE_BYTES = 10 * 1024 * 1024
MAX_DEPTH = 20
"""Brackets within brackets; a line's own braces count as one."""

MAX_PROBLEMS = 1_000
"""Lines that are reported one by one; the rest are counted in one more problem."""

MAX_ID = 200

_READERS: Final[Mapping[str, Callable[[str], Content]]] = {
    "": read_text,
    "text/plain": read_text,
    "text/markdown": read_markdown,
    "text/html": read_html,
}
_KEYS = frozenset({"text", "id", "title", "uri", "mime", "metadata"})
_ID = re.compile(rf"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f\ud800-\udfff]{{0,{MAX_ID - 2}}}[^\s\x00-\x1f\x7f])?")
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"?')
_NOT_BRACKETS = re.compile(r"[^\[\]{}]+")


def load_jsonl(raw: RawFile) -> Loaded:
    """The documents of a JSONL file. A line that is wrong is a problem with its number, and the others are kept.

    A document without an ``id`` gets one from its ``uri``, or else from the file and the line's text, so that it keeps
    it when lines come or go above; equal texts are counted. The text is read as plain text unless ``mime`` says
    ``text/markdown`` or ``text/html``.

    Raises:
        UnreadableError: the file is UTF-16 and damaged, or no line holds anything.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    lines = _Lines(raw)
    left_out = 0
    for number, line in _split(raw.data):
        try:
            documents.append(lines.document(number, line))
        except UnreadableError as error:
            if len(problems) < MAX_PROBLEMS:
                problems.append(Problem(f"{raw.uri}#L{number}", f"Line {number}: {error}"))
            else:
                left_out += 1
    if left_out:
        problems.append(Problem(raw.uri, f"{left_out:,} more lines could not be read. Correct the ones above first."))
    if not documents and not problems:
        raise UnreadableError("It holds no documents. Put one JSON object on each line.")
    return Loaded(tuple(documents), tuple(problems))


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1, as UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = decode(data).encode("utf-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    start, number = 0, 1
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line = data[start:end].strip()
        if line:
            yield number, line
        start, number = end + 1, number + 1


class _Lines:
    """Reads the lines of one file: knows which ids and uris have been used."""

    def __init__(self, raw: RawFile) -> None:
        self._raw = raw
        self._ids: dict[str, int] = {}
        self._uris: Counter[str] = Counter()
        self._texts: Counter[str] = Counter()

    def document(self, number: int, line: bytes) -> Document:
        """The document of one line."""
        record = _parse(line)
        text = _string(record, "text")
        if not text.strip():
            raise UnreadableError('There is no text. Put the document\'s text under "text".')
        mime = _string(record, "mime").partition(";")[0].strip().lower()
        if mime not in _READERS:
            raise UnreadableError(
                f"The mime {mime[:50]!r} cannot be read here. Use text/plain, text/markdown or text/html."
            )
        uri = _string(record, "uri").strip()
        content = _READERS[mime](clean(text))
        raw = RawFile(
            data=b"",
            name=self._raw.name,
            uri=uri or f"{self._raw.uri}#L{number}",
            document_id=self._id(record, uri, text, number),
            title=_string(record, "title").strip() or content.title or f"{stem_of(self._raw.name)}, line {number}",
            collection=self._raw.collection,
            metadata=self._raw.metadata,
        )
        return document_from(raw, replace(content, metadata={**content.metadata, **_metadata(record)}))

    def _id(self, record: Mapping[str, object], uri: str, text: str, number: int) -> str:
        given = record.get("id")
        if given is None:
            if not uri:
                return self._id_of_text(text)
            self._uris[uri] += 1
            count = self._uris[uri]
            return document_id_for(uri if count == 1 else f"{uri}#{count}")
        name = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
        if not isinstance(name, str) or not _ID.fullmatch(name):
            raise UnreadableError(
                f'"id" must be a whole number, or text of 1 to {MAX_ID} characters without control characters and '
                "without spaces around it."
            )
        first = self._ids.setdefault(name, number)
        if first != number:
            raise UnreadableError(f"The id {name!r} was used on line {first}. Give each document its own.")
        return name

    def _id_of_text(self, text: str) -> str:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        self._texts[digest] += 1
        count = self._texts[digest]
        return document_id_for(f"{self._raw.identity}#{digest}" + (f"#{count}" if count > 1 else ""))


def _parse(line: bytes) -> Mapping[str, object]:
    if len(line) > MAX_LINE_BYTES:
        raise UnreadableError(
            f"It has {len(line) / 2**20:,.1f} MiB, and the limit for a line is {MAX_LINE_BYTES // 2**20} MiB. "
            "Split the document."
        )
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError(
            f"It is not valid UTF-8: byte 0x{line[error.start]:02X} at position {error.start} of the line does not "
            "fit. Save the file as UTF-8."
        ) from error
    if _depth(text) > MAX_DEPTH:
        raise UnreadableError(f"It is nested more than {MAX_DEPTH} deep. A document is one flat object.")
    try:
        record = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise UnreadableError(f"It is not valid JSON: {error.msg} at column {error.colno}.") from error
    except ValueError as error:  # NaN, Infinity, a number of thousands of digits
        raise UnreadableError(f"It holds a number that cannot be read: {str(error)[:80]}.") from error
    if not isinstance(record, dict):
        raise UnreadableError('It is not a JSON object. Write {"text": "..."}.')
    return record


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in _NOT_BRACKETS.sub("", _STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _string(record: Mapping[str, object], key: str) -> str:
    value = record.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnreadableError(f'"{key}" must be text.')
    return value


def _metadata(record: Mapping[str, object]) -> dict[str, Scalar]:
    """What stands under ``metadata``, and the scalars under keys that are not ours."""
    kept = {key: value for key, value in record.items() if key not in _KEYS and _is_scalar(value)}
    named = record.get("metadata")
    if named is None:
        return kept
    if not isinstance(named, dict):
        raise UnreadableError('"metadata" must be an object of names and values.')
    for key, value in named.items():
        if value is None:
            continue
        if not _is_scalar(value):
            raise UnreadableError(f"The metadata {key[:50]!r} must be text, a number, true or false.")
        kept[key] = value
    return kept


def _is_scalar(value: object) -> TypeGuard[Scalar]:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
