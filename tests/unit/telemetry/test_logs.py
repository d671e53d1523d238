"""Logging has one shape, whoever writes the line."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from holdfast.core.events import correlation_scope
from holdfast.telemetry.logs import configure_logging

Lines = Callable[[], list[dict[str, Any]]]


def test_line_has_the_four_fields_first(log: Lines) -> None:
    """A line begins with timestamp, level, message and correlation_id, and then has its own fields."""
    structlog.get_logger().info("documents searched", results_count=5)
    (line,) = log()
    assert list(line) == ["timestamp", "level", "message", "correlation_id", "results_count"]
    assert line["timestamp"] == "2027-01-01T00:00:10.123Z"
    assert (line["level"], line["message"], line["correlation_id"]) == ("info", "documents searched", "-")


def test_standard_library_lines_have_the_same_shape(log: Lines) -> None:
    """A line of another package's logger has all four fields and its logger's name."""
    logging.getLogger("uvicorn.error").warning("port %d", 8000)
    (line,) = log()
    assert line["message"] == "port 8000"
    assert line["level"] == "warning"
    assert line["correlation_id"] == "-"
    assert line["logger"] == "uvicorn.error"


def test_standard_library_exception_is_one_line(log: Lines) -> None:
    """The stack of an exception logged by another package is a field, not lines of its own."""
    try:
        int("boom")
    except ValueError:
        logging.getLogger("other").exception("it failed")
    (line,) = log()
    assert line["level"] == "error"
    assert "ValueError: invalid literal" in line["exception"]


def test_exception_holds_no_local_variables(log: Lines) -> None:
    """A stack in the log shows code, not the texts that were being worked on."""
    question = "what is my " + "diagnosis"
    try:
        int(question[:4])
    except ValueError:
        structlog.get_logger().exception("request failed unexpectedly")
    (line,) = log()
    assert question not in line["exception"]
    assert "ValueError: invalid literal" in line["exception"]


async def test_correlation_id_follows_the_task(log: Lines) -> None:
    """Two requests that run side by side each have their own id on their lines."""

    async def request(request_id: str) -> None:
        with structlog.contextvars.bound_contextvars(correlation_id=request_id):
            await asyncio.sleep(0)
            structlog.get_logger().info("here")

    await asyncio.gather(request("a"), request("b"))
    assert sorted(line["correlation_id"] for line in log()) == ["a", "b"]


def test_correlation_scope_of_the_core_counts(log: Lines) -> None:
    """Inside the core's correlation scope a line carries its id, even without a request."""
    with correlation_scope("job_7"):
        structlog.get_logger().info("here")
        logging.getLogger("x").info("there")
    assert [line["correlation_id"] for line in log()] == ["job_7", "job_7"]


def test_secrets_do_not_reach_a_line(log: Lines) -> None:
    """Secrets are blanked out in messages, fields, nested values and stacks."""
    logger = structlog.get_logger()
    logger.info("key is hunter2hunter2", nested={"authorization": "abc", "list": ["Bearer abcdefghijk"]})
    logger.info("typed", value=SecretStr("s3cr3t-s3cr3t"))
    logging.getLogger("x").info("GET https://user:pa55word@example.com/?api_key=abcdef")
    try:
        int("hunter2hunter2")
    except ValueError:
        logger.exception("failed")
    text = str(log())
    for secret in ("hunter2hunter2", "abcdefghijk", "pa55word", "api_key=abcdef", "s3cr3t"):
        assert secret not in text
    assert log()[0]["nested"] == {"authorization": "[redacted]", "list": ["Bearer [redacted]"]}


@pytest.mark.usefixtures("restored_logging")
def test_level_is_a_floor() -> None:
    """Lines below the configured level are not written."""
    stream = io.StringIO()
    configure_logging("WARNING", stream=stream, json=True)
    structlog.get_logger().info("quiet")
    logging.getLogger("x").info("quiet")
    structlog.get_logger().warning("loud")
    assert stream.getvalue().count("\n") == 1


@pytest.mark.usefixtures("restored_logging")
def test_a_line_cannot_be_forged_on_a_terminal() -> None:
    """On a terminal a text with line ends and escape sequences stays on its line and moves no cursor."""
    stream = io.StringIO()
    configure_logging("INFO", stream=stream, json=False)
    structlog.get_logger().info("got\nlevel=error fake \x1b[2J", field="a\r\nb")
    assert stream.getvalue().count("\n") == 1
    assert "\x1b[2J" not in stream.getvalue()
    assert "\\n" in stream.getvalue()


@pytest.mark.usefixtures("restored_logging")
def test_stream_that_is_no_terminal_gets_json() -> None:
    """Without being told, a stream that is not a terminal gets one JSON object a line."""
    stream = io.StringIO()
    configure_logging(stream=stream)
    structlog.get_logger().info("hello")
    assert stream.getvalue().startswith('{"timestamp":')


@pytest.mark.usefixtures("restored_logging")
def test_exception_on_a_terminal_is_readable() -> None:
    """On a terminal a stack keeps its line ends."""
    stream = io.StringIO()
    configure_logging(stream=stream, json=False)
    try:
        int("boom")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "\nValueError: invalid literal" in stream.getvalue()
