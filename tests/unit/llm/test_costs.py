"""Costs by model and by cause."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.events import correlation_scope
from holdfast.errors import ConfigError
from holdfast.llm.costs import OTHER, CallCost, Cause, CostBook, CostSnapshot, cost_table, priced_event
from holdfast.llm.messages import Usage
from holdfast.telemetry.model_metrics import CAUSES

PAGE = (Path(__file__).parents[3] / "docs/reference/prices.md").read_text()


def call(
    model: str = "gpt-4o",
    cause: Cause = Cause.FIRST,
    usd: float = 0.01,
    *,
    provider: str = "openai",
    known: bool = True,
) -> CallCost:
    usage = Usage(prompt_tokens=100, completion_tokens=20, cached_tokens=10)
    return CallCost(provider=provider, model=model, cause=cause, usage=usage, usd=usd, known=known)


calls = st.builds(
    CallCost,
    provider=st.sampled_from(["openai", "anthropic"]),
    model=st.sampled_from(["a", "b", "c"]),
    cause=st.sampled_from(Cause),
    usage=st.builds(Usage, prompt_tokens=st.integers(0, 10**7), completion_tokens=st.integers(0, 10**5)),
    usd=st.floats(0, 1000),
    known=st.booleans(),
)


def booked(costs: list[CallCost], **options: int) -> CostSnapshot:
    book = CostBook(**options)
    for one in costs:
        book.add(one)
    return book.snapshot()


def test_book_adds_up_by_model_and_cause() -> None:
    """Calls of one model and cause are one line with calls, tokens and dollars."""
    snapshot = booked([call(), call(usd=0.02), call(cause=Cause.RETRY), call("gpt-4o-mini", usd=0, known=False)])
    assert [(line.model, line.cause, line.calls, line.usd) for line in snapshot.lines] == [
        ("gpt-4o", Cause.FIRST, 2, 0.03),
        ("gpt-4o", Cause.RETRY, 1, 0.01),
        ("gpt-4o-mini", Cause.FIRST, 1, 0),
    ]
    total = snapshot.total
    assert (total.calls, total.unpriced, total.usd) == (4, 1, 0.04)
    assert total.usage == Usage(prompt_tokens=400, completion_tokens=80, cached_tokens=40)


@given(st.lists(calls, max_size=30))
def test_parts_add_up_to_the_total(costs: list[CallCost]) -> None:
    """By cause and by model, calls, tokens and money add up to the total exactly, and to the sum of the calls."""
    snapshot = booked(costs)
    total = snapshot.total
    for parts in (snapshot.by_cause().values(), snapshot.by_model().values()):
        assert sum(part.pico_usd for part in parts) == total.pico_usd
        assert sum(part.calls for part in parts) == total.calls == len(costs)
        assert sum(part.unpriced for part in parts) == total.unpriced
        assert sum(part.usage.total_tokens for part in parts) == total.usage.total_tokens
    assert total.usd == pytest.approx(sum(one.usd for one in costs), abs=1e-9)


@given(st.lists(calls, max_size=30))
def test_table_adds_up_to_its_last_line(costs: list[CallCost]) -> None:
    """The dollars printed by cause add up to the printed total, to the last digit, and each is rounded fairly."""
    snapshot = booked(costs)
    printed = re.findall(r"^(\w+) .* ([\d,]+\.\d{6})$", cost_table(snapshot), re.MULTILINE)
    micro = {name: int(usd.replace(",", "").replace(".", "")) for name, usd in printed}
    assert micro.pop("total") == sum(micro.values()) == round(snapshot.total.pico_usd / 10**6)
    for name, shown in micro.items():
        assert abs(shown - snapshot.by_cause()[Cause(name)].pico_usd / 10**6) <= 1


def test_table_is_readable() -> None:
    """Causes that occurred have a line each, numbers are right-aligned."""
    table = cost_table(booked([call(usd=1234.5), call(cause=Cause.WASTED, usd=0.25)]))
    assert table.splitlines() == [
        "cause   calls  tokens           USD",
        "first       1     120  1,234.500000",
        "wasted      1     120      0.250000",
        "total       2     240  1,234.750000",
    ]


def test_every_cause_is_in_the_summary() -> None:
    """Causes that did not occur are there with 0."""
    by_cause = CostBook().snapshot().by_cause()
    assert list(by_cause) == list(Cause)
    assert {line.usd for line in by_cause.values()} == {0}


def test_further_models_are_counted_together() -> None:
    """Beyond the bound calls are counted under one name, and none is lost; known models keep theirs."""
    costs = [call(f"m{index}") for index in range(10)] + [call("m0")]
    snapshot = booked(costs, max_models=3)
    by_model = snapshot.by_model()
    assert list(by_model) == ["openai/m0", "openai/m1", "openai/m2", f"{OTHER}/{OTHER}"]
    assert (by_model["openai/m0"].calls, by_model[f"{OTHER}/{OTHER}"].calls, snapshot.total.calls) == (2, 7, 11)


@pytest.mark.parametrize("value", [0, 1.5, True])
def test_book_refuses_a_bound_that_is_none(value: object) -> None:
    """``max_models`` is a whole number of 1 or more."""
    with pytest.raises(ConfigError, match="max_models"):
        CostBook(max_models=value)  # type: ignore[arg-type]


def test_reset_gives_what_was() -> None:
    """A reset returns the totals until then and begins with none."""
    book = CostBook()
    book.add(call())
    assert book.reset().total.calls == 1
    assert book.snapshot() == CostSnapshot()


def test_no_call_is_lost_between_threads() -> None:
    """Four threads add while another resets, and every call is in exactly one of the snapshots."""
    book, seen = CostBook(), []

    def add() -> None:
        for _ in range(500):
            book.add(call())

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen.append(book.reset().total.calls)
    for thread in threads:
        thread.join()
    assert sum(seen) + book.snapshot().total.calls == 2000


def test_estimated_tokens_stay_estimated() -> None:
    """One call whose tokens were counted by us makes the sum an estimate."""
    usage = Usage(prompt_tokens=5, estimated=True)
    estimated = CallCost(provider="p", model="m", cause=Cause.WASTED, usage=usage, usd=0.0, known=True)
    assert booked([estimated, call()]).total.usage.estimated
    assert not booked([call()]).total.usage.estimated


def test_event_tells_of_a_call() -> None:
    """The event has the call's figures, its dependency, and the id of the running request."""
    with correlation_scope("req_1"):
        event = priced_event(call(cause=Cause.HEDGE), time_ns=7, call_id="c1", pipeline="model:answers", attempt=2)
    assert (event.correlation_id, event.dependency, event.attempt) == ("req_1", "model:openai/gpt-4o", 2)
    assert (event.cause, event.prompt_tokens, event.cached_tokens, event.usd) == ("hedge", 100, 10, 0.01)
    assert type(event.cause) is str


def test_causes_are_those_of_the_metrics_and_the_page() -> None:
    """The labels written down in telemetry, which may not import them, and the page's table are the causes."""
    assert list(CAUSES) == [cause.value for cause in Cause]
    assert re.findall(
        r"^\| `(\w+)` \| (?:The|A|Another|Whatever)\b", PAGE.split("## What it was for")[1], re.MULTILINE
    ) == list(Cause)
