"""HTML: to Markdown, without the parts of a page that are not its content."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bs4 import BeautifulSoup
from markdownify import ATX, MarkdownConverter

from holdfast.rag.loaders.base import Content, Loaded, RawFile, UnreadableError, document_from
from holdfast.rag.loaders.encoding import clean, decode
from holdfast.rag.loaders.markup import tidy
from holdfast.rag.types import Mime

if TYPE_CHECKING:
    from bs4 import Tag

__all__ = ["MAX_MARKUP", "load_html", "read_html"]

_NOISE = [
    "nav",
    "header",
    "footer",
    "aside",
    "form",
    "noscript",
    "template",
    "svg",
    "button",
    "select",
    "dialog",
    "canvas",
]
MAX_MARKUP = 10_000_000
"""Characters of a page, without scripts, styles and comments: parsing takes some hundred times as much memory."""

_CONTENT = ["article", "main", "section"]
_DECLARED = re.compile(
    rb"<meta\b[^>]{0,300}?\bcharset\s{0,5}=\s{0,5}[\"']?\s{0,5}([\w:-]{1,40})"
    rb"|<\?xml\b[^>]{0,100}?\bencoding\s{0,5}=\s{0,5}[\"']([\w:-]{1,40})",
    re.IGNORECASE,
)
_DECLARATION_WINDOW = 4_096
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")
_TAG_LIKE = re.compile(r"<(?=[a-zA-Z/!?])")
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang|highlight-source)-([\w+#.-]{1,30})")


def load_html(raw: RawFile) -> Loaded:
    """One document from an HTML file.

    Its encoding is what a byte order mark, the media type, a ``<meta>`` or the XML declaration says, else UTF-8.

    Raises:
        UnreadableError: it is binary, wrongly encoded, or has no text besides navigation.
    """
    match = _DECLARED.search(raw.data[:_DECLARATION_WINDOW])
    declared = (match[1] or match[2]).decode("ascii", "replace") if match else ""
    if declared.lower().startswith("utf-16"):
        declared = "utf-8"  # it could be read as ASCII, so it is not what it says
    return Loaded((document_from(raw, read_html(decode(raw.data, declared=raw.charset or declared))),))


def read_html(text: str) -> Content:
    """The content of a page as Markdown; the title from ``<title>``, else from the first ``<h1>``.

    Scripts, styles, navigation, forms, page headers, footers and asides are left out; the header of an article is part
    of it.

    Raises:
        UnreadableError: the page has no text outside of these, or is too long.
    """
    tidied = tidy(text)
    if len(tidied.markup) > MAX_MARKUP:
        raise UnreadableError(f"The page has more than {MAX_MARKUP:,} characters. Split it into smaller files.")
    soup = BeautifulSoup(f"<body>{tidied.markup}</body>", "html.parser")
    heading = soup.find("h1")
    title = tidied.title or (" ".join(heading.get_text(" ").split()) if heading else "")
    for tag in soup.find_all(_NOISE):
        if tag.decomposed or (tag.name == "header" and tag.find_parent(_CONTENT)):
            continue
        tag.decompose()
    source = _Converter().convert_soup(soup)
    source = clean(_BLANK_LINES.sub("\n\n", source)).strip()
    if not source:
        raise UnreadableError("The page has no text of its own. If scripts build it, save it from a browser first.")
    return Content(text=source, mime=Mime.MARKDOWN, title=title)


def _language(tag: Tag) -> str:
    """The language of a ``<pre>``, from its class or that of the ``<code>`` in it."""
    code = tag.find("code")
    for candidate in (tag, code):
        if candidate is not None:
            match = _LANGUAGE.search(" ".join(map(str, candidate.get_attribute_list("class"))))
            if match:
                return match[1]
    return ""


class _Converter(MarkdownConverter):
    """markdownify with our style, and without what takes it quadratic time. Its stubs leave these methods out."""

    def __init__(self) -> None:
        super().__init__(heading_style=ATX, bullets="-", table_infer_header=True, code_language_callback=_language)
        self._numbers: dict[int, int] = {}

    def escape(self, text: str, parent_tags: set[str]) -> str:
        """Escape what Markdown would take for markup, angle brackets and the bars of a table included."""
        escaped = str(super().escape(text, parent_tags)).replace("`", "\\`")  # type: ignore[misc]
        escaped = _TAG_LIKE.sub(r"\\<", escaped)
        return escaped.replace("|", "\\|") if "td" in parent_tags or "th" in parent_tags else escaped

    def convert_a(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        """A link, unless it leads nowhere outside of the page."""
        href = str(el.get("href") or "")
        if href.startswith(("#", "javascript:", "data:")):
            return text
        return str(super().convert_a(el, text, parent_tags))  # type: ignore[misc]

    def convert_img(self, el: Tag, text: str, parent_tags: set[str]) -> str:  # noqa: ARG002 - the base class's signature
        """An image by its description; one without is decoration."""
        alt = " ".join(str(el.get("alt") or "").split()).replace("]", "\\]")
        source = str(el.get("src") or "")
        if not alt or not source or source.startswith("data:"):
            return alt
        return f"![{alt}]({source})"

    def convert_dt(self, el: Tag, text: str, parent_tags: set[str]) -> str:  # noqa: ARG002 - the base class's signature
        """A term, in front of what says what it is."""
        return f"\n\n**{text.strip()}**: " if text.strip() else "\n\n"

    def convert_dd(self, el: Tag, text: str, parent_tags: set[str]) -> str:  # noqa: ARG002 - the base class's signature
        """What a term is."""
        return f"{text.strip()}\n"

    def convert_li(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        """A list item; the base class counts the items before it anew for each."""
        parent: Any = el.parent
        if parent is None or parent.name != "ol":
            return str(super().convert_li(el, text, parent_tags))  # type: ignore[misc]
        body = text.strip()
        if not body:
            return "\n"
        start = str(parent.get("start") or "1")
        number = self._numbers.get(id(parent), int(start) if start.isdecimal() and len(start) < 7 else 1)
        self._numbers[id(parent)] = number + 1
        bullet = f"{number}. "
        indent = " " * len(bullet)
        first, *others = body.split("\n")
        return "\n".join([bullet + first, *(indent + line if line else "" for line in others)]) + "\n"
