"""OpenAI's embeddings: ``POST /embeddings``, spoken by most providers and servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.llm.wire._openai import bearer
from holdfast.llm.wire._unstreamed import Unstreamed
from holdfast.llm.wire.vectors import check, read_vectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.llm.embedding import EmbedKind
    from holdfast.llm.wire.base import Quirks, Reply

__all__ = ["OpenAIEmbeddings", "check"]


class OpenAIEmbeddings(Unstreamed):
    """The wire ``openai.embeddings``.

    Vectors are asked for in base64, a third of the bytes of a list of numbers; a server that sends a list all the same
    is understood. The protocol makes no difference between queries and documents.
    """

    name = "openai.embeddings"
    path = "/embeddings"

    def headers(self, key: str) -> dict[str, str]:
        """See :meth:`holdfast.llm.wire.base.Wire.headers`."""
        return bearer(key)

    def encode(
        self,
        texts: Sequence[str],
        *,
        model: str,
        dimensions: int | None = None,
        kind: EmbedKind = "document",  # noqa: ARG002  part of every embedding wire
    ) -> dict[str, Any]:
        """See :meth:`holdfast.llm.wire.base.EmbeddingWire.encode`."""
        body: dict[str, Any] = {"model": model, "input": list(texts), "encoding_format": "base64"}
        if dimensions is not None:
            body["dimensions"] = dimensions
        return body

    def retarget(self, body: Mapping[str, Any], *, model: str, prefix: str = "") -> dict[str, Any]:  # noqa: ARG002
        """See :meth:`holdfast.llm.wire.base.Wire.retarget`; there is nothing to continue."""
        return {**body, "model": model}

    def read(self, status: int, headers: Mapping[str, str], content: bytes, quirks: Quirks) -> Reply:
        """See :func:`holdfast.llm.wire.vectors.read_vectors`, and :func:`check` for what only the caller can judge."""
        return read_vectors(status, headers, content, quirks)
