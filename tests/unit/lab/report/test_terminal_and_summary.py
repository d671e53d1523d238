"""The report in a terminal, and as data."""

from __future__ import annotations

import io
import json
import sys
from math import nan
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from tests.unit.lab.report.making import outcome, suite

from holdfast.errors import MissingExtraError
from holdfast.lab.report.summary import summary
from holdfast.lab.report.terminal import print_report
from holdfast.lab.report.traces import trace_of
from holdfast.lab.scenarios.loader import shipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.lab.runs.outcome import Outcome


def printed(outcomes: Sequence[Outcome], *, width: int = 160) -> str:
    """What is printed, spaces and lines together."""
    console = Console(file=io.StringIO(), width=width)
    print_report(outcomes, console)
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def test_a_suite() -> None:
    """Error rates, what is saved, the score, components and thresholds are printed."""
    text = printed(suite())
    for expected in (
        "suite: user-facing errors by share of failing calls configuration 0% 2% 5% 20%",
        "holdfast 0% [0%, 0.13%] 0.10% [0.034%, 0.29%]",
        "suite: errors saved, of those of “nothing”",
        "user-facing errors below 0.1% at 2% 0.10% [0.034%, 0.29%] MISSED",
        "without-retry 0.637 0.600, suite at 20%",
        "probes harms",
        "Better without: probes.",
        "failure_threshold store:sqlite 5 failures in a row",
    ):
        assert expected in text


def test_one_scenario() -> None:
    """Of a scenario without rates every measure is printed, and its outages."""
    text = printed([outcome(scenario="store-down", mttr=(35.0,), recovery=(5.0,))])
    assert "store-down measure holdfast" not in text.split("questions")[1]
    assert "user-facing errors 0% [0%, 0.38%]" in text
    assert "store-down holdfast 1 35.00 s 5.00 s 5.00 s" in text


def test_many_configurations() -> None:
    """With many configurations the main measures go across, and configurations down."""
    text = printed([outcome(f"c{place}") for place in range(9)], width=220)
    assert "measure user-facing errors useful but degraded availability" in text
    assert "breaker openings" not in text


def test_many_scenarios() -> None:
    """Of more than two scenarios the main measures are printed, and all outages in one table."""
    runs = [outcome(scenario=name, recovery=(4.0,)) for name in ("store-down", "killed", "total-outage")]
    text = printed(runs, width=220)
    assert text.count("configuration user-facing errors useful but degraded") == 0
    assert text.count("measure user-facing errors useful but degraded availability") == 3
    assert "breaker openings" not in text
    assert "total-outage holdfast 1" in text


def test_scenarios_of_one_family() -> None:
    """What is played apart is a row of one table, with configurations across, and not in the table of outages."""
    names = ("holdfast", "nothing")
    runs = [outcome(name, scenario=f"matrix/{each}", mttr=(2.0,)) for each in ("store down", "hang") for name in names]
    text = printed(runs)
    assert "matrix: user-facing errors matrix holdfast nothing" in text
    assert "store down 0% [0%, 0.38%] 0% [0%, 0.38%]" in text
    assert "matrix: longest recovery" in text


def test_nothing() -> None:
    """Of no runs it says that there are none."""
    assert printed([]) == "There are no runs to report."


def test_names_are_text() -> None:
    """What looks like rich's markup is printed as it is."""
    assert "[bold]name[/bold]" in printed([outcome("[bold]name[/bold]", scenario="[red]")])


def test_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rich is not installed, the error names the extra."""
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(MissingExtraError, match=r"holdfast\[cli\]"):
        print_report(suite(), Console(file=io.StringIO()))


def test_summary_of_a_suite() -> None:
    """The data say what the page says."""
    data = json.loads(json.dumps(summary(suite(), [shipped("suite")]), allow_nan=False))
    assert data["scenarios"] == ["suite"]
    assert data["seeds"] == [7, 8, 9]
    assert (data["weakest"], data["most_needed"], data["harmful"]) == ("probes", "retry", ["probes"])
    measured = {(each["rate"], each["configuration"]): each for each in data["measures"]}
    assert len(measured) == 4 * 5
    assert measured[0.2, "holdfast"]["error_rate"]["value"] == 0.012
    assert measured[0.2, "holdfast"]["reduction"]["value"] == pytest.approx(0.98, abs=0.001)
    assert measured[0.2, "nothing"]["reduction"] is None
    assert measured[0.2, "clairvoyant"]["quality"]["value"] > 0.999
    assert "p95" not in measured[0.2, "clairvoyant"]
    assert {each["configuration"] for each in data["scores"]} == {"holdfast", "without-retry", "without-probes"}
    assert len(data["traces"]) == 48
    assert data["trace"] == trace_of(reversed(suite())) != trace_of(suite()[1:])
    assert data["thresholds"][0]["unit"] == "failures in a row"


def test_summary_of_nothing() -> None:
    """The data of no runs have every key, and nothing in them."""
    data = summary([])
    assert data["weakest"] is None
    assert not any(data.values())


def test_no_number_that_json_has_not() -> None:
    """What is no number is None in the data."""
    data = summary([outcome(rate=0.02, quality=nan, p99=nan), outcome("nothing", rate=0.02)])
    json.dumps(data, allow_nan=False)
    assert data["measures"][0]["quality"] is None
