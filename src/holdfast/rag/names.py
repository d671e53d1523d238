"""What a name may be that people give: a title, a file, a collection."""

from __future__ import annotations

import unicodedata

__all__ = ["is_plain_name"]

_FORBIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_plain_name(text: str) -> bool:
    """Whether ``text`` stands on one line and reads as it is written.

    Refused are control characters, line and paragraph separators, lone surrogates, and the characters that reverse the
    direction of what follows. Spaces of any script, and the joiners that Persian and Indian scripts need, are fine.
    """
    return not any(character in _BIDI_CONTROLS or unicodedata.category(character) in _FORBIDDEN for character in text)
