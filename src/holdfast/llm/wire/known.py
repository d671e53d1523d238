"""The wires by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.errors import ConfigError
from holdfast.llm.wire.anthropic_messages import AnthropicMessages
from holdfast.llm.wire.openai_chat import OpenAIChat
from holdfast.llm.wire.openai_embeddings import OpenAIEmbeddings
from holdfast.llm.wire.openai_models import OpenAIModels
from holdfast.llm.wire.openai_responses import OpenAIResponses
from holdfast.llm.wire.voyage_embeddings import VoyageEmbeddings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.llm.wire.base import Wire

__all__ = ["WIRES", "wire_named"]

_ALL: tuple[Wire, ...] = (
    OpenAIChat(),
    OpenAIResponses(),
    OpenAIEmbeddings(),
    OpenAIModels(),
    AnthropicMessages(),
    VoyageEmbeddings(),
)

WIRES: Mapping[str, Wire] = {wire.name: wire for wire in _ALL}
"""Every wire, with its defaults; they hold no state."""


def wire_named(name: str) -> Wire:
    """The wire of that name, e.g. ``"openai.chat"``.

    Raises:
        ConfigError: there is none; the known names are listed.
    """
    try:
        return WIRES[name]
    except KeyError:
        raise ConfigError("wire", name, f"must be one of {', '.join(WIRES)}") from None
