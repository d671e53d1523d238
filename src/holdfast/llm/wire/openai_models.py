"""The list of a provider's models: ``GET /models``, with OpenAI and Anthropic alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.errors import MalformedAnswerError
from holdfast.llm.wire import _json
from holdfast.llm.wire._openai import bearer
from holdfast.llm.wire._unstreamed import Unstreamed
from holdfast.llm.wire.base import Reply
from holdfast.llm.wire.failures import answer_error, read_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.llm.wire.base import Quirks

__all__ = ["OpenAIModels"]


class OpenAIModels(Unstreamed):
    """The wire ``openai.models``: a GET without a body, so that nothing is there to retarget or to stream."""

    name = "openai.models"
    path = "/models"

    def headers(self, key: str) -> dict[str, str]:
        """See :meth:`holdfast.llm.wire.base.Wire.headers`."""
        return bearer(key)

    def retarget(self, body: Mapping[str, Any], *, model: str, prefix: str = "") -> dict[str, Any]:  # noqa: ARG002
        """``body`` as it is."""
        return dict(body)

    def read(self, status: int, headers: Mapping[str, str], content: bytes, quirks: Quirks) -> Reply:
        """The names of the models, in ``Reply.models``; a provider may offer none.

        Raises:
            MalformedAnswerError: the body is not a list of models.
            ProviderError: everything else that is an error.
        """
        body = read_object(status, headers, content, quirks)
        data = body.get("data")
        names = [_json.text(_json.mapping(each).get("id")) for each in _json.items(data)]
        if not isinstance(data, list) or not all(names):
            what = "answered with an object that is not a list of models"
            raise answer_error(MalformedAnswerError, what, quirks, headers=headers, content=content)
        return Reply(content=content, models=tuple(names))
