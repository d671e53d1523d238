"""What an embedder is: text in, unit vectors of one space out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]

__all__ = ["EmbedKind", "Embedder"]

EmbedKind: TypeAlias = Literal["query", "document"]


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors. Two embedders may share vectors only if their ``id`` is the same."""

    @property
    def id(self) -> str:
        """The vector space, stored with every vector: provider, model, precision; ``"local:all-MiniLM-L6-v2:int8"``."""
        ...

    @property
    def name(self) -> str:
        """The dependency's name in pipelines, metrics and logs, e.g. ``"embedder:local"``."""
        ...

    @property
    def dimension(self) -> int:
        """Numbers in one vector."""
        ...

    async def embed(self, texts: Sequence[str], *, kind: EmbedKind = "document") -> Vectors:
        """Embed ``texts``: a float32 array of shape (len(texts), dimension), each row of length 1, in the order given.

        A text longer than the model reads is cut at its end. No text, no call: an empty sequence gives an array of
        shape (0, dimension).
        """
        ...

    async def close(self) -> None:
        """Release the model or the connections."""
        ...
