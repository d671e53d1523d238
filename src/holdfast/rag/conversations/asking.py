"""How a model is asked for a line or two: what the rewriting and the summaries need of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from holdfast.llm.messages import ChatRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.llm.client import ModelClient
    from holdfast.llm.messages import Message

__all__ = ["Completed", "Completer", "RouteCompleter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a model wrote, and what it cost in US dollars, calls that gave nothing included."""

    text: str
    cost_usd: float = 0.0


class Completer(Protocol):
    """Has a model write."""

    async def complete(self, messages: Sequence[Message], *, max_tokens: int) -> Completed:
        """What it writes, within the deadline that holds; raise when it cannot."""
        ...


class RouteCompleter:
    """Asks a chat route.

    Args:
        models: asks the model.
        route: the chat route; a quick and cheap one will do.

    Raises:
        NotFoundError: there is no such route.
    """

    def __init__(self, models: ModelClient, route: str) -> None:
        self._models = models
        self._route = models.routes.model(route)

    async def complete(self, messages: Sequence[Message], *, max_tokens: int) -> Completed:
        """What the route's model writes.

        Raises:
            ProviderError, TargetsExhaustedError, DeadlineExceededError: no model gave an answer.
        """
        limits = [target.max_output_tokens for target in self._route.targets if target.max_output_tokens]
        request = ChatRequest(messages=messages, max_tokens=min([max_tokens, *limits]))
        answered = await self._models.complete(self._route.name, request)
        return Completed(text=answered.completion.text, cost_usd=answered.cost_usd)
