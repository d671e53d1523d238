"""``GET /v1/models``, as OpenAI and as Anthropic speak it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.lab.simulator.fields import Body

__all__ = ["anthropic_list", "anthropic_model", "openai_list", "openai_model"]

_BORN = 1_767_225_600  # 2026-01-01


def openai_model(name: str) -> Body:
    """One model."""
    return {"id": name, "object": "model", "created": _BORN, "owned_by": "holdfast-simulator"}


def openai_list(names: Sequence[str]) -> Body:
    """All models."""
    return {"object": "list", "data": [openai_model(name) for name in names]}


def anthropic_model(name: str) -> Body:
    """One model."""
    born = datetime.fromtimestamp(_BORN, UTC).isoformat().replace("+00:00", "Z")
    return {"type": "model", "id": name, "display_name": name, "created_at": born, "lifecycle": "active"}


def anthropic_list(names: Sequence[str]) -> Body:
    """All models, on one page."""
    first, last = (names[0], names[-1]) if names else (None, None)
    return {"data": [anthropic_model(name) for name in names], "has_more": False, "first_id": first, "last_id": last}
