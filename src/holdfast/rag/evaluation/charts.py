"""Rates as bars: a picture in a file (matplotlib, the extra ``plots``) and lines of text for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.errors import InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

    from holdfast.rag.evaluation.report import EvalReport, Scores

__all__ = ["Chart", "bar_lines", "chart_of_styles", "chart_of_tiers", "check_plot", "draw"]

_WIDTH = 40
_EIGHTHS = "▏▎▍▌▋▊▉█"
_COLOURS = ("#1f4e79", "#4f81b0", "#93b5d3", "#c9d6e2")
_FORMATS = (".png", ".svg")


@dataclass(frozen=True, slots=True)
class Chart:
    """Some rates, each with a bar for each group: the tiers of the service, or the styles of the questions.

    Attributes:
        title: what was measured.
        rates: by the name of the rate, its value for each group; None where nothing was measured.
    """

    title: str
    rates: Mapping[str, Mapping[str, float | None]]


def chart_of_tiers(reports: Mapping[str, EvalReport]) -> Chart:
    """The rates at each tier of the service."""
    first = next(iter(reports.values()))
    rates = _rates({name: report.overall for name, report in reports.items()})
    foreign = {name: report.unanswerable_refused for name, report in reports.items()}
    if first.unanswerable:
        rates["unanswerable refused"] = foreign
    return Chart(f"{len(first.records)} questions, by the best tier that was allowed", rates)


def chart_of_styles(report: EvalReport) -> Chart:
    """The rates for each style of question."""
    title = f"{report.overall.questions} questions that a document answers"
    return Chart(title, _rates({**report.styles, "all": report.overall}))


def bar_lines(chart: Chart, *, width: int = _WIDTH) -> Iterator[str]:
    """The chart as lines of text.

    Args:
        width: characters of the bar of a rate of 1.
    """
    longest = max((len(name) for values in chart.rates.values() for name in values), default=0)
    for rate, values in chart.rates.items():
        yield rate
        for name, value in values.items():
            shown = "–" if value is None else f"{_bar(value, width)} {value:.2f}"
            yield f"  {name:<{longest}}  {shown}"


def check_plot(path: Path) -> None:
    """Refuse a file that :func:`draw` could not make.

    Raises:
        InvalidInputError: it is neither PNG nor SVG by its ending.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix.lower() not in _FORMATS:
        raise InvalidInputError("--plot", f"{path} must end with {' or '.join(_FORMATS)}")
    _figure_class()


def draw(chart: Chart, path: Path) -> None:
    """Draw the chart into a file: PNG or SVG, by its ending. Blocks, and takes a second or two.

    Raises:
        InvalidInputError: the ending is another one, or the file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    check_plot(path)
    columns = min(3, len(chart.rates))
    rows = -(-len(chart.rates) // columns)
    figure = _figure_class()(figsize=(3.4 * columns, 0.6 + 2.1 * rows), layout="constrained")
    for place, (rate, values) in enumerate(chart.rates.items(), start=1):
        axes = figure.add_subplot(rows, columns, place)
        axes.set_title(rate, fontsize=10, loc="left")
        names = list(values)
        known = [0.0 if value is None else value for value in values.values()]
        bars = axes.barh(names, known, color=[_COLOURS[number % len(_COLOURS)] for number in range(len(names))])
        axes.bar_label(
            bars, ["–" if value is None else f"{value:.2f}" for value in values.values()], padding=3, fontsize=8
        )
        axes.set_xlim(0, 1.18)
        axes.set_xticks([0, 0.5, 1])
        axes.invert_yaxis()
        axes.tick_params(labelsize=8, length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(chart.title, fontsize=11)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise InvalidInputError("--plot", f"{path} cannot be written: {error.strerror or error}") from error


def _figure_class() -> type[Figure]:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra, for pictures only
    except ImportError as error:
        raise MissingExtraError("drawing a chart", "plots") from error
    return Figure


def _rates(groups: Mapping[str, Scores]) -> dict[str, dict[str, float | None]]:
    return {
        "recall@k": {name: scores.recall_at_k for name, scores in groups.items()},
        "MRR@10": {name: scores.mrr_at_10 for name, scores in groups.items()},
        "fact in the answer": {name: scores.fact_in_answer for name, scores in groups.items()},
        "citation precision": {name: scores.citation_precision for name, scores in groups.items()},
        "answerable refused": {name: scores.refused for name, scores in groups.items()},
    }


def _bar(value: float, width: int) -> str:
    eighths = round(max(0.0, min(1.0, value)) * width * 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest - 1] if rest else "")
