"""Addresses in a text: which lead outside, and whether two are the same."""

from __future__ import annotations

import re
from functools import lru_cache
from html import unescape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ADDRESS", "ADDRESS_STARTS", "AddressesOf", "addresses_in", "bare", "canonical", "leads_outside"]

ADDRESS_STARTS = ("http://", "https://", "ftp://", "www.")
"""How an address begins that programs make a link of wherever it stands."""

ADDRESS = re.compile(r"(?i)(?:(?:https?|ftp)://|(?<![a-z0-9])www\.)(?:(?!\]\()[^\s<])*")
"""Such an address, with everything up to white space; :func:`bare` takes off what is not part of it."""

_NOT_ITS_END = re.compile(r"(?:\[\d{1,2}(?:[,;] ?\d{1,2})*\]|[.,;:!?'\"*_`~|\\)\]}>])+$")
_OTHER = re.compile(r"(?i)(?:mailto|tel):[^\s<>()\[\]\"'`]+")
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_REMEMBERED = 1_024
"""The same passages are cited in many answers; one has at most some thousand characters."""
_SCHEME = re.compile(r"(?i)^(?:https?:)?//")
_OUTSIDE = re.compile(r"(?i)(?:[a-z][a-z0-9+.-]*:|[/\\]{2})")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_BLANKS = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202f\u2060\ufeff]+")


def addresses_in(texts: Iterable[str]) -> frozenset[str]:
    """The addresses that stand in ``texts``, each as :func:`canonical` has it; mail addresses as ``mailto:``."""
    return frozenset().union(*map(_addresses_of, texts))


@lru_cache(_REMEMBERED)
def _addresses_of(text: str) -> frozenset[str]:
    found = {canonical(one[0]) for pattern in (ADDRESS, _OTHER) for one in pattern.finditer(text)}
    found.update(canonical(f"mailto:{one[0]}") for one in _MAIL.finditer(text))
    return frozenset(found)


class AddressesOf:
    """The :func:`addresses_in` texts, which are read when somebody first asks for one: most answers hold no link."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = texts
        self._found: frozenset[str] | None = None

    def __contains__(self, address: object) -> bool:
        if self._found is None:
            self._found = addresses_in(self._texts)
        return address in self._found


def bare(address: str) -> str:
    """``address`` without the punctuation, brackets and marks of citations at its end."""
    return _NOT_ITS_END.sub("", address)


def canonical(address: str) -> str:
    """An address as it is compared: without http or https, the slash at its end and what :func:`bare` takes off.

    Letters of the host count in any case, all others as they are.
    """
    plain = _SCHEME.sub("", bare(_plain(address)))
    host = re.match(r"[^/?#]*", plain)
    end = host.end() if host else 0
    return plain[:end].casefold() + plain[end:].rstrip("/")


def leads_outside(target: str) -> bool:
    """Whether a link's target is more than a path on the place where the link is shown."""
    return _OUTSIDE.match(_plain(target)) is not None


def _plain(target: str) -> str:
    """A target as a browser gets it: without entities, backslash escapes and blanks."""
    return _BLANKS.sub("", _ESCAPED.sub(r"\1", unescape(target)))
