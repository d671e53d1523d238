"""An engine for the length of one command."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from holdfast.cli.output import warn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.rag.engine import Engine
    from holdfast.rag.settings import Settings

__all__ = ["opened"]


@asynccontextmanager
async def opened(settings: Settings, *, create: bool = True) -> AsyncIterator[Engine]:
    """The engine of these settings, open; closed at the end, whatever happens in between.

    Args:
        create: make the store when it is not there. Who only asks does not: a mistyped folder is told, not made.

    Raises:
        StoreError: the document store cannot be opened.
    """
    from holdfast.rag.app import build_engine

    engine = build_engine(settings)
    for sentence in engine.warnings:
        warn(sentence)
    try:
        await engine.open(create=create)
        yield engine
    finally:
        await engine.close()
