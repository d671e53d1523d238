"""Tidying HTML before it is parsed: only complete tags, properly nested, not too deep.

The standard library's HTML parser, which BeautifulSoup drives, takes quadratic time on tags that never end (minutes for
100 kB), builds a tree as deep as its input likes, and does not know that a ``<p>`` ends the one before it. This pass is
linear, and what it lets through has none of these troubles. It keeps the attributes that Markdown has a use for.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from typing import NamedTuple

__all__ = ["MAX_DEPTH", "Tidy", "tidy"]

MAX_DEPTH = 60
"""Elements within elements; the tags of deeper ones are dropped, their text is kept."""

MAX_ATTRIBUTE = 2_000
"""Characters of an attribute that is kept: an address, not an image in its place."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_VOID = _words("""
    area base br col embed hr img input link meta param source track wbr
""")
_RAW = _words("""
    script style textarea xmp iframe noembed noframes
""")
"""Elements whose content is no markup; they are dropped with it."""

_KEPT = {
    "a": {"href"},
    "img": {"src", "alt"},
    "td": {"colspan"},
    "th": {"colspan"},
    "ol": {"start"},
    "code": {"class"},
    "pre": {"class"},
}

_LISTS = frozenset({"ul", "ol", "menu"})
_TABLES = frozenset({"table"})
_CELLS = frozenset({"td", "th"})
_ROWS = _CELLS | {"tr"}
_GROUPS = _ROWS | {"thead", "tbody", "tfoot"}
_P = frozenset({"p"})
_P_SCOPE = _words("""
    table td th li blockquote div section article main body button dd
""")
_ENDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "li": (frozenset({"li"}), _LISTS),
    "dt": (frozenset({"dt", "dd"}), frozenset({"dl"})),
    "dd": (frozenset({"dt", "dd"}), frozenset({"dl"})),
    "option": (frozenset({"option"}), frozenset({"select"})),
    "td": (_CELLS, _TABLES | {"tr"}),
    "th": (_CELLS, _TABLES | {"tr"}),
    "tr": (_ROWS, _TABLES),
    "thead": (_GROUPS, _TABLES),
    "tbody": (_GROUPS, _TABLES),
    "tfoot": (_GROUPS, _TABLES),
}
"""For a start tag: the open elements that it ends, up to the one that contains them."""

_BLOCKS = _words("""
    address article aside blockquote div dl fieldset figure footer form h1 h2 h3 h4 h5 h6 header hr main nav ol
    p pre section table ul
""")
"""Elements that end a paragraph."""

_ENDS |= dict.fromkeys(_BLOCKS, (_P, _P_SCOPE))

_TAG = re.compile(r"<(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9:-]{0,30}+)(?=[\s/>])")
_TO_QUOTE_OR_END = re.compile(r"[^\"'>]*+")
_SIMPLE_END = re.compile(r"[^<>]*+>")
_ATTRIBUTE = re.compile(r"(?<![\w:-])([a-zA-Z]{1,20}+)\s*+=\s*+(\"[^\"]*\"|'[^']*'|[^\s\"'>]++)")
_SPACE = re.compile(r"\s+")
_LONG_SPACE = re.compile(r"[^\S\n]{100,}")


class Tidy(NamedTuple):
    """Tidied markup, and the text of its first ``<title>``."""

    markup: str
    title: str


def tidy(source: str) -> Tidy:
    """``source`` with complete, balanced tags only; without comments, scripts, styles and declarations."""
    pass_ = _Pass(source)
    pass_.run()
    return Tidy("".join(pass_.out), pass_.title)


class _Pass:
    def __init__(self, source: str) -> None:
        self.source = source
        self.out: list[str] = []
        self.title = ""
        self._open: list[str] = []
        self._dropped: Counter[str] = Counter()
        self._quotes = True  # whether quoted attribute values may hold a ">"
        self._rows: dict[int, int] = {}  # rows of the table heads that are open, by their depth
        self._missing: set[str] = set()  # ends that were looked for and are nowhere in the rest

    def run(self) -> None:
        source = self.source
        at = 0
        while True:
            mark = source.find("<", at)
            self._text(source[at:] if mark < 0 else source[at:mark])
            if mark < 0:
                break
            at = self._markup(mark)
        while self._open:
            self.out.append(f"</{self._open.pop()}>")

    def _text(self, text: str) -> None:
        if "pre" in self._open:
            self.out.append(_LONG_SPACE.sub(" " * 100, text))
        else:
            self.out.append(_SPACE.sub(lambda run: "\n" if "\n" in run[0] else " ", text))

    def _markup(self, mark: int) -> int:
        """Deal with what begins at ``mark`` with a ``<``; returns where to go on."""
        source = self.source
        if source.startswith("<!--", mark):
            return self._after("-->", mark + 2, mark)
        if source.startswith(("<!", "<?"), mark):
            return self._after(">", mark, mark)
        match = _TAG.match(source, mark)
        end = self._tag_end(match.end()) if match else -1
        if match is None or end < 0:
            self.out.append("&lt;")
            return mark + 1
        name = match["name"].lower()
        if match["end"]:
            self._close(name)
        elif name in _RAW or name == "title":
            return self._raw(name, end)
        else:
            self._start(name, source[match.end() : end - 1])
        return end

    def _after(self, ending: str, start: int, mark: int) -> int:
        """Skip to after ``ending``; without one, the ``<`` at ``mark`` was only a character."""
        found = -1 if ending in self._missing else self.source.find(ending, start)
        if found < 0:
            self._missing.add(ending)
            self.out.append("&lt;")
            return mark + 1
        return found + len(ending)

    def _tag_end(self, at: int) -> int:
        """Where the tag ends whose name ended at ``at``; -1 if it does not."""
        source = self.source
        start = at
        while self._quotes:
            match = _TO_QUOTE_OR_END.match(source, at)
            at = match.end() if match else at
            if at >= len(source):
                self._quotes = False  # from here to the end, no tag ends outside of quotes: read them without
            elif source[at] == ">":
                return at + 1
            else:
                closing = source.find(source[at], at + 1)
                at = closing + 1 if closing >= 0 else len(source)
        simple = _SIMPLE_END.match(source, start)
        return simple.end() if simple else -1

    def _raw(self, name: str, start: int) -> int:
        match = (
            None
            if name in self._missing
            else re.compile(rf"</{name}[^>]{{0,100}}>", re.IGNORECASE).search(self.source, start)
        )
        if match is None:
            self._missing.add(name)
            return start if name == "title" else len(self.source)
        if name == "title" and not self.title:
            self.title = " ".join(html.unescape(self.source[start : match.start()]).split())
        return match.end()

    def _start(self, name: str, attributes: str) -> None:
        closes, scope = _ENDS.get(name, (frozenset(), frozenset()))
        if closes:
            self._close_implied(closes, scope)
        if name == "tr" and self._open and self._open[-1] == "thead":
            self._second_row_ends_head()
        if name in _VOID:
            self.out.append(f"<{name}{_attributes(name, attributes)}/>")
        elif len(self._open) >= MAX_DEPTH:
            self._dropped[name] += 1
        else:
            self._open.append(name)
            if name == "thead":
                self._rows[len(self._open)] = 0
            self.out.append(f"<{name}{_attributes(name, attributes)}>")

    def _second_row_ends_head(self) -> None:
        """A Markdown table has one row of names; and the converter takes quadratic time on heads of many rows."""
        depth = len(self._open)
        self._rows[depth] += 1
        if self._rows[depth] > 1:
            self._close("thead")
            self._start("tbody", "")

    def _close(self, name: str) -> None:
        if self._dropped[name]:
            self._dropped[name] -= 1
        elif name in self._open:
            while True:
                last = self._open.pop()
                self.out.append(f"</{last}>")
                if last == name:
                    break
        elif name == "br":  # browsers take </br> for <br>
            self.out.append("<br/>")

    def _close_implied(self, closes: frozenset[str], scope: frozenset[str]) -> None:
        count = 0
        for number, name in enumerate(reversed(self._open), 1):
            if name in closes:
                count = number
            elif name in scope:
                break
        for _ in range(count):
            self.out.append(f"</{self._open.pop()}>")


def _attributes(name: str, source: str) -> str:
    kept = _KEPT.get(name)
    if not kept or "=" not in source:
        return ""
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(source):
        key = match[1].lower()
        value = match[2].strip("\"'").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
        if key in kept and len(value) <= MAX_ATTRIBUTE:
            found.setdefault(key, value)
    return "".join(f' {key}="{value}"' for key, value in found.items())
