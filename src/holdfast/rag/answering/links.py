"""Links in what a model writes, read as it comes: only those that stand in the passages get through.

A document may talk a model into an image whose address holds what it was told, and whoever shows the answer as Markdown
or HTML then sends that to a stranger. So an answer never leads to a place outside that is not named in the passages or
in the question, letter for letter; and it never holds an image, which is loaded without anybody's click:

    an image                     becomes a link, by a space: ``! [chart](...)``
    a link to an unknown place   keeps its text alone: ``[chart]``
    an unknown address           becomes ``(link removed)``
    an HTML tag                  goes when it holds such an address; with a known one, or when it is one that loads or
                                 runs something, it becomes text, by a space: ``< img src="chart.png">``

A relative target leads to no stranger, and stays. Code is no exception: what is code, every reader decides for itself.
Text is held back from where one of these may have begun until it is decided, for at most 2,000 characters.
"""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, NamedTuple

from holdfast.rag.answering.addresses import ADDRESS, ADDRESS_STARTS, addresses_in, bare, canonical, leads_outside

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["REMOVED", "LinkGuard", "quoted_links"]

REMOVED = "(link removed)"
"""What stands in the place of an address that is not in the passages."""

_MOST_HELD = 2_000

_SPECIAL = re.compile(r"(?i)!\[|\]\(|\]:|<(?=[a-z/!?])|(?:https?|ftp)://|(?<![a-z0-9])www\.")
_STARTS = frozenset(start[:length] for start in ADDRESS_STARTS for length in range(1, len(start)))
_LONGEST_START = max(map(len, _STARTS))
"""What :data:`_BEGUN` finds is not longer: five letters, a colon and a slash."""
_BEGUN = re.compile(r"(?i)(?:<|(?<![a-z0-9])[a-z]{1,5}:?/?)\Z")
_NOWHERE = frozenset({"", "www", "ftp:"})
"""What is left of an address that names no host: somebody writes about addresses."""
_DEFINED = re.compile(r"[ \t]*\n?[ \t]*(?P<target><[^<>\n]*>|[^\s<]\S*)(?=(?P<end>\s)?)")
_AUTOLINK = re.compile(r"(?i)(?:https?|ftp|mailto|tel|data|javascript|vbscript):[^\s<>]*")
_ACTIVE = re.compile(
    r"(?i)/?(?:applet|audio|base|embed|form|frame|frameset|iframe|image|img|link|math|meta|object|picture|portal|script"
    r"|source|style|svg|template|track|video)\b"
)
_INSIDE = re.compile(r"(?i)\b(?:https?|ftp|data|javascript|vbscript)\s*:|[/\\]{2}|\burl\(")


def quoted_links(text: str) -> str:
    """A text that is quoted from documents: its own addresses are known, and nothing in it loads by itself."""
    guard = LinkGuard(addresses_in([text]))
    return guard.push(text) + guard.finish()


class _Step(NamedTuple):
    """What to give out for something special, and where to go on; ``after`` None: it is not decided yet."""

    out: str
    after: int | None


_UNDECIDED = _Step("", None)


class LinkGuard:
    """Text in, text whose links are known out.

    Args:
        allowed: the addresses that may stand in it, see :func:`~holdfast.rag.answering.addresses.addresses_in`
            and :class:`~holdfast.rag.answering.addresses.AddressesOf`.

    Attributes:
        removed: how many links and addresses were left out.
    """

    def __init__(self, allowed: Container[str]) -> None:
        self._allowed = allowed
        self._given = ""  # the end of what was given out: a link may have begun in it
        self._held = ""
        self.removed = 0

    def push(self, text: str) -> str:
        """What can be given out after ``text`` has come, too."""
        return self._drain(text, last=False)

    def finish(self) -> str:
        """What was held back to the end."""
        return self._drain("", last=True)

    def _drain(self, text: str, *, last: bool) -> str:
        new = len(self._given)
        if not (self._held or text):
            return ""
        text = self._given + self._held + text
        self._held = ""
        out: list[str] = []
        place = end = 0
        special = _SPECIAL.search(text) if _may_be_special(text) else None
        while special and special.end() <= new:  # decided before
            special = _SPECIAL.search(text, special.start() + 1)
        place = new
        while special:
            out.append(text[place : special.start()])
            final = last or len(text) - special.start() > _MOST_HELD
            step = self._step(text, special, final=final)
            if step.after is None:
                end = max(place, special.start())
                break
            shown = text[special.start() : place]  # of what stands here, when it began in what was given out
            out.append(step.out.removeprefix(shown))
            place = end = step.after
            special = _SPECIAL.search(text, place)
        else:
            end = len(text) if last else max(place, _begun(text))
            out.append(text[place:end])
        self._held = text[end:]
        given = "".join(out)
        self._given = (self._given + given)[-_LONGEST_START:]
        return given

    def _step(self, text: str, special: re.Match[str], *, final: bool) -> _Step:
        match special[0]:
            case "![":
                return _Step("! [", special.end())
            case "](":
                return self._link(text, special.end(), final=final)
            case "]:":
                return self._definition(text, special.end(), final=final)
            case "<":
                return self._tag(text, special.end(), final=final)
            case _:
                return self._address(text, special.start(), final=final)

    def _link(self, text: str, start: int, *, final: bool) -> _Step:
        """The target of ``[text](target "title")``, whose parenthesis was opened just before ``start``."""
        found = _target(text, start)
        if found is None:
            return _Step("] (", start) if final else _UNDECIDED
        target, end = found
        if end is None:  # it is none, whatever comes
            return _Step("] (", start)
        place = _unbracketed(target)
        if not leads_outside(place) or self._known(place):
            return _Step(f"]({target})", end)  # a title is left out: it could hold anything
        self.removed += 1
        return _Step("]", end)

    def _definition(self, text: str, start: int, *, final: bool) -> _Step:
        """The target of ``[label]: target``."""
        found = _DEFINED.match(text, start)
        if found is None:
            return _Step("]:", start) if final or text[start:].strip() else _UNDECIDED
        if found["end"] is None and not final:
            return _UNDECIDED
        place = _unbracketed(found["target"])
        if not leads_outside(place) or ADDRESS.match(found["target"]):
            return _Step("]:", start)  # an address is looked at where it stands
        if self._known(place):
            return _Step(text[start - 2 : found.end()], found.end())
        self.removed += 1
        return _Step(f"]: {REMOVED}", found.end())

    def _tag(self, text: str, start: int, *, final: bool) -> _Step:
        """An HTML tag, or an address in pointed brackets, that begins just before ``start``."""
        end = min((at for at in (text.find(mark, start) for mark in (">", "<", "\n\n")) if at >= 0), default=-1)
        if end >= 0 and text[end] == ">":
            return self._whole_tag(text, start, end)
        return _Step("< ", start) if final or end >= 0 else _UNDECIDED

    def _whole_tag(self, text: str, start: int, end: int) -> _Step:
        inside = text[start:end]
        whole = _Step(f"<{inside}>", end + 1)
        if _AUTOLINK.fullmatch(inside):
            if self._known(inside):
                return whole
            self.removed += 1
            return _Step(REMOVED, end + 1)
        meant = unescape(inside)
        if _INSIDE.search(ADDRESS.sub(lambda one: "" if self._known(one[0]) else one[0], meant)):
            self.removed += 1
            return _Step(REMOVED, end + 1)
        if _ACTIVE.match(inside) or _INSIDE.search(meant):
            return _Step("< ", start)
        return whole

    def _address(self, text: str, start: int, *, final: bool) -> _Step:
        found = ADDRESS.match(text, start)
        if found is None:
            raise AssertionError("an address was seen here")
        ended = found.end() < len(text) and not text.endswith("]", found.start(), found.end() + 1)
        if not ended and not final:
            return _UNDECIDED
        address = bare(found[0])
        if self._known(address) or canonical(address) in _NOWHERE:
            return _Step(found[0], found.end())
        self.removed += 1
        return _Step(REMOVED + found[0][len(address) :], found.end())

    def _known(self, target: str) -> bool:
        return canonical(target) in self._allowed


def _unbracketed(target: str) -> str:
    return target[1:-1] if target.startswith("<") and target.endswith(">") else target


def _may_be_special(text: str) -> bool:
    """Whether :data:`_SPECIAL` may find anything; most texts hold nothing of it, which is quick to see."""
    return "](" in text or "![" in text or "]:" in text or "<" in text or "://" in text or "www." in text.lower()


def _begun(text: str) -> int:
    """Where a tag or an address may begin at the end of ``text``; its length when none does."""
    begun = _BEGUN.search(text, max(0, len(text) - _LONGEST_START))
    if begun is not None and (begun[0] == "<" or begun[0].lower() in _STARTS):
        return begun.start()
    return len(text)


def _target(text: str, start: int) -> tuple[str, int | None] | None:
    """The target in parentheses and where these end: no end when they hold something else; None: more must come."""
    at = _skip(text, start)
    if text.startswith("<", at):
        closed = text.find(">", at)
        if "\n" in text[at : closed if closed >= 0 else len(text)]:
            return "", None
        if closed < 0:
            return None
        target, at = text[at : closed + 1], closed + 1
    else:
        begun, at = at, _plain_end(text, at)
        target = text[begun:at]
    after = _skip(text, at)
    if after > at and text[after : after + 1] in {'"', "'", "("} and text[after : after + 1]:
        closed = text.find(")" if text[after] == "(" else text[after], after + 1)
        if closed < 0:
            return None
        after = _skip(text, closed + 1)
    if after == len(text):
        return None
    return (target, after + 1) if text[after] == ")" else (target, None)


def _plain_end(text: str, at: int) -> int:
    """The end of a target without pointed brackets: white space, or the parenthesis that closes more than it opens."""
    depth = 0
    while at < len(text) and not text[at].isspace():
        if text[at] == "\\":
            at += 1
        elif text[at] == "(":
            depth += 1
        elif text[at] == ")":
            depth -= 1
            if depth < 0:
                break
        at += 1
    return min(at, len(text))


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
