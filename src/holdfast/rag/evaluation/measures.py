"""The measures: pure functions over ranks, scores and texts."""

from __future__ import annotations

import re
import unicodedata
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["article_of", "auc", "contains_fact", "mean", "percentile", "share"]

_LOOK_ALIKES = str.maketrans(
    dict.fromkeys("\u2018\u2019", "'")
    | dict.fromkeys("\u201c\u201d", '"')
    | dict.fromkeys("\u2010\u2011\u2013\u2014\u2212", "-")
)
"""Curly quotes, and hyphens, dashes and minus signs, to what a keyboard has."""


def article_of(uri: str) -> str:
    """The name that questions call a document by: the last part of its uri, without query, fragment and suffix."""
    path = re.split(r"[?#]", uri, maxsplit=1)[0].replace("\\", "/").rstrip("/")
    name = path.rsplit("/", 1)[-1]
    stem, dot, _suffix = name.rpartition(".")
    return stem if dot and stem else name


def contains_fact(text: str, facts: Iterable[str]) -> bool:
    """Whether ``text`` holds one of ``facts`` as whole words or numbers, whatever the case, spacing, quotes and dashes.

    ``8 days`` is not in ``28 days``, and ``€3`` is not in ``€3.50``.
    """
    folded = _fold(text)
    return any(
        re.search(rf"(?<!\w)(?<!\d[.,]){re.escape(_fold(fact))}(?!\w)(?![.,]\d)", folded) is not None for fact in facts
    )


def mean(values: Iterable[float]) -> float | None:
    """The mean, or None of nothing."""
    values = list(values)
    return sum(values) / len(values) if values else None


def share(part: float, whole: float) -> float | None:
    """``part`` of ``whole``, or None of nothing."""
    return part / whole if whole else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least ``share`` (0 to 1) of all do not exceed (nearest rank); None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def auc(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """The chance that a random positive scores above a random negative, ties counting half; None when either is empty.

    It is the area under the ROC curve (Mann-Whitney): 1 tells them apart perfectly, 0.5 not at all.
    """
    if not positive or not negative:
        return None
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return wins / (len(positive) * len(negative))


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).translate(_LOOK_ALIKES).casefold().split())
