"""An embedder whose model runs at a provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from holdfast.errors import MalformedAnswerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfast.llm.client import ModelClient
    from holdfast.llm.embedding import EmbedKind, Vectors

__all__ = ["ProviderEmbedder"]

_TEXTS = 128
_CHARACTERS = 100_000
"""Of one request: about 33,000 tokens. Providers take 120,000 tokens or more, and 1,000 texts or more."""

_MAX_CHARACTERS = 8_000
"""What is sent of one text: no more than the 8,191 tokens that the shortest-sighted of the usual models read, in any
script in which a character is a token at most."""

_SHORTEST = 1e-6
"""A vector of this length has no direction."""


class ProviderEmbedder:
    """Embeds with a model behind an embedding route.

    All targets of a route have the same model and dimension, so that vectors stay comparable whoever computes them;
    ``id`` names these two and no provider. Texts are sent in batches; a call that fails does so as a whole.

    Args:
        models: asks the providers; not closed with this embedder, for it may serve others.
        route: the embedding route.

    Raises:
        NotFoundError: there is no such route.
    """

    def __init__(self, models: ModelClient, route: str) -> None:
        self._models = models
        self._route = models.routes.embedding(route)

    @property
    def id(self) -> str:
        """The vector space: the model and the dimension."""
        return f"{self._route.model_id}:{self._route.dimension}"

    @property
    def name(self) -> str:
        """The dependency's name."""
        return f"embedder:{self._route.name}"

    @property
    def dimension(self) -> int:
        """Numbers in one vector."""
        return self._route.dimension

    async def embed(self, texts: Sequence[str], *, kind: EmbedKind = "document") -> Vectors:
        """Embed ``texts``; see :meth:`holdfast.llm.embedding.Embedder.embed`.

        Raises:
            TypeError: ``texts`` is one string instead of a sequence of strings.
            ProviderError, TargetsExhaustedError, DeadlineExceededError: no provider gave vectors that can be used.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be a sequence of strings, not one string")
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        parts = []
        for batch in _batches([_readable(text) for text in texts]):
            embedded = await self._models.embed(self._route.name, batch, kind=kind)
            parts.append(self._checked(embedded.vectors, embedded.target.provider.name))
        return np.concatenate(parts)

    async def close(self) -> None:
        """Nothing: the connections are the client's."""

    def _checked(self, vectors: Sequence[Sequence[float]], provider: str) -> Vectors:
        """The vectors at length 1. Their number and dimension were checked when they came."""
        rows: Vectors = np.array(vectors, np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or bool((lengths < _SHORTEST).any()):
            raise MalformedAnswerError(
                f"{provider} gave a vector without a direction (its length is 0 or not a number).", provider=provider
            )
        rows /= lengths
        return rows


def _readable(text: str) -> str:
    """What a provider takes: half of a surrogate pair is no text, and an empty one is refused."""
    return text[:_MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8") or " "


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, in batches bounded by number and by size; each has one text at least."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == _TEXTS or size + len(text) > _CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    yield batch
