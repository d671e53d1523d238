"""The reference pages name everything there is: what is added to the code and not to them fails here."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from holdfast.core.clock import SYSTEM_CLOCK
from holdfast.core.events import Event
from holdfast.rag.app import build_engine
from holdfast.rag.settings import load_settings
from holdfast.server.app import create_app
from holdfast.server.request_bodies import QueryRequest
from holdfast.server.wire import AnswerBody, CitationBody
from holdfast.telemetry.metrics import Metrics  # imports the service's events, too

DOCS = Path(__file__).parents[3] / "docs"
METRICS = list(Metrics(clock=SYSTEM_CLOCK).registry.collect())
BASES = {"Event", "ServiceEvent"}
SUFFIX = {"counter": "_total", "info": "_info"}


def events() -> list[type[Event]]:
    """Every event, by name; a slotted dataclass leaves its unslotted double among the subclasses, hence the dict."""
    found: dict[str, type[Event]] = {}
    waiting = [Event]
    while waiting:
        one = waiting.pop()
        waiting += one.__subclasses__()
        if one.__module__.startswith("holdfast.") and one.__name__ not in BASES:
            found[one.__name__] = one
    return sorted(found.values(), key=lambda each: each.__name__)


def section(page: str, heading: str) -> str:
    match = re.search(rf"^### `{heading}`\n(.*?)(?=^#|\Z)", page, re.DOTALL | re.MULTILINE)
    assert match, f"docs/reference/events.md has no section ### `{heading}`"
    return match[1]


@pytest.mark.parametrize("event", events(), ids=lambda event: event.__name__)
def test_every_event_and_field_is_documented(event: type[Event]) -> None:
    """Each event has a section, and each of its own fields is named in it."""
    text = section((DOCS / "reference/events.md").read_text(), event.__name__)
    own = {field.name for field in dataclasses.fields(event)} - {field.name for field in dataclasses.fields(Event)}
    missing = {name for name in own if f"`{name}`" not in text}
    assert not missing


def test_no_event_is_documented_that_is_not_there() -> None:
    """Every section of the events page is an event."""
    named = re.findall(r"^### `(\w+)`$", (DOCS / "reference/events.md").read_text(), re.MULTILINE)
    assert set(named) == {event.__name__ for event in events()}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: str(metric.name))
def test_every_metric_and_label_is_documented(metric: object) -> None:
    """Each metric stands in the reference with its type and its labels."""
    name, kind = str(getattr(metric, "name")), str(getattr(metric, "type"))  # noqa: B009 - prometheus_client is untyped
    if name.startswith("process_"):
        return
    page = (DOCS / "reference/metrics.md").read_text()
    row = re.search(rf"^\| `{name}{SUFFIX.get(kind, '')}` \| (\w+) \| (.*?) \|", page, re.MULTILINE)
    assert row, f"docs/reference/metrics.md has no row for {name}{SUFFIX.get(kind, '')}"
    assert row[1] == ("gauge" if kind == "info" else kind)
    labels = {label for sample in metric.samples for label in sample.labels} - {"le"}  # type: ignore[attr-defined]
    assert labels <= set(re.findall(r"`(\w+)`", row[2]))


def test_no_metric_is_documented_that_is_not_there() -> None:
    """Every metric in the reference exists."""
    named = set(
        re.findall(r"^\| `((?:rag|holdfast)_\w+)` \|", (DOCS / "reference/metrics.md").read_text(), re.MULTILINE)
    )
    assert named == {f"{m.name}{SUFFIX.get(str(m.type), '')}" for m in METRICS if not m.name.startswith("process_")}


def test_every_route_is_documented() -> None:
    """Each route of the service stands in the reference with its method, and none that is not there."""
    engine = build_engine(load_settings(environ={}))
    paths = create_app(engine, engine.settings).openapi()["paths"]
    served = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    page = (DOCS / "reference/http.md").read_text()
    named = set(re.findall(r"`((?:GET|POST|DELETE) /[^` ]*)`", page)) - {"GET /docs", "GET /openapi.json", "GET /"}
    assert named == served - {"GET /"}


def test_every_field_of_an_answer_is_documented() -> None:
    """Each field of a question and of an answer is named in the reference."""
    page = (DOCS / "reference/http.md").read_text()
    fields = {*AnswerBody.model_fields, *CitationBody.model_fields, *QueryRequest.model_fields}
    assert {name for name in fields if f"`{name}`" not in page} == set()


def test_links_between_pages_lead_somewhere() -> None:
    """Every relative link in the documentation and in the pages at the root points to a file that is there."""
    root = DOCS.parent
    broken = [
        f"{page.relative_to(root)}: {target}"
        for page in [*DOCS.rglob("*.md"), *root.glob("*.md"), *(root / "requirements").glob("*.md")]
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken
