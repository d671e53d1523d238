"""Whether an embedder does what its vectors are used for: checks for a running service, a test, or an ingest.

:func:`faults_of` looks at vectors that are there, and costs nothing. :func:`examine` asks the embedder for some fifty
short texts, and looks at what comes back: are the vectors of the stated dimension, finite and of length 1, are they the
same when asked again, and does what means the same lie closer together than what does not?
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from holdfast.llm.embedding import Embedder, Vectors

__all__ = ["NEIGHBOURS", "SAME_COSINE", "Finding", "Neighbours", "examine", "faults_of"]

SAME_COSINE = 0.99
"""Two vectors of one text have at least this cosine. Providers' differ a little from call to call, for their machines
add up in another order; another model's, or another precision's, lie far apart."""

_LENGTH_TOLERANCE = 1e-3
_NEIGHBOURS_SHARE = 0.9
"""Of the sets of neighbours, as many must be in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        check: its name: ``dimension``, ``finite``, ``length``, ``determinism``, ``neighbours``.
        ok: whether all is as it must be.
        detail: a sentence with the figure.
    """

    check: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Neighbours:
    """A question, a text that means the same, and one that does not."""

    question: str
    near: str
    far: str


NEIGHBOURS: tuple[Neighbours, ...] = (
    Neighbours(
        "How long may I keep an item before I return it?",
        "An item can be sent back within 30 days after it was delivered.",
        "Preheat the oven to 180 degrees and bake the cake until golden.",
    ),
    Neighbours(
        "When do I get my money back?",
        "Refunds: your money is back on the card after five days.",
        "Glaciers carve valleys over thousands of winters.",
    ),
    Neighbours(
        "What does delivery to Germany cost?",
        "Delivery costs 5.95 euros in Germany, and nothing above 60 euros.",
        "The violin has four strings, tuned in fifths.",
    ),
    Neighbours(
        "I forgot my password.",
        "To reset a password that you forgot, open the link in the e-mail.",
        "Bees tell each other by dancing where flowers are.",
    ),
    Neighbours(
        "The circuit breaker is open.",
        "An open circuit breaker refuses calls until a probe succeeds.",
        "Simmer tomatoes with garlic, basil, salt.",
    ),
    Neighbours(
        "Can I pay by credit card?",
        "We accept payment by credit card, debit card, or bank transfer.",
        "Penguins hatch their eggs on ice in darkness.",
    ),
    Neighbours(
        "How do I cancel my order?",
        "An order can be cancelled on its page within an hour.",
        "Saturn has rings of dust, rock, ice.",
    ),
    Neighbours(
        "The parcel has not arrived.",
        "What to do when a parcel is late, or has not arrived at all.",
        "Chess players castle early, mostly toward king side.",
    ),
    Neighbours(
        "Where can I download an invoice?",
        "Each invoice is a PDF which you download in your account.",
        "Marathon runners drink water every twenty minutes.",
    ),
    Neighbours(
        "How many requests per minute does the API allow?",
        "The limit of the API is 150 requests a minute for each key.",
        "Grandmother knits woollen socks during autumn evenings.",
    ),
    Neighbours(
        "Is my data deleted when I close my account?",
        "Closing an account removes personal data after 15 days.",
        "Trumpets sound brighter than French horns.",
    ),
    Neighbours(
        "Which warranty does a washing machine have?",
        "Washing machines and other large appliances have four years of warranty.",
        "Alpine climbers rope up before crossing crevasses.",
    ),
)
"""Sets of neighbours, in English, on matters of the field. Near texts share words with their question, so that an
embedder which only counts words passes, too: what is found out is one that is broken, not one that is simple."""


def faults_of(vectors: Vectors, *, count: int, dimension: int) -> tuple[Finding, ...]:
    """What is wrong with vectors that an embedder gave: nothing, or the checks that failed.

    Args:
        vectors: what it gave.
        count: how many texts it was given.
        dimension: numbers that a vector must have.
    """
    return tuple(finding for finding in _on(vectors, count=count, dimension=dimension) if not finding.ok)


async def examine(embedder: Embedder) -> tuple[Finding, ...]:
    """All checks of an embedder, failed or not. Asks it for 36 short texts, and for 12 of them twice.

    Raises:
        Exception: whatever the embedder raises: it could not be asked.
    """
    questions = [one.question for one in NEIGHBOURS]
    texts = [text for one in NEIGHBOURS for text in (one.near, one.far)]
    asked = await embedder.embed(questions, kind="query")
    again = await embedder.embed(questions[::-1], kind="query")
    documents = await embedder.embed(texts, kind="document")
    shapes = [
        (asked, len(questions)),
        (again, len(questions)),
        (documents, len(texts)),
    ]
    for vectors, count in shapes:
        faults = faults_of(vectors, count=count, dimension=embedder.dimension)
        if faults:
            return faults  # the rest would compare what cannot be compared
    return (
        *_on(documents, count=len(texts), dimension=embedder.dimension),
        _same(asked, again[::-1]),
        _in_order(asked, documents[0::2], documents[1::2]),
    )


def _on(vectors: Vectors, *, count: int, dimension: int) -> tuple[Finding, ...]:
    shape = Finding(
        check="dimension",
        ok=vectors.shape == (count, dimension),
        detail=f"{count} texts gave an array of {vectors.shape}; {(count, dimension)} is expected",
    )
    if not shape.ok:
        return (shape,)
    broken = int((~np.isfinite(vectors)).any(axis=1).sum())
    finite = Finding(check="finite", ok=not broken, detail=f"{broken} of {count} vectors hold a number that is none")
    if broken:
        return (shape, finite)
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    low, high = (float(lengths.min()), float(lengths.max())) if count else (1.0, 1.0)
    near_one = max(abs(low - 1), abs(high - 1)) <= _LENGTH_TOLERANCE
    length = Finding(check="length", ok=near_one, detail=f"lengths lie from {low:.4f} to {high:.4f}; 1 is expected")
    return (shape, finite, length)


def _same(one: Vectors, other: Vectors) -> Finding:
    lowest = float(np.einsum("ij,ij->i", one, other).min())
    return Finding(
        check="determinism",
        ok=lowest >= SAME_COSINE,
        detail=f"the same texts in another order have a cosine of at least {lowest:.4f}; {SAME_COSINE} is expected",
    )


def _in_order(questions: Vectors, near: Vectors, far: Vectors) -> Finding:
    margins = np.einsum("ij,ij->i", questions, near) - np.einsum("ij,ij->i", questions, far)
    good = int((margins > 0).sum())
    return Finding(
        check="neighbours",
        ok=good >= _NEIGHBOURS_SHARE * len(margins),
        detail=(
            f"{good} of {len(margins)} questions lie closer to a text that means the same than to another one; "
            f"{_NEIGHBOURS_SHARE:.0%} is expected"
        ),
    )
