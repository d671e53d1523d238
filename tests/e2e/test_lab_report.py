"""The lab's report in a real browser: it needs nothing else, and fits whatever it is shown on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.unit.lab.report.making import bucket, outcome, suite

from holdfast.lab.failures.html import page as page_of_failures
from holdfast.lab.failures.registry import failures
from holdfast.lab.report.html import page

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

WIDTHS = (375, 1250)


def looked_at(browser: Browser, file: Path, *, width: int, plots: int) -> None:
    """The page with everything opened."""
    shown = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    shown.on("console", lambda message: said.append(message.text))
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(file.as_uri())
    shown.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert asked == [file.as_uri()], "nothing else is loaded"
    assert said == [], "nothing breaks the page's own policy"
    assert shown.evaluate("document.documentElement.scrollWidth") <= width, "what is wide scrolls by itself"
    heights = "[...document.querySelectorAll('svg[role=img]')].map(each => each.getBoundingClientRect().height)"
    sizes = shown.evaluate(heights)
    assert len(sizes) == plots
    assert min(sizes) > 100
    links = shown.locator("nav a")
    for place in range(links.count()):
        target = links.nth(place).get_attribute("href")
        assert shown.locator(f"[id='{(target or '')[1:]}']").is_visible()
    shown.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_report(browser: Browser, tmp_path: Path, width: int) -> None:
    """Tables, plots and timelines of a suite and of a family of scenarios are drawn."""
    course = [bucket(0.0), bucket(5.0, errors=40, tier="minimal", open_breakers=["store:sqlite"]), bucket(10.0)]
    names = ("store down", "model:openai garbage empty_content")
    family = [outcome(scenario=f"matrix/{name}", mttr=(5.0,), timeline=course) for name in names]
    (tmp_path / "report.html").write_text(page([*suite(seeds=(7, 8)), *family]), encoding="utf-8")
    looked_at(browser, tmp_path / "report.html", width=width, plots=1 + 4 * 4 + 2)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_failures(browser: Browser, tmp_path: Path, width: int) -> None:
    """Each failure has its plot, and its logs fold out."""
    with ThreadPoolExecutor(1) as thread:  # the browser's loop runs in this one
        played = list(thread.map(lambda name: failures()[name].both(7), ("auth-retry", "breaker-false-positive")))
    (tmp_path / "failures.html").write_text(page_of_failures(played), encoding="utf-8")
    looked_at(browser, tmp_path / "failures.html", width=width, plots=2)
