"""Answers that need nothing: questions that everybody asks, answered beforehand, in a file of the operator's.

    faq = Faq.load(Path("faq.toml"))
    match = faq.match("How do I send this back?", collection="default")
    match.entry.answer, match.score, match.keywords

Matching is by words, in memory, without embedder, store, model or network, so that it works when all of them are down.
"""

from __future__ import annotations

from holdfast.rag.faq.entries import FaqEntry
from holdfast.rag.faq.matching import Faq, FaqMatch

__all__ = ["Faq", "FaqEntry", "FaqMatch"]
