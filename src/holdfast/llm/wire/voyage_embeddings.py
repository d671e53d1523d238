"""Voyage's embeddings: ``POST /embeddings``, with queries and documents told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.llm.wire._openai import bearer
from holdfast.llm.wire._unstreamed import Unstreamed
from holdfast.llm.wire.vectors import read_vectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.llm.embedding import EmbedKind
    from holdfast.llm.wire.base import Quirks, Reply

__all__ = ["VoyageEmbeddings"]


class VoyageEmbeddings(Unstreamed):
    """The wire ``voyage.embeddings``.

    Vectors are asked for as base64 of 32-bit floats. Usage has one number, which is taken as tokens read.
    """

    name = "voyage.embeddings"
    path = "/embeddings"

    def headers(self, key: str) -> dict[str, str]:
        """See :meth:`holdfast.llm.wire.base.Wire.headers`."""
        return bearer(key)

    def encode(
        self, texts: Sequence[str], *, model: str, dimensions: int | None = None, kind: EmbedKind = "document"
    ) -> dict[str, Any]:
        """See :meth:`holdfast.llm.wire.base.EmbeddingWire.encode`."""
        body: dict[str, Any] = {"model": model, "input": list(texts), "input_type": kind, "encoding_format": "base64"}
        if dimensions is not None:
            body["output_dimension"] = dimensions
        return body

    def retarget(self, body: Mapping[str, Any], *, model: str, prefix: str = "") -> dict[str, Any]:  # noqa: ARG002
        """See :meth:`holdfast.llm.wire.base.Wire.retarget`; there is nothing to continue."""
        return {**body, "model": model}

    def read(self, status: int, headers: Mapping[str, str], content: bytes, quirks: Quirks) -> Reply:
        """See :func:`holdfast.llm.wire.vectors.read_vectors`."""
        return read_vectors(status, headers, content, quirks)
