"""What asyncio asks of every event loop, and virtual time has little to say about."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from holdfast.lab.virtual.errors import VirtualTimeError
from holdfast.lab.virtual.outside import NoOutsideWorld

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Furniture"]

_log = logging.getLogger("asyncio")


class Furniture(NoOutsideWorld):
    """Debug mode, factories, and who hears of errors that nobody caught.

    Attributes:
        handler: what :meth:`set_exception_handler` was given.
    """

    def __init__(self) -> None:
        super().__init__()
        self.handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's own
        """Nothing: there is none."""

    def get_task_factory(self) -> None:
        """None: tasks are asyncio's own."""

    def set_task_factory(self, factory: object) -> None:
        """Refused, unless it is None: tasks are numbered by the loop that makes them."""
        if factory is not None:
            raise VirtualTimeError("A virtual loop makes its tasks itself: it takes no factory.")

    def get_debug(self) -> bool:
        """Never: asyncio's debug mode measures real time."""
        return False

    def set_debug(self, enabled: bool) -> None:  # noqa: FBT001 - asyncio's signature
        """Nothing, see :meth:`get_debug`."""

    def set_exception_handler(
        self, handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None
    ) -> None:
        """Hand what nobody catches to ``handler``; None: it ends the run, or is logged."""
        self.handler = handler

    def get_exception_handler(self) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None:
        """What was set."""
        return self.handler

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody caught: to the handler, or to the log."""
        if self.handler is not None:
            self.handler(self, context)
        else:
            self.default_exception_handler(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Log it as asyncio does."""
        _log.error(
            "%s (%r)", context.get("message"), context.get("task") or context.get("future"),
            exc_info=context.get("exception"),
        )  # fmt: skip
