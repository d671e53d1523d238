"""A clock that stands still, and logging that is put back as it was."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from holdfast.telemetry.logs import configure_logging
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class FixedWall(FakeClock):
    """Ten seconds after midnight of 1 January 2027, UTC."""

    def wall_ns(self) -> int:
        return 1_798_761_610_123_000_000


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(capture=False)
    root.handlers, root.level = handlers, level


@pytest.fixture
def log(restored_logging: None) -> Callable[[], list[dict[str, Any]]]:
    """Configures JSON logging at DEBUG; call it for the lines so far."""
    stream = io.StringIO()
    configure_logging("DEBUG", stream=stream, json=True, secrets=["hunter2hunter2"], clock=FixedWall())

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    return lines
