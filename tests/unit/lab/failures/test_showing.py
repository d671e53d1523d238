"""How a story is shown: the plot, the page, the command."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import ConfigError
from holdfast.lab.failures.__main__ import main
from holdfast.lab.failures.html import page
from holdfast.lab.failures.pages import documents, log_excerpt
from holdfast.lab.failures.plot import plot
from holdfast.lab.failures.registry import Played, failures
from holdfast.lab.failures.story import Figure, LogLine, Series, Story, per_second

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGES = sorted((Path(__file__).parents[4] / "docs/explanation/failures").glob("*.md"))
CODE = [(page.name, code) for page in PAGES for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)]
SVG = "{http://www.w3.org/2000/svg}"


def story(*points: tuple[float, float], log: Sequence[LogLine] = (), fixed: bool = False) -> Story:
    return Story(
        failure="example",
        fixed=fixed,
        seed=1,
        seconds=10.0,
        figures={"calls": Figure("calls", len(points))},
        timeline=(Series(name="a < b", points=points),),
        log=tuple(log),
        logged={line.message: 1 for line in log},
        trace="",
    )


def test_a_plot_has_both_sides_on_one_scale() -> None:
    """The curve of each side is drawn in its half, and the higher one reaches the top of both."""
    svg = ET.fromstring(plot(story((0, 4), (10, 4)), story((0, 2), (5, 0), (10, 0), fixed=True), title="One & two"))
    curves = [path.get("d", "") for path in svg.iter(f"{SVG}path") if path.get("fill") == "none"]
    assert len(curves) == 2
    high = float(curves[0].split(" ")[1].split("H")[0])
    low = float(curves[1].split(" ")[1].split("H")[0])
    assert low - high == pytest.approx(46, abs=0.2)  # half of the height
    assert float(curves[0][1:].split(" ")[0]) < 200 < 400 < float(curves[1][1:].split(" ")[0])
    texts = {each.text for each in svg.iter(f"{SVG}text")}
    assert {"broken", "fixed", "a < b", "seconds"} <= texts


def test_a_plot_of_nothing_is_a_plot() -> None:
    """Where nothing happened at all the curve lies at the bottom."""
    empty = story((0, 0), (10, 0))
    svg = ET.fromstring(plot(empty, empty, title="Nothing"))
    assert svg.get("role") == "img"


def test_points_that_change_nothing_are_left_out() -> None:
    """A curve of ten thousand equal points is one line."""
    long = story(*((at / 1000, 1.0) for at in range(10_000)))
    assert len(plot(long, long, title="Long")) < 6_000


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure("", 400), "400"),
        (Figure("", 13478), "13,478"),
        (Figure("", 7.05, "s"), "7.05 s"),
        (Figure("", 0.05, "s"), "0.050 s"),
        (Figure("", 51.6, "%"), "51.6%"),
    ],
)
def test_figures_are_read_with_their_units(figure: Figure, text: str) -> None:
    """Counts are whole, small times have their thousandths, and a unit stands behind."""
    assert figure.text() == text


def test_a_rate_is_the_mean_of_its_step() -> None:
    """Three events in half a second are six a second, in that step only."""
    assert per_second("", [0.6, 0.7, 0.9], until=2.0, width=0.5).points == ((0, 0), (0.5, 6), (1.0, 0), (1.5, 0))


def test_a_log_line_is_what_the_service_writes() -> None:
    """One JSON object with time, level and message first; an excerpt has each message three times at most."""
    line = LogLine(at=1.5, level="warning", message="retry scheduled", fields={"backoff_ms": 884.664})
    assert list(json.loads(line.text()).items())[:3] == [
        ("timestamp", "2026-01-01T00:00:01.500Z"),
        ("level", "warning"),
        ("message", "retry scheduled"),
    ]
    excerpt = log_excerpt(story((0, 0), log=[line] * 5))
    assert excerpt.count('"message": "retry scheduled"') == 3
    assert '"backoff_ms": 884.7' in excerpt
    assert log_excerpt(story((0, 0))) == "Nothing is logged.\n"


def test_the_page_of_failures_needs_nothing_else() -> None:
    """Each failure has its section with figures, a plot of its own and both logs; what they say stays text."""
    line = LogLine(at=1.0, level="warning", message="<b>retry</b>", fields={})
    known = list(failures().values())[:2]
    told = page([Played(each, story((0, 1), log=[line]), story((0, 0), fixed=True)) for each in known])
    ids = re.findall(r' id="([^"]+)"', told)
    assert len(ids) == len(set(ids)) == 2 * len(known)
    assert all(f'<h2 id="{each.name}">' in told and f'href="#{each.name}"' in told for each in known)
    assert told.count("<svg") == len(known)
    assert "&lt;b&gt;retry" in told
    assert "Nothing is logged." in told
    assert not re.search(r"<script|<link|src=|https?://(?!www\.w3\.org/2000/svg)", told)
    assert "None was played." in page([])


def test_a_page_without_its_marks_is_refused(tmp_path: Path) -> None:
    """The command says which page is missing, and which has no place to write to."""
    failure = failures()["auth-retry"]
    told = story((0, 0))
    with pytest.raises(ConfigError, match=r"auth-retry\.md is missing"):
        list(documents(tmp_path, failure, told, told))
    page = tmp_path / "explanation/failures/auth-retry.md"
    page.parent.mkdir(parents=True)
    page.write_text("# Nothing to write between\n")
    with pytest.raises(ConfigError, match=r"auth-retry\.md has none"):
        list(documents(tmp_path, failure, told, told))


def test_the_command_writes_the_documentation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page's figures and the plot are written anew, what stands around them stays, and the paths are printed."""
    docs = Path(__file__).parents[4] / "docs"
    page = tmp_path / "explanation/failures/auth-retry.md"
    page.parent.mkdir(parents=True)
    shown = (docs / page.relative_to(tmp_path)).read_text()
    page.write_text(shown.replace("7.20 s", "9.99 s"))
    assert main(["auth-retry", "--docs", str(tmp_path)]) == 0
    assert page.read_text() == shown
    plot = tmp_path / "images/failures/auth-retry.svg"
    assert plot.read_text() == (docs / plot.relative_to(tmp_path)).read_text()
    assert set(capsys.readouterr().out.split()) == {str(page), str(plot)}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["retry-strom", "--docs", "nowhere"], "there is no failure retry-strom; there are retry-storm, "),
        (["auth-retry", "--docs", "nowhere"], "is missing"),
        (["auth-retry"], "--docs"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong name or folder ends with one line that says so."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_every_failure_has_its_page() -> None:
    """Each failure is explained on a page of its own, and the index leads to it."""
    assert {page.stem for page in PAGES} == {"index", *failures()}
    index = next(page for page in PAGES if page.stem == "index").read_text()
    assert all(f"({name}.md)" in index for name in failures())


@pytest.mark.parametrize(("page", "code"), CODE, ids=[f"{page}-{number}" for number, (page, _) in enumerate(CODE)])
def test_the_code_of_the_pages_runs(page: str, code: str) -> None:
    """What a page shows as the fix runs as it stands there."""
    exec(compile(code, page, "exec"), {"__name__": "page"})
