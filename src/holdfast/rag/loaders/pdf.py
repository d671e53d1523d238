"""PDF: the text of its pages, by pypdf."""

from __future__ import annotations

import io
import logging
import re
from typing import TYPE_CHECKING

from pypdf import PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError

from holdfast.rag.loaders.base import Content, Loaded, RawFile, UnreadableError, document_from
from holdfast.rag.loaders.encoding import clean
from holdfast.rag.types import Mime

if TYPE_CHECKING:
    from collections.abc import Callable

    from pypdf import PageObject

__all__ = ["MAX_CHARS", "MAX_OPERATIONS", "MAX_PAGES", "load_pdf"]

MAX_PAGES = 5_000
MAX_OPERATIONS = 3_000_000
"""Drawing operations in the whole file, which are what text extraction takes time for: a page of text has some hundred,
and a core does 50,000 to 100,000 in a second."""
MAX_CHARS = 20_000_000

# What pypdf has to say about a file's innards goes nowhere: what matters of it is reported as a problem.
_LOG = logging.getLogger("pypdf")
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False

_ENCRYPTED = "The PDF is protected by a password. Save a copy without the password and ingest that."
_DAMAGED = "The PDF is damaged ({cause}). Open it in a PDF program, save it again, and ingest that."
_NO_TEXT = "The PDF has no text, only images. Run text recognition (OCR) on it first, for example with ocrmypdf."
_TOO_MUCH = "The PDF is too large to read: the limit is {limit}. Split it into smaller files."

_LIGATURES = str.maketrans(
    {
        "\ufb00": "ff",
        "\ufb01": "fi",
        "\ufb02": "fl",
        "\ufb03": "ffi",
        "\ufb04": "ffl",
        "\ufb05": "st",
        "\ufb06": "st",
        "\u00a0": " ",
    }
)
_SOFT_HYPHEN = re.compile("\u00ad[ \t]*\n?[ \t]*")
_HYPHEN_AT_END = re.compile(r"(?<![^\W\d_])(?P<first>[^\W\d_]++)[-\u2010][ \t]*\n[ \t]*(?P<second>[^\W\d_]+)")
_COMPOUND = re.compile(r"(?<![^\W\d_])[^\W\d_]++[-\u2010][^\W\d_]+")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_TRAILING = re.compile(r"(?<![ \t])[ \t]++(?=\n|$)")
_BLANK_LINES = re.compile(r"\n{3,}")
_PLACEHOLDER_TITLE = re.compile(
    r"untitled\W*\d*|\(?anonymous\)?|microsoft \w+ - .*|.*\.(?:docx?|pdf|tex|indd|qxd)", re.IGNORECASE
)


class _TooManyOperations(BaseException):
    """The budget of drawing operations is used up. Not an ``Exception``: pypdf goes on after those inside of forms."""


def load_pdf(raw: RawFile) -> Loaded:
    """One document from a PDF file: plain text, a blank line between pages, hyphenated line ends joined.

    Bounded by pages, drawing operations and characters, so that no file takes more than about a minute.

    Raises:
        UnreadableError: it is protected, damaged, without text, or too large.
    """
    try:
        text, title = _read(raw.data)
    except UnreadableError:
        raise
    except (FileNotDecryptedError, DependencyError) as error:  # DependencyError: AES needs a package that is not here
        raise UnreadableError(_ENCRYPTED) from error
    except LimitReachedError as error:
        raise UnreadableError(_TOO_MUCH.format(limit="what a PDF of its size should need")) from error
    except Exception as error:  # pypdf says of itself that broken files may raise anything
        raise UnreadableError(_DAMAGED.format(cause=_cause(error))) from error
    if not text.strip():
        raise UnreadableError(_NO_TEXT)
    return Loaded((document_from(raw, Content(text=text, mime=Mime.PLAIN, title=title)),))


def _read(data: bytes) -> tuple[str, str]:
    """The text and the title."""
    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise UnreadableError(_ENCRYPTED)
    return _text(reader), _title(reader)


def _text(reader: PdfReader) -> str:
    count = len(reader.pages)
    if count > MAX_PAGES:
        raise UnreadableError(_TOO_MUCH.format(limit=f"{MAX_PAGES:,} pages"))
    if not count:
        raise UnreadableError("The PDF has no pages. Check that it is the right file.")
    budget = MAX_OPERATIONS
    left = MAX_CHARS

    def spend(*_: object) -> None:
        nonlocal budget
        budget -= 1
        if budget < 0:
            raise _TooManyOperations

    pages = []
    for page in reader.pages:
        try:
            text = _page_text(page, spend)
        except _TooManyOperations as error:
            raise UnreadableError(_TOO_MUCH.format(limit=f"{MAX_OPERATIONS:,} drawing operations")) from error
        left -= len(text)
        if left < 0:
            raise UnreadableError(_TOO_MUCH.format(limit=f"{MAX_CHARS:,} characters"))
        if text:
            pages.append(text)
    return _join_hyphens("\n\n".join(pages))


def _page_text(page: PageObject, spend: Callable[..., None]) -> str:
    """A page's text, its lines as they stand on the page."""
    text = page.extract_text(visitor_operand_before=spend).translate(_LIGATURES)
    text = _TRAILING.sub("", _SOFT_HYPHEN.sub("", _without_nul(text)))
    return _BLANK_LINES.sub("\n\n", clean(text)).strip("\n")


def _without_nul(text: str) -> str:
    """Fonts with a wrong encoding yield NULs between the letters: here they do not mean that the file is binary."""
    return _CONTROLS.sub("", text)


def _join_hyphens(text: str) -> str:
    """``text`` with words joined that were divided at a line's end.

    A hyphen stays when the document has the word with a hyphen in the middle of a line, or when what follows it begins
    with a capital.
    """
    compounds = {match[0].lower() for match in _COMPOUND.finditer(text)}

    def join(match: re.Match[str]) -> str:
        first, second = match["first"], match["second"]
        if not second[0].islower() or f"{first}-{second}".lower() in compounds:
            return f"{first}-{second}"
        return first + second

    return _HYPHEN_AT_END.sub(join, text)


def _title(reader: PdfReader) -> str:
    """The title in the file's properties, unless it is what a program puts there by itself."""
    metadata = reader.metadata
    title = metadata.title if metadata is not None else None
    title = " ".join(_CONTROLS.sub("", str(title or "")).split())
    return "" if _PLACEHOLDER_TITLE.fullmatch(title) else title


def _cause(error: Exception) -> str:
    """The first line of an error, short enough for a sentence."""
    first = " ".join(str(error).split("\n", 1)[0].split()).rstrip(".")
    return first[:120] or type(error).__name__
