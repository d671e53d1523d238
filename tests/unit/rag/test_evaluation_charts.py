"""Rates as bars, in a file and in a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import InvalidInputError, MissingExtraError
from holdfast.rag.evaluation.charts import Chart, bar_lines, chart_of_styles, chart_of_tiers, draw
from holdfast.rag.evaluation.report import Record, summarize

if TYPE_CHECKING:
    from pathlib import Path

CHART = Chart("Two rates", {"recall": {"full": 0.5, "offline": None}, "fact": {"full": 1.0, "offline": 0.0}})


def record(name: str, *, article: str = "a", refused: bool = False, style: str = "plain") -> Record:
    return Record(
        id=name,
        question="?",
        style=style,
        article=article,
        facts=(),
        rank=1,
        found=("a",),
        answer="",
        cited=(),
        confidence=0.5,
        refused=refused,
        correct=None,
        source="extract",
        tier="full",
        reasons=(),
        latency_ms=1.0,
    )


def test_bars_are_as_long_as_their_rates() -> None:
    """A rate of 1 fills the width, a half the half of it, 0 nothing, and what was not measured is a dash."""
    assert list(bar_lines(CHART, width=4)) == [
        "recall",
        "  full     ██ 0.50",
        "  offline  –",
        "fact",
        "  full     ████ 1.00",
        "  offline   0.00",
    ]


def test_a_bar_counts_eighths() -> None:
    """What is left of a whole character is shown in eighths of it."""
    assert list(bar_lines(Chart("", {"r": {"x": 0.3}}), width=10))[1] == "  x  ███ 0.30"
    assert list(bar_lines(Chart("", {"r": {"x": 0.33}}), width=10))[1] == "  x  ███▎ 0.33"


def test_a_chart_has_a_bar_for_each_tier_and_each_style() -> None:
    """Tiers and styles keep their order; refused foreign questions are drawn where some were asked."""
    answerable = summarize([record("1"), record("2", style="odd", refused=True)], k=5)
    both = summarize([record("1"), record("2", article="", refused=True)], k=5)
    assert list(chart_of_styles(answerable).rates["recall@k"]) == ["odd", "plain", "all"]
    assert "unanswerable refused" not in chart_of_tiers({"full": answerable}).rates
    tiers = chart_of_tiers({"full": both, "minimal": both})
    assert tiers.rates["unanswerable refused"] == {"full": 1.0, "minimal": 1.0}
    assert tiers.rates["answerable refused"] == {"full": 0.0, "minimal": 0.0}


@pytest.mark.parametrize(("name", "begins"), [("x.png", b"\x89PNG"), ("x.SVG", b"<?xml")])
def test_a_chart_is_drawn_into_a_file(tmp_path: Path, name: str, begins: bytes) -> None:
    """The file is a picture of the kind that its name says."""
    draw(CHART, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_a_file_that_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    """Another ending and a folder that is not there are told in a sentence."""
    with pytest.raises(InvalidInputError, match=r"must end with \.png or \.svg"):
        draw(CHART, tmp_path / "x.pdf")
    with pytest.raises(InvalidInputError, match="cannot be written"):
        draw(CHART, tmp_path / "nowhere" / "x.png")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib the error says what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"holdfast\[plots\]"):
        draw(CHART, tmp_path / "x.png")
