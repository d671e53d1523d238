"""The words by which a follow-up question is recognised: ``words.toml``, read once."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files

__all__ = ["any_of", "listed"]

_TEXT = files("holdfast.rag.conversations").joinpath("words.toml").read_text("utf-8")
_LISTS = {name: frozenset(text.split()) for name, text in tomllib.loads(_TEXT).items()}


def listed(name: str) -> frozenset[str]:
    """One of the lists."""
    return _LISTS[name]


def any_of(name: str) -> str:
    """A pattern for any word of a list; ``_`` in a word stands for a space."""
    return "|".join(re.escape(word).replace("_", r"\s") for word in sorted(_LISTS[name]))
