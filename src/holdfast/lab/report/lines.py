"""A plot of shares against shares, e.g. the error rate against the rate of faults, a line for each configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.lab.report.elements import Element, element
from holdfast.lab.report.figures import percent
from holdfast.lab.report.scales import ShareScale

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COLOURS", "Dot", "Series", "legend", "line_plot"]

COLOURS = 8
"""Classes ``c0`` to ``c7`` of the page's style; further lines begin again, with another dash."""

_WIDTH, _HEIGHT = 600.0, 340.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 24.0, 12.0, 48.0
_ASIDE = 20.0
"""Between the axis and the place of 0, where dots and bars stand beside each other."""
_DASHES = (None, "7 3", "2 3", "9 3 2 3")
_CAP = 3.0


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a line, with its interval where there is one. All are shares, 0 to 1."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """A line.

    Attributes:
        name: what it is of.
        dots: in the order of their x.
    """

    name: str
    dots: Sequence[Dot]


def line_plot(title: str, series: Sequence[Series], *, x_label: str, y_label: str, name: str) -> Element:
    """The plot with its legend.

    Args:
        title: what it shows, for readers who see it and for those who do not.
        series: the lines; those without dots are left out.
        x_label, y_label: what the axes are.
        name: unique in the page; ids of the plot begin with it.
    """
    drawn = [each for each in series if each.dots]
    dots = [dot for each in drawn for dot in each.dots]
    across = ShareScale(_LEFT + _ASIDE, _WIDTH - _RIGHT, (dot.x for dot in dots))
    up = ShareScale(_HEIGHT - _BOTTOM, _TOP, (y for dot in dots for y in (dot.y, dot.low, dot.high) if y is not None))
    told = "; ".join(f"{each.name}: {_told(each)}" for each in drawn)
    svg = element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", told or "No figures.", id=f"{name}-desc"),
        *_axes(across, up, sorted({dot.x for dot in dots}), x_label, y_label),
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="plot",
    )
    for place, each in enumerate(drawn):
        svg.append(_line(each, place, len(drawn), across, up))
    return element(
        "figure",
        element("figcaption", title),
        element("div", svg, class_="scroll", tabindex="0", role="region", aria_label=f"Plot: {title}"),
        legend([each.name for each in drawn]),
    )


def legend(names: Sequence[str]) -> Element:
    """Which line is whose."""
    return element(
        "ul",
        *(
            element(
                "li",
                element(
                    "svg",
                    element("path", d="M0 6H26", class_="line", stroke_dasharray=_dash(place)),
                    element("circle", cx=13.0, cy=6.0, r=3.5, class_="dot"),
                    viewBox="0 0 26 12",
                    class_=f"swatch {_colour(place)}",
                    aria_hidden="true",
                ),
                f" {name}",
            )
            for place, name in enumerate(names)
        ),
        class_="legend",
    )


def _colour(place: int) -> str:
    return f"c{place % COLOURS}"


def _dash(place: int) -> str | None:
    return _DASHES[place // COLOURS % len(_DASHES)]


def _told(series: Series) -> str:
    return ", ".join(f"{percent(dot.y)} at {percent(dot.x)}" for dot in series.dots)


def _axes(across: ShareScale, up: ShareScale, values: Sequence[float], x_label: str, y_label: str) -> list[Element]:
    parts = []
    for tick in up.ticks:
        y = up.at(tick)
        parts.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(element("text", _tick(tick), x=_LEFT - 6, y=y + 4, text_anchor="end"))
    for value in _apart(values, across):
        x = across.at(value)
        parts.append(element("line", x1=x, x2=x, y1=_HEIGHT - _BOTTOM, y2=_HEIGHT - _BOTTOM + 5, class_="axis"))
        parts.append(element("text", _tick(value), x=x, y=_HEIGHT - _BOTTOM + 19, text_anchor="middle"))
    bottom = _HEIGHT - _BOTTOM
    turned = f"translate(14 {(_TOP + bottom) / 2:g}) rotate(-90)"
    parts += [
        element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=bottom, y2=bottom, class_="axis"),
        element("text", x_label, x=(_LEFT + _WIDTH - _RIGHT) / 2, y=_HEIGHT - 8, text_anchor="middle", class_="label"),
        element("text", y_label, x=0.0, y=0.0, text_anchor="middle", class_="label", transform=turned),
    ]
    return parts


def _apart(values: Sequence[float], across: ShareScale) -> list[float]:
    """Of the values, in order, those whose numbers have room beside each other."""
    kept: list[float] = []
    for value in values:
        if not kept or across.at(value) - across.at(kept[-1]) >= 30:
            kept.append(value)
    return kept


def _tick(value: float) -> str:
    return f"{100 * value:g}%"


def _line(series: Series, place: int, lines: int, across: ShareScale, up: ShareScale) -> Element:
    """One line with its dots and bars. Lines stand a little beside each other, so that no bar hides another."""
    aside = (place - (lines - 1) / 2) * min(4.0, 24.0 / max(lines, 1))
    group = element("g", element("title", series.name), class_=_colour(place))
    path: list[str] = []
    cap = f"M{{:.1f}} {{:.1f}}h{2 * _CAP:g}"
    for dot in series.dots:
        x, y = across.at(dot.x) + aside, up.at(dot.y)
        path.append(f"{'L' if path else 'M'}{x:.1f} {y:.1f}")
        if dot.low is not None and dot.high is not None:
            low, high = up.at(dot.low), up.at(dot.high)
            bar = f"M{x:.1f} {low:.1f}V{high:.1f}" + cap.format(x - _CAP, low) + cap.format(x - _CAP, high)
            group.append(element("path", d=bar, class_="bar"))
    group.append(element("path", d="".join(path), class_="line", stroke_dasharray=_dash(place)))
    for dot in series.dots:
        said = f"{series.name}: {percent(dot.y)} at {percent(dot.x)}"
        if dot.low is not None and dot.high is not None:
            said += f" (95%: {percent(dot.low)} to {percent(dot.high)})"
        circle = element("circle", element("title", said), cx=across.at(dot.x) + aside, cy=up.at(dot.y), r=3.5)
        circle.set("class", "dot")
        group.append(circle)
    return group
