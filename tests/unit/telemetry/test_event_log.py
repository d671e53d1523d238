"""The life of a question as log lines, with the field names that operators search for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.core import events as core
from holdfast.core.events import Event, Events
from holdfast.telemetry import conversation_events, model_events
from holdfast.telemetry import events as service
from holdfast.telemetry.event_log import EventLog, line_of

Lines = Callable[[], list[dict[str, Any]]]

BASE: dict[str, Any] = {
    "time_ns": 1,
    "correlation_id": "req_1",
    "call_id": "c1",
    "pipeline": "store:sqlite",
    "policy": "retry",
    "dependency": "store:sqlite",
    "attempt": 1,
}


def logged(log: Lines, *emitted: Event) -> list[dict[str, Any]]:
    events = Events()
    stop = EventLog().listen(events)
    for event in emitted:
        events.emit(event)
    stop()
    return log()


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (service.QuestionReceived(time_ns=1, collection="default", characters=24), {"characters": 24}),
        (
            service.QuestionEmbedded(time_ns=1, embedding_model="minilm", latency_ms=3.14159),
            {"embedding_model": "minilm", "latency_ms": 3.142},
        ),
        (service.Searched(time_ns=1, results_count=5, latency_ms=4.0), {"results_count": 5, "latency_ms": 4.0}),
        (
            service.AnswerGenerated(time_ns=1, model="extractive", tokens=0, latency_ms=1.0),
            {"model": "extractive", "tokens": 0},
        ),
        (
            service.AnswerReturned(
                time_ns=1,
                status="ok",
                source="extract",
                tier="full",
                degraded=False,
                reasons=(),
                cost_usd=0.0,
                seconds=0.0123,
            ),
            {"status": "ok", "latency_ms": 12.3},
        ),
        (
            core.RetryScheduled(
                **BASE,
                retry=1,
                max_retries=2,
                delay_ns=50_000_000,
                kind="connect",
                error_type="ConnectionError",
            ),
            {"retry_attempt": 1, "backoff_ms": 50.0, "error": "ConnectionError", "dependency": "store:sqlite"},
        ),
        (core.RetrySucceeded(**BASE, attempts=2, waited_ns=50_000_000), {"final_status": "success", "attempts": 2}),
        (
            core.RetriesExhausted(**BASE, attempts=3, reason="attempts_used", kind="timeout"),
            {"final_status": "failed", "attempts": 3, "level": "error"},
        ),
        (
            core.BreakerTransition(**BASE, from_state="closed", to_state="open", reason="failures", generation=1),
            {"message": "circuit breaker open", "from_state": "closed", "to_state": "open", "level": "warning"},
        ),
        (
            core.FallbackUsed(**BASE, alternative="cheaper", index=0, kind="overloaded"),
            {"message": "fallback used", "alternative": "cheaper"},
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else "",
)
def test_event_becomes_a_line(log: Lines, event: Event, expected: dict[str, Any]) -> None:
    """Each event is one line with the documented fields."""
    (line,) = logged(log, event)
    assert expected.items() <= line.items()


def test_lines_of_a_question_carry_its_id(log: Lines) -> None:
    """The event's correlation id is the line's, whatever request happens to run."""
    (line,) = logged(log, service.CacheLookup(time_ns=1, correlation_id="req_9", hit=True))
    assert (line["correlation_id"], line["message"]) == ("req_9", "cache hit")


def test_failed_answer_is_an_error(log: Lines) -> None:
    """An answer that says that there is none is logged as an error with its reasons."""
    event = service.AnswerReturned(
        time_ns=1,
        status="failed",
        source="static",
        tier="offline",
        degraded=True,
        reasons=("vector_store_unavailable",),
        cost_usd=0.0,
        seconds=2.0,
    )
    (line,) = logged(log, event)
    assert (line["level"], line["reasons"]) == ("error", ["vector_store_unavailable"])


def instance_of(kind: Any) -> Event:
    values: dict[str, Any] = {"str": "x", "int": 1, "float": 1.0, "bool": True, "tuple[str, ...]": ("x",)}
    event: Event = kind(**{one.name: values.get(str(one.type)) for one in dataclasses.fields(kind)})
    return event


@pytest.mark.parametrize("name", [name for name in service.__all__ if name != "ServiceEvent"])
def test_every_service_event_has_a_line(name: str) -> None:
    """No event of the service is left without a line."""
    level, message, _ = line_of(instance_of(getattr(service, name)))
    assert level in {"debug", "info", "warning", "error"}
    assert message


@pytest.mark.parametrize("name", model_events.__all__)
def test_every_event_of_the_models_has_a_line(name: str) -> None:
    """No event of the way to a model's answer is left without a line, and the line has the event's own fields."""
    event = instance_of(getattr(model_events, name))
    _, message, fields = line_of(event)
    assert message
    assert set(fields) == {one.name for one in dataclasses.fields(event)} - set(BASE)


@pytest.mark.parametrize("name", conversation_events.__all__)
def test_every_event_of_the_memory_has_a_line(name: str) -> None:
    """No event of the memory of conversations is left without a line with the event's own fields; times in ms."""
    event = instance_of(getattr(conversation_events, name))
    _, message, fields = line_of(event)
    assert message
    own = {one.name for one in dataclasses.fields(event)} - set(BASE)
    assert set(fields) == {f"{one[:-3]}_ms" if one.endswith("_ns") else one for one in own}


@pytest.mark.parametrize("name", [name for name in core.__all__ if isinstance(getattr(core, name), type)])
def test_every_policy_event_is_decided_on(name: str) -> None:
    """Each event of the policies has a line, or is one of those that are only counted."""
    kind = getattr(core, name)
    if not issubclass(kind, Event) or kind is Event or kind in {core.CallSucceeded, core.CallFailed}:
        return
    assert line_of(instance_of(kind))[1]


def test_service_event_takes_the_running_request() -> None:
    """An event made inside a correlation scope carries its id without being told."""
    with core.correlation_scope("job_3"):
        event = service.DocumentSkipped(time_ns=1, uri="a.md", reason="empty")
    assert (event.correlation_id, event.policy) == ("job_3", "service")
