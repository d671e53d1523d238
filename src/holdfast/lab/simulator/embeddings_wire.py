"""``POST /v1/embeddings``, as OpenAI and as Voyage speak it."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import TYPE_CHECKING

from holdfast.lab.simulator import fields, tokens
from holdfast.lab.simulator.failures import Failure, Problem
from holdfast.lab.simulator.prompt import TextsToEmbed

if TYPE_CHECKING:
    from holdfast.lab.simulator.failures import ProviderKind
    from holdfast.lab.simulator.fields import Body
    from holdfast.lab.simulator.prompt import Embeddings, Stamp

__all__ = ["OpenAIEmbeddings", "VoyageEmbeddings"]

_MOST_INPUTS = 2_048
_MOST_DIMENSIONS = 4_096
_VOYAGE_INPUTS = 1_000


class OpenAIEmbeddings:
    """The embeddings endpoint of OpenAI."""

    name = "embeddings"
    provider: ProviderKind = "openai"

    def read(self, body: Body) -> TextsToEmbed:
        """The texts in a request body."""
        model = fields.text(body, "model")
        texts, count = _inputs(body.get("input"))
        form = body.get("encoding_format")
        if form not in (None, "float", "base64"):
            rule = "it must be 'float' or 'base64'"
            raise Problem(Failure.INVALID, f"Invalid value for 'encoding_format': {rule}.", param="encoding_format")
        dimension = fields.integer(body, "dimensions", most=_MOST_DIMENSIONS)
        return TextsToEmbed(model=model, texts=texts, tokens=count, dimension=dimension, base64=form == "base64")

    def whole(self, embeddings: Embeddings, stamp: Stamp) -> Body:
        """The body of the answer."""
        usage = {"prompt_tokens": embeddings.tokens, "total_tokens": embeddings.tokens}
        return {"object": "list", "data": _data(embeddings), "model": stamp.model, "usage": usage}


class VoyageEmbeddings:
    """The embeddings endpoint of Voyage."""

    name = "embeddings"
    provider: ProviderKind = "voyage"

    def read(self, body: Body) -> TextsToEmbed:
        """The texts in a request body."""
        model = fields.text(body, "model")
        texts = fields.texts(body, "input")
        if not 1 <= len(texts) <= _VOYAGE_INPUTS or "" in texts:
            rule = f"must be a string or a list of 1 to {_VOYAGE_INPUTS} strings, none of them empty"
            raise Problem(Failure.INVALID, f"Argument 'input' {rule}.", param="input")
        if body.get("input_type") not in (None, "query", "document"):
            raise Problem(Failure.INVALID, "Argument 'input_type' must be null, 'query' or 'document'.")
        if body.get("encoding_format") not in (None, "base64"):
            raise Problem(Failure.INVALID, "Argument 'encoding_format' must be null or 'base64'.")
        return TextsToEmbed(
            model=model,
            texts=texts,
            tokens=sum(map(tokens.count, texts)),
            dimension=fields.integer(body, "output_dimension", most=_MOST_DIMENSIONS),
            base64=body.get("encoding_format") == "base64",
        )

    def whole(self, embeddings: Embeddings, stamp: Stamp) -> Body:
        """The body of the answer."""
        usage = {"total_tokens": embeddings.tokens}
        return {"object": "list", "data": _data(embeddings), "model": stamp.model, "usage": usage}


def _data(embeddings: Embeddings) -> list[Body]:
    encode = _base64 if embeddings.base64 else list
    return [
        {"object": "embedding", "index": place, "embedding": encode(vector)}
        for place, vector in enumerate(embeddings.vectors)
    ]


def _base64(vector: array[float]) -> str:
    if sys.byteorder == "big":
        vector = array("f", vector)
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode()


def _inputs(given: object) -> tuple[list[str], int]:
    """The texts and the number of their tokens; token ids are taken for words."""
    if isinstance(given, str) or (isinstance(given, list) and given and _is_ids(given)):
        given = [given]
    if not isinstance(given, list) or not 1 <= len(given) <= _MOST_INPUTS:
        rule = f"it must be a string, a list of token ids, or a list of 1 to {_MOST_INPUTS} of them"
        raise Problem(Failure.INVALID, f"Invalid value for 'input': {rule}.", param="input")
    texts, count = [], 0
    for place, each in enumerate(given):
        if isinstance(each, str) and each:
            texts.append(each)
            count += tokens.count(each)
        elif isinstance(each, list) and each and _is_ids(each):
            texts.append(" ".join(map(str, each)))
            count += len(each)
        else:
            rule = "it must be a string or a list of token ids, and not be empty"
            raise Problem(Failure.INVALID, f"Invalid value for 'input[{place}]': {rule}.", param="input")
    return texts, count


def _is_ids(given: list[object]) -> bool:
    return all(isinstance(each, int) and not isinstance(each, bool) for each in given)
