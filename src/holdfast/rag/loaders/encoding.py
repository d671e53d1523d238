"""From bytes to clean text: byte order marks, declared charsets, strict UTF-8, line ends, control characters."""

from __future__ import annotations

import codecs
import re

from holdfast.rag.loaders.base import UnreadableError

__all__ = ["clean", "decode"]

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))

_CHARSETS = re.compile(
    r"utf-8|utf-16(-[bl]e)?|iso8859-\d+|ascii|cp(125\d|866|874|932|949|950)|koi8-[ru]|mac-roman|tis-620"
    r"|shift_jis|euc_jp|iso2022_jp|gb2312|gbk|gb18030|big5(hkscs)?|euc_kr"
)
"""Python's names of the character sets that a file may declare: those that are in use for documents."""

_WESTERN = frozenset({"ascii", "iso8859-1", "cp1252"})

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_SURROGATES = re.compile("[\ud800-\udfff]")

_BINARY_SHARE = 0.01
"""A text with a larger share of control characters than this is taken for binary data."""


def decode(data: bytes, *, declared: str = "") -> str:
    """The text that ``data`` holds, cleaned (see :func:`clean`).

    A byte order mark decides; else the charset that the content declares, when it is one in use for documents and fits;
    else it must be UTF-8 without a single wrong byte: a guess that garbles names and prices is worse than a report.
    As in browsers, a declared ISO-8859-1 or ASCII is read as windows-1252.

    Raises:
        UnreadableError: it is binary data, or not in the encoding.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return clean(_strict(data[len(mark) :], encoding))
    if declared:
        text = _as_declared(data, declared)
        if text is not None:
            return clean(text)
    return clean(_strict(data, "utf-8"))


def clean(text: str) -> str:
    r"""``text`` with ``\n`` as the only line end and without a byte order mark, control characters or lone surrogates.

    Form feeds, vertical tabs and the Unicode line separators are line ends; tabs stay. A few other control characters
    (of a terminal, of an old word processor) are removed, since they show nothing.

    Raises:
        UnreadableError: there is a NUL, or more than 1% of the text is control characters: this is binary data.
    """
    text = _LINE_ENDS.sub("\n", text.removeprefix("\ufeff"))
    controls = len(_CONTROLS.findall(text))
    if controls:
        if "\0" in text or controls > _BINARY_SHARE * len(text):
            raise UnreadableError(_BINARY)
        text = _CONTROLS.sub("", text)
    return _SURROGATES.sub("\ufffd", text)


_BINARY = "It holds binary data, not text. Check that it is the right file and that its name ends as its format does."


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8" and b"\0" in data:
            raise UnreadableError(_BINARY) from error
        label = encoding.upper().removesuffix("-LE").removesuffix("-BE")
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(
            f"It is not valid {label}: byte 0x{data[error.start]:02X} at position {error.start} (line {line}) does not "
            "fit. Save it as UTF-8 and ingest it again."
        ) from error


def _as_declared(data: bytes, label: str) -> str | None:
    """``data`` read as what it declares; None when that is unknown or does not fit."""
    try:
        encoding = codecs.lookup(label.strip()).name
    except (LookupError, ValueError):  # ValueError: a NUL in the label
        return None
    if not _CHARSETS.fullmatch(encoding):
        return None
    tries = ("cp1252", "iso8859-1") if encoding in _WESTERN else (encoding,)
    for candidate in tries:
        try:
            return data.decode(candidate)
        except UnicodeDecodeError:
            continue
    return None
