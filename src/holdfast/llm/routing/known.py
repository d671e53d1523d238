"""The providers that need no description, and the dimensions of well-known embedding models."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.llm.routing.targets import Kind, LimitField

__all__ = ["DIMENSIONS", "KNOWN_PROVIDERS", "KnownProvider"]


class KnownProvider(NamedTuple):
    """What is true of a provider for everybody.

    Attributes:
        base_url: None where everybody has an address of their own.
        variables: where its key is looked for; the first that is set counts.
        error_table, finish_required, limit_field: see ``holdfast.llm.routing.targets.Provider``.
        needs_key: whether it answers only to those who have a key.
    """

    base_url: str | None
    variables: tuple[str, ...] = ()
    kind: Kind = "openai"
    error_table: str | None = None
    finish_required: bool = True
    needs_key: bool = True
    limit_field: LimitField = "max_tokens"


KNOWN_PROVIDERS: Mapping[str, KnownProvider] = {
    "openai": KnownProvider(
        "https://api.openai.com/v1",
        ("HOLDFAST_OPENAI_API_KEY", "OPENAI_API_KEY"),
        error_table="openai",
        limit_field="max_completion_tokens",
    ),
    "anthropic": KnownProvider(
        "https://api.anthropic.com",  # the version is in the paths of its protocol
        ("HOLDFAST_ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY"),
        kind="anthropic",
        error_table="anthropic",
    ),
    "voyage": KnownProvider(
        "https://api.voyageai.com/v1",
        ("HOLDFAST_VOYAGE_API_KEY", "VOYAGE_AI_API_KEY", "VOYAGE_API_KEY"),
        kind="voyage",
        error_table="voyage",
    ),
    "azure": KnownProvider(None, ("AZURE_OPENAI_API_KEY",), error_table="azure", limit_field="max_completion_tokens"),
    "gemini": KnownProvider(
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        error_table="gemini",
    ),
    # Hosts with error codes of their own, or none: they go by the codes of all providers.
    "openrouter": KnownProvider("https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",)),
    "together": KnownProvider("https://api.together.ai/v1", ("TOGETHER_API_KEY",)),
    "groq": KnownProvider("https://api.groq.com/openai/v1", ("GROQ_API_KEY",)),
    "mistral": KnownProvider("https://api.mistral.ai/v1", ("MISTRAL_API_KEY",)),
    "deepseek": KnownProvider("https://api.deepseek.com/v1", ("DEEPSEEK_API_KEY",)),
    # Servers on one's own machine, at the port that they take when nobody says otherwise. 127.0.0.1 and not localhost:
    # that may be an IPv6 address first, on which they do not listen.
    "ollama": KnownProvider(
        "http://127.0.0.1:11434/v1",
        error_table="openai",
        finish_required=False,  # its whole answers may say nothing about why they end
        needs_key=False,
    ),
    "vllm": KnownProvider("http://127.0.0.1:8000/v1", ("VLLM_API_KEY",), error_table="openai", needs_key=False),
    "llamacpp": KnownProvider("http://127.0.0.1:8080/v1", ("LLAMA_API_KEY",), error_table="openai", needs_key=False),
}
"""By name. A file may describe them anew, key by key."""

DIMENSIONS: Mapping[str, int] = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
    "voyage-4-large": 1024,
    "voyage-4": 1024,
    "voyage-4-lite": 1024,
    "voyage-3-large": 1024,
    "voyage-3.5": 1024,
    "voyage-3.5-lite": 1024,
    "voyage-code-3": 1024,
    "voyage-finance-2": 1024,
    "voyage-law-2": 1024,
    "gemini-embedding-001": 3072,
    "mistral-embed": 1024,
    "nomic-embed-text": 768,
    "mxbai-embed-large": 1024,
    "bge-m3": 1024,
}
"""Numbers in a vector when the request names no dimension, by model."""
