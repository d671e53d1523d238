"""The page: its structure, its figures, and that whatever is put into it stays text."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from math import inf, nan
from typing import TYPE_CHECKING

import pytest
from tests.unit.lab.report.making import bucket, outcome, suite

from holdfast.lab.report.elements import element, markup, point
from holdfast.lab.report.html import page
from holdfast.lab.scenarios.loader import shipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.lab.runs.outcome import Outcome

VOID = {"meta", "br"}
LOADING = {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use", "foreignObject"}


class Page(HTMLParser):
    """A page as a browser reads it: its elements, its ids and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.open: list[str] = []
        self.caption = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.tables[self.caption].append([])
        elif tag in {"th", "td"}:
            self.tables[self.caption][-1].append("")
        elif tag == "br" and self.tables:
            self.tables[self.caption][-1][-1] += " "

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if "caption" in self.open:
            self.caption = data
            self.tables[data] = []
        elif {"th", "td"} & set(self.open):
            self.tables[self.caption][-1][-1] += data

    def values(self, name: str) -> list[str]:
        """The values of an attribute, wherever it stands."""
        return [value for _, each, value in self.attributes if each == name]

    def table(self, caption: str) -> dict[str, list[str]]:
        """Rows of a table, by their first cell; the head is one of them."""
        rows = next(rows for name, rows in self.tables.items() if name.startswith(caption))
        return {row[0]: row[1:] for row in rows}


def checked(outcomes: Sequence[Outcome], scenarios: Sequence[str] = ()) -> Page:
    """The page, after everything that holds for each page has been looked at."""
    text = page(outcomes, [shipped(name) for name in scenarios])
    found = Page(text)
    assert found.open == []
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert not LOADING & set(found.tags)
    assert not {name for _, name, _ in found.attributes if name.startswith("on") or name in {"src", "xlink:href"}}
    assert all(value.startswith("#") for value in found.values("href"))
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    assert {value.removeprefix("#") for value in found.values("href")} <= set(ids)
    assert {each for value in found.values("aria-labelledby") for each in value.split()} <= set(ids)
    for attribute in ("d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height", "viewbox"):
        for value in found.values(attribute):
            assert not re.search(r"nan|inf|none|e[+-]?\d", value, re.IGNORECASE), (attribute, value)
    assert found.tags.count("svg") == sum(
        1
        for tag, name, value in found.attributes
        if tag == "svg" and (name, value) in {("role", "img"), ("aria-hidden", "true")}
    )
    return found


def test_nothing() -> None:
    """A page of nothing says so."""
    assert "There are no runs to report." in checked([]).texts


def test_error_rates_against_the_rates_of_faults() -> None:
    """Error rates stand in a table and in a plot, with their intervals, for every configuration and rate."""
    found = checked(suite(), ["suite"])
    rates = found.table("User-facing errors by share")
    assert rates["configuration"] == ["0%", "2%", "5%", "20%"]
    assert rates["holdfast"] == [
        "0% 0% to 0.13%",
        "0.10% 0.034% to 0.29%",
        "0.30% 0.16% to 0.57%",
        "1.20% 0.87% to 1.66%",
    ]
    assert rates["nothing"][2] == "15.1% 14.9% to 15.3%"
    assert found.table("Errors saved")["without-retry"][3].startswith("49.9%")
    assert found.table("Useful answers that were degraded")["holdfast"] == ["0%"] * 4
    lines = [value for tag, name, value in found.attributes if tag == "path" and name == "class" and value == "line"]
    assert len(lines) == 2 * 5  # four configurations and the clairvoyant, each in the plot and in its legend
    assert "holdfast: 1.20% at 20.0% (95%: 0.87% to 1.66%)" in found.texts


def test_sections() -> None:
    """A suite with everything has every section, and a list of them."""
    found = checked([*suite(), outcome(scenario="store-down", mttr=(35.0, 41.0), recovery=(31.0, 9.0))], ["suite"])
    assert found.values("href") == [
        "#targets",
        "#score",
        "#components",
        "#scenario-1",
        "#scenario-2",
        "#recovery",
        "#thresholds",
        "#notes",
        "#runs",
    ]


def test_targets() -> None:
    """Targets say what was measured, and whether it was enough; what leaves a component out has none."""
    rows = checked(suite()).table("What was to be reached")
    assert rows["target"] == ["holdfast"]
    assert rows["user-facing errors below 0.1% at 2%"] == ["0.10% missed 0.034% to 0.29%"]
    assert rows["errors cut by 80% or more at 5%"] == ["98.0% met"]


def test_score_and_components() -> None:
    """The score and the worth of each component stand in the page, with the weakest by name."""
    found = checked(suite())
    assert found.table("Score of each configuration")["without-retry"][:2] == ["0.637", "0.600, suite at 20%"]
    assert found.table("Leave one out")["probes"][0] == "harms"
    assert any("Weakest component: probes." in text and "better without: probes." in text for text in found.texts)
    assert any("Most needed: retry (+9.82 points)" in text for text in found.texts)


def test_recovery_and_thresholds() -> None:
    """Repair, recovery and recommended thresholds stand in their tables."""
    slow = outcome(rate=0.02, mttr=(35.0, 41.0), recovery=(31.0, 9.0), unrecovered=1, full_again=(12.0,))
    found = checked([slow])
    assert found.table("Mean over all outages")["suite at 2%"] == [
        "holdfast",
        "2",
        "38.00 s 0 s to 76.12 s",
        "41.00 s",
        "20.00 s 0 s to 160 s",
        "31.00 s",
        "12.00 s",
        "1",
    ]
    assert ("span", "class", "bad") in found.attributes
    assert found.table("From closed forms")["retry budget"][1] == "0.08 retries a request"


def test_all_measures_side_by_side() -> None:
    """Configurations stand beside each other, measure by measure; what was not measured is a dash or left out."""
    runs = [
        outcome(
            "holdfast",
            errors=1,
            cost_usd=2.0,
            cost_by_cause={"first": 1.5, "retry": 0.5},
            cost_by_model={"openai/gpt-4o-mini": 2.0},
            mttr=(10.0,),
            error_causes={"static": 1},
        ),
        outcome("nothing", errors=50, error_causes={"failed": 40, "late": 10}, seconds_in_tier={}),
    ]
    rows = checked(runs).table("suite: all measures, 1 seed")
    assert rows["measure"] == ["holdfast", "nothing"]
    assert rows["user-facing errors"] == ["0.10% 0.018% to 0.56%", "5.00% 3.81% to 6.53%"]
    assert rows["cost of 1,000 questions"] == ["$2.00", "$0"]
    assert rows["MTTR"] == ["10.00 s", "–"]
    assert rows["errors saved, of those of “nothing”"] == ["98.0%", "–"]
    assert rows["cost of 1,000 questions: retry"] == ["$0.5000", "–"]
    assert rows["cost of 1,000 questions: openai/gpt-4o-mini"] == ["$2.00", "–"]
    assert rows["errors: failed"] == ["0%", "4.00%"]
    assert rows["time in tier full"] == ["100%", "–"]
    assert "first text, p95" not in rows


def test_scenarios_of_one_family_stand_in_one_table() -> None:
    """What is played apart is reported together: a row for each, and all of it folded away under the table."""
    runs = [
        outcome(name, scenario=f"matrix/{fault}", errors=errors, mttr=(2.0,))
        for fault, errors in (("store down", 0), ("cache slow", 20))
        for name in ("holdfast", "nothing")
    ]
    found = checked(runs)
    rows = found.table("User-facing errors, with 95% intervals")
    assert rows["matrix"] == ["holdfast", "nothing"]
    assert rows["cache slow"][0].startswith("2.00%")
    assert found.texts.count("store down") == 2 + 1  # a row of each table, and what is folded away
    assert "Lab report: matrix" in found.texts
    assert found.table("matrix: Mean over all outages")["matrix/cache slow"][:2] == ["nothing", "1"]
    assert "Mean over all outages of all seeds, with 95% intervals" not in found.tables
    assert "matrix/store down: all measures, 1 seed; intervals are 95%" in found.tables


def test_timeline() -> None:
    """A timeline shows tiers, open breakers, errors and faults, and tells them to those who do not see it."""
    course = [
        bucket(0.0),
        bucket(5.0, errors=50, tier="offline", open_breakers=["store:sqlite"]),
        bucket(10.0, degraded=80, tier="minimal", open_breakers=["store:sqlite", "model:a-provider/with-a-long-name"]),
        bucket(15.0, tier="full"),
    ]
    run = replace(outcome(scenario="store-down", timeline=course), seconds=180.0)
    found = checked([run], ["store-down"])
    classes = [value for tag, name, value in found.attributes if tag == "rect" and name == "class"]
    assert classes.count("tier full") == 2
    assert classes.count("tier offline") == classes.count("tier minimal") == 1
    assert classes.count("open") == 2
    assert "offline: 5 s to 10 s" in found.texts
    assert "store:sqlite: 5 s to 15 s" in found.texts
    assert (
        "400 questions, 350 useful answers, 12.5% errors. Tiers: full, offline, minimal. "
        "Breakers that were open: store:sqlite, model:a-provider/with-a-long-name."
    ) in found.texts


def test_faults_are_shaded() -> None:
    """Where the scenario is known, its faults stand behind the plot, cut off at the end of the course."""
    run = replace(outcome(scenario="store-down", timeline=[bucket(5.0 * each) for each in range(36)]), seconds=180.0)
    found = checked([run], ["store-down"])
    assert ("rect", "class", "fault") in found.attributes
    assert "something fails: 60 s to 90 s" in found.texts


def test_timelines_of_one_scenario_have_the_same_axis() -> None:
    """Courses that are compared are drawn on the same scale."""
    calm = outcome("calm", timeline=[bucket(0.0, offered=10), bucket(5.0, offered=10)])
    busy = outcome("busy", timeline=[bucket(0.0, offered=10), bucket(5.0, offered=400)])
    found = checked([calm, busy])
    assert found.texts.count("80/s") == 2


def test_a_day() -> None:
    """A day of five-second buckets is drawn in a few hundred columns, and loses no error."""
    course = [bucket(5.0 * place, errors=int(place == 3_000)) for place in range(17_280)]
    found = checked([outcome(timeline=course)])
    path = next(
        value for tag, name, value in found.attributes if tag == "path" and name == "d" and value.count("H") > 100
    )
    assert path.count("H") <= 361
    assert ("path", "class", "errors") in found.attributes


HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>&amp;\x00\ud800 [red]bold[/red]'


def test_whatever_is_put_in_is_text() -> None:
    """Names of scenarios, configurations, breakers, tiers, causes and traces cannot become markup."""
    course = [bucket(0.0, errors=1, tier=HOSTILE, open_breakers=[HOSTILE]), bucket(5.0)]
    runs = [
        replace(
            outcome(
                name,
                scenario=HOSTILE,
                rate=rate,
                timeline=course,
                errors=3,
                error_causes={HOSTILE: 3},
                seconds_in_tier={HOSTILE: 5.0},
                calls={HOSTILE: 100},
                mttr=(5.0,),
                recovery=(1.0,),
            ),
            trace=HOSTILE,
        )
        for name in (HOSTILE, "nothing", "holdfast", f"without-{HOSTILE}")
        for rate in (0.02, 0.2)
    ]
    found = checked(runs)
    assert "\x00" not in "".join(found.texts)
    shown = HOSTILE.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    assert shown in found.texts
    page(runs).encode()


@pytest.mark.parametrize("value", [nan, inf, -inf, -1.0, 1e308])
def test_figures_that_are_none(value: float) -> None:
    """Figures that no run could have leave a page that a browser can draw."""
    broken = bucket(0.0)
    runs = [
        replace(
            outcome(rate=0.02, quality=value, p95=value, p99=value, availability=value, cost_usd=value, mttr=(value,)),
            seconds=value if value > 0 else 60.0,
            timeline=(replace(broken, p95=value), replace(broken, at=value), replace(broken, offered=0)),
        ),
        outcome("nothing", rate=0.02, quality=value, timeline=[replace(broken, at=5.0)]),
    ]
    checked(runs)


def test_one_bucket_and_no_questions() -> None:
    """A run of one bucket in which nobody asked is drawn like any other."""
    empty = outcome(asked=0, timeline=[bucket(0.0, offered=0)])
    found = checked([empty])
    assert "0 questions, 0 useful answers, 0% errors. Tiers: full. Breakers that were open: none." in found.texts


def test_many_configurations() -> None:
    """More configurations than colours are told apart by their dashes."""
    runs = [outcome(f"c{place}", rate=rate, errors=place) for place in range(12) for rate in (0.0, 0.1)]
    found = checked(runs)
    dashes = [value for tag, name, value in found.attributes if name == "stroke-dasharray"]
    assert len(dashes) == 8


def test_many_breakers() -> None:
    """Of very many open breakers the first ten have a lane, and the others are counted."""
    course = [bucket(0.0, open_breakers=[f"model:{place}" for place in range(14)])]
    assert "and 4 more" in checked([outcome(timeline=course)]).texts


def test_seeds_in_any_order() -> None:
    """The page does not depend on the order in which runs came back from their processes."""
    runs = suite()
    mixed = sorted(runs, key=lambda run: -run.seed)
    assert page(mixed) == page(runs)


def test_no_coordinate_that_a_browser_would_drop() -> None:
    """What is no finite number is refused where it would be drawn."""
    with pytest.raises(ValueError, match="nan is no coordinate"):
        point(nan)
    assert point(1e-9) == "0"
    assert point(12.3456) == "12.35"


def test_elements() -> None:
    """Text around elements stays in its place, and attributes are quoted."""
    made = element("p", "a < b ", element("b", "bold"), " and ", "more", title='"x" & y', data_none=None)
    assert markup(made) == '<p title="&quot;x&quot; &amp; y">a &lt; b <b>bold</b> and more</p>'
