"""What answers the questions of a world: the engine, or another program around the same parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from holdfast.rag.query import Query
    from holdfast.rag.types import Answer

__all__ = ["Program"]


class Program(Protocol):
    """Answers questions; :class:`holdfast.rag.engine.Engine` is one."""

    async def ask(self, query: Query, /) -> Answer:
        """The answer to ``query``, or whatever error its user would see."""
        ...

    def stream(self, query: Query, /) -> AsyncGenerator[str | Answer, None]:
        """The answer piece by piece, and then the whole."""
        ...
