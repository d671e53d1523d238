"""What every embedder must do, as checks that any embedder can be run against.

    @pytest.mark.parametrize("check", EMBEDDER_CHECKS)
    async def test_my_embedder_keeps_the_contract(check: EmbedderCheck) -> None:
        await check(MyEmbedder(...))

Each check takes an open embedder, raises AssertionError with a sentence if the contract is broken, and leaves the
embedder open. They need no test framework. An embedder behind a network should be given its recorded or simulated
service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from holdfast.llm.embedding import Embedder
from holdfast.llm.embedding_checks import examine

if TYPE_CHECKING:
    from holdfast.llm.embedding import Vectors

__all__ = ["EMBEDDER_CHECKS", "EmbedderCheck", "check_embedder"]

EmbedderCheck: TypeAlias = Callable[[Embedder], Awaitable[None]]

_TEXTS = (
    "A circuit breaker stops calling a service that keeps failing.",
    "retry",
    "The quick brown fox jumps over the lazy dog, again and again, until the dog has had enough of it and walks away.",
    "Öffnungszeiten: 8–18 Uhr; 営業時間は八時から; 🦊",
    "def f(x):\n\treturn x + 1",
)
_TOLERANCE = 1e-4
"""How far a number may differ between two ways of asking: float arithmetic in another order, not another vector."""


async def check_embedder(embedder: Embedder) -> None:
    """Run every check against ``embedder``, one after the other.

    Raises:
        AssertionError: it breaks the contract; says how.
    """
    for check in EMBEDDER_CHECKS:
        await check(embedder)


async def check_identity(embedder: Embedder) -> None:
    """It has the protocol's parts, a name, an id and a dimension."""
    _require(isinstance(embedder, Embedder), "it has every member of the Embedder protocol")
    _require(bool(embedder.id.strip()), "its id is not empty")
    _require(embedder.name.startswith("embedder:"), 'its name begins with "embedder:"')
    _require(embedder.dimension >= 1, "its dimension is at least 1")


async def check_shape(embedder: Embedder) -> None:
    """It gives one float32 vector of the stated dimension for each text."""
    for count in (1, 2, len(_TEXTS)):
        vectors = await embedder.embed(_TEXTS[:count])
        _require(vectors.dtype == np.float32, f"vectors are float32, not {vectors.dtype}")
        expected = (count, embedder.dimension)
        _require(vectors.shape == expected, f"{count} texts give shape {expected}, not {vectors.shape}")


async def check_unit_length(embedder: Embedder) -> None:
    """Every vector is finite and of length 1, also those of odd texts."""
    odd = ["", " ", "\n\t", "\x00", "?", "\ud800 half of a pair", "x" * 5_000]
    vectors = await embedder.embed([*_TEXTS, *odd])
    _require(bool(np.isfinite(vectors).all()), "every number is finite")
    lengths = np.linalg.norm(vectors, axis=1)
    _require(bool(np.allclose(lengths, 1, atol=1e-3)), f"every vector has length 1, not {lengths.tolist()}")


async def check_empty_input(embedder: Embedder) -> None:
    """No text gives no vectors, in an array of the right shape."""
    vectors = await embedder.embed([])
    expected = (0, embedder.dimension)
    _require(vectors.shape == expected, f"no text gives shape {expected}, not {vectors.shape}")
    _require(vectors.dtype == np.float32, f"an empty array is float32 too, not {vectors.dtype}")


async def check_sequences(embedder: Embedder) -> None:
    """Any sequence of texts will do, and is left as it was."""
    texts = list(_TEXTS)
    from_list = await embedder.embed(texts)
    _require(texts == list(_TEXTS), "the caller's list is not changed")
    _same(from_list, await embedder.embed(tuple(texts)), "a list and a tuple give the same vectors")


async def check_order(embedder: Embedder) -> None:
    """The rows stand in the order of the texts, however long each is."""
    forward = await embedder.embed(_TEXTS)
    backward = await embedder.embed(_TEXTS[::-1])
    _same(forward, backward[::-1], "turning the texts round turns the rows round")
    _require(not np.allclose(forward[0], forward[1], atol=_TOLERANCE), "different texts have different vectors")


async def check_determinism(embedder: Embedder) -> None:
    """The same texts give the same vectors."""
    _same(await embedder.embed(_TEXTS), await embedder.embed(_TEXTS), "asking twice gives the same vectors")


async def check_batch_invariance(embedder: Embedder) -> None:
    """A text's vector does not depend on the texts it is sent with, nor on how many they are."""
    many = [f"{text} ({number})" for number in range(9) for text in _TEXTS]
    together = await embedder.embed(many)
    alone = np.concatenate([await embedder.embed([text]) for text in many])
    _same(together, alone, "a text has the same vector alone and among others")


async def check_long_input(embedder: Embedder) -> None:
    """A text that is too long is cut at its end: not refused, and its beginning counts."""
    beginning = "Bulkheads keep one failing part from sinking the whole ship. " * 400
    vectors = await embedder.embed([beginning, f"{beginning}{'Something else stands here. ' * 4_000}", _TEXTS[1]])
    _same(vectors[:1], vectors[1:2], "what stands behind the cut does not count")
    _require(not np.allclose(vectors[0], vectors[2], atol=_TOLERANCE), "what stands before the cut counts")


async def check_kinds(embedder: Embedder) -> None:
    """Queries and documents live in one space: a question is nearer to its own text than to another."""
    question, own, other = "circuit breaker failing service", _TEXTS[0], _TEXTS[2]
    query = await embedder.embed([question], kind="query")
    documents = await embedder.embed([own, other], kind="document")
    _require(query.shape == (1, embedder.dimension), "a query has the shape of a document")
    near, far = (documents @ query[0]).tolist()
    _require(near > far, f"the cosine of a question to its own text ({near:.3f}) exceeds that to another ({far:.3f})")
    _same(documents, await embedder.embed([own, other]), "texts are documents unless said otherwise")


async def check_neighbours(embedder: Embedder) -> None:
    """What an operator's check looks at is in order, and texts on the same matter lie closer than others."""
    for finding in await examine(embedder):
        _require(finding.ok, f"{finding.check}: {finding.detail}")


async def check_concurrent_calls(embedder: Embedder) -> None:
    """Calls that run at once get their own vectors."""
    groups = [[f"{text} in call {number}" for text in _TEXTS] for number in range(8)]
    at_once = await asyncio.gather(*(embedder.embed(group) for group in groups))
    for group, vectors in zip(groups, at_once, strict=True):
        _same(vectors, await embedder.embed(group), "a call beside others gives the vectors it gives alone")


async def check_results_are_own(embedder: Embedder) -> None:
    """The array belongs to the caller: writing into it changes no later answer."""
    first = await embedder.embed(_TEXTS[:2])
    kept = first.copy()
    first[:] = 0
    _same(kept, await embedder.embed(_TEXTS[:2]), "an answer that was overwritten does not come back")


EMBEDDER_CHECKS: tuple[EmbedderCheck, ...] = (
    check_identity,
    check_shape,
    check_unit_length,
    check_empty_input,
    check_sequences,
    check_order,
    check_determinism,
    check_batch_invariance,
    check_long_input,
    check_kinds,
    check_neighbours,
    check_concurrent_calls,
    check_results_are_own,
)
"""Every check, the simplest first."""


def _require(condition: bool, rule: str) -> None:  # noqa: FBT001 - read like assert
    if not condition:
        raise AssertionError(f"an embedder must keep this: {rule}")


def _same(left: Vectors, right: Vectors, rule: str) -> None:
    _require(left.shape == right.shape, rule)
    difference = float(np.abs(left - right).max(initial=0))
    _require(difference <= _TOLERANCE, f"{rule} (largest difference: {difference:.2g})")
