"""Logging: one JSON object a line, for people who read with programs; plain lines on a terminal.

Every line has ``timestamp`` (ISO 8601, UTC), ``level``, ``message`` and ``correlation_id`` (the request's id, or ``-``
outside a request). Lines of the standard library's ``logging`` (the web server's and other packages') go through the
same processors, so that a log has one shape and no secrets whoever wrote the line.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import orjson
import structlog

from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.core.events import correlation_id
from holdfast.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    from structlog.typing import EventDict, Processor, WrappedLogger

    from holdfast.core.clock import Clock

__all__ = ["NO_CORRELATION_ID", "configure_logging"]

NO_CORRELATION_ID = "-"

_FIRST = ("timestamp", "level", "message", "correlation_id")


def configure_logging(
    level: str = "INFO",
    *,
    stream: TextIO | None = None,
    json: bool | None = None,
    secrets: Iterable[str] = (),
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Send every log line of this process to one stream. May be called again; the last call counts.

    Args:
        level: the least serious level that is written: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
        stream: where to; None takes stderr.
        json: one JSON object a line; None: unless the stream is a terminal.
        secrets: texts that must never appear in a line.
        clock: where timestamps come from.
    """
    stream = stream if stream is not None else sys.stderr
    json = json if json is not None else not stream.isatty()
    number = logging.getLevelNamesMapping()[level]
    renderer: Processor = (
        _render_json
        if json
        else structlog.dev.ConsoleRenderer(
            colors=stream.isatty(),
            event_key="message",
            exception_formatter=structlog.dev.plain_traceback,  # the others show local variables: texts and keys
        )
    )
    shape: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        _Shape(clock),
        Redactor(secrets),
        *(() if json else (_one_line,)),
        renderer,
    ]
    structlog.configure(
        processors=shape,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,  # configured again by tests, and by commands that print before they serve
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *shape],
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.INFO))  # other packages' debug lines are theirs to read, and may hold anything
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.captureWarnings(capture=True)


class _Shape:
    """Puts the four fields that every line has in front, under their names."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, _logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        moment = datetime.fromtimestamp(self._clock.wall_ns() / 1e9, UTC)
        message = line.pop("event", "")
        line["timestamp"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line["message"] = message if isinstance(message, str) else str(message)
        line["correlation_id"] = line.get("correlation_id") or correlation_id() or NO_CORRELATION_ID
        return {name: line[name] for name in _FIRST} | {
            name: value for name, value in line.items() if name not in _FIRST
        }


def _render_json(_logger: WrappedLogger, _method: str, line: EventDict) -> str:
    return orjson.dumps(line, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()


def _one_line(_logger: WrappedLogger, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """On a terminal: control characters as escapes, so that no text can forge a line or move the cursor."""
    return {
        name: value if name == "exception" or not isinstance(value, str) or value.isprintable() else _escaped(value)
        for name, value in line.items()
    }


def _escaped(text: str) -> str:
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
