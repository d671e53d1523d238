"""Draws the two stories of a failure side by side, as one SVG file."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import indent, tostring

from holdfast.lab.report.elements import Element, element
from holdfast.lab.report.scales import Linear

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from holdfast.lab.failures.story import Series, Story

__all__ = ["drawing", "plot"]

_WIDTH, _ROW, _HEAD, _FOOT = 860, 150, 44, 26
_LEFT, _GAP, _RIGHT = 84, 40, 16
_PLOT = 92
_PANEL = (_WIDTH - _LEFT - _GAP - _RIGHT) / 2
_SIDES = ((_LEFT, "broken", "#b42318"), (_LEFT + _PANEL + _GAP, "fixed", "#18794e"))
_GRID, _QUIET, _INK = "#d0d7de", "#57606a", "#24292f"


def plot(broken: Story, fixed: Story, *, title: str) -> str:
    """An SVG file: a row for each curve, broken on the left, fixed on the right, on the same scales."""
    svg = drawing(broken, fixed, title=title, name="title")
    indent(svg, " ")
    return tostring(svg, encoding="unicode") + "\n"


def drawing(broken: Story, fixed: Story, *, title: str, name: str) -> Element:
    """The same as an element, for a page.

    Args:
        title: what it shows.
        name: the id of its title, unique in the page.
    """
    rows = list(zip(broken.timeline, fixed.timeline, strict=True))
    height = _HEAD + _ROW * len(rows) + _FOOT
    return element(
        "svg",
        element("title", f"{title}: broken on the left, fixed on the right", id=name),
        element("rect", width=_WIDTH, height=height, fill="#ffffff"),
        *(_text(x, 26.0, name, size=16, fill=colour, font_weight="bold") for x, name, colour in _SIDES),
        *(part for row, pair in enumerate(rows) for part in _row(pair, _HEAD + row * _ROW + 22.0)),
        *(_text(x + _PANEL, height - 8.0, "seconds", text_anchor="end") for x, *_ in _SIDES),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {height}",
        width=_WIDTH,
        height=height,
        role="img",
        aria_labelledby=name,
        font_family="system-ui, sans-serif",
    )


def _row(pair: Sequence[Series], top: float) -> Iterator[Element]:
    """The two panels of one curve."""
    points = [point for series in pair for point in series.points]
    names: Mapping[float, str] = {tick: name for series in pair for tick, name in series.ticks.items()}
    until, most = max(at for at, _ in points), max([value for _, value in points] + [*names])
    up = Linear(top + _PLOT, top, most)
    ticks = names or {value: f"{value:g}" for value in up.ticks}
    for (x, _, colour), series in zip(_SIDES, pair, strict=True):
        across = Linear(x, x + _PANEL, until)
        yield _text(float(x), top - 8, series.name, fill=_INK)
        for value, name in sorted(ticks.items()):
            yield element("path", d=f"M{x:g} {up.at(value):.1f}h{_PANEL:g}", stroke=_GRID)
            if not names or x == _LEFT:  # words on the right would run into the panel on the left
                yield _text(x - 6.0, up.at(value) + 4, name, size=11, text_anchor="end")
        for at in across.ticks:
            yield _text(across.at(at), top + _PLOT + 15, f"{at:,g}", size=11, text_anchor="middle")
        steps = _steps(series, across, up)
        yield element("path", d=steps, fill="none", stroke=colour, stroke_width=1.8)


def _steps(series: Series, across: Linear, up: Linear) -> str:
    """Each value holds until the next point. Points that change nothing that a screen shows are left out."""
    drawn: list[str] = []
    x = y = ""
    for at, value in series.points:
        x, before, y = f"{across.at(at):.1f}", y, f"{up.at(value):.1f}"
        if not drawn:
            drawn.append(f"M{x} {y}")
        elif y != before:
            drawn.append(f"H{x}V{y}")
    return "".join(drawn) + f"H{x}"


def _text(x: float, y: float, text: str, *, size: int = 12, fill: str = _QUIET, **attributes: object) -> Element:
    return element("text", text, x=x, y=y, fill=fill, font_size=size, **attributes)
