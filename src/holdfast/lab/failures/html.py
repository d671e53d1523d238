"""The failures as one page of HTML: figures and plots of both sides, and what their logs said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.lab.failures.plot import drawing
from holdfast.lab.report.document import document
from holdfast.lab.report.elements import Element, Part, element, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.lab.failures.registry import Played
    from holdfast.lab.failures.story import Story

__all__ = ["page"]

_TITLE = "Failures of error handling itself"
_LINES = 20


def page(played: Sequence[Played]) -> str:
    """The page; it needs no other file, and runs nothing."""
    names = [each.failure.name for each in played]
    links = (
        element("li", element("a", each.failure.title.partition(":")[0], href=f"#{name}"))
        for name, each in zip(names, played, strict=True)
    )
    about = (
        "Each is played twice on the same draws, in virtual time: as it goes wrong, and with what mends it. "
        f"Seed {played[0].broken.seed}."
        if played
        else "None was played."
    )
    return document(
        _TITLE,
        element("h1", _TITLE),
        element("p", about),
        element("nav", element("ul", *links), aria_label="Contents"),
        element("main", *(_section(each) for each in played)),
    )


def _section(played: Played) -> Element:
    failure, broken, fixed = played.failure, played.broken, played.fixed
    rows: list[list[Part]] = [
        [figure.about, figure.text(), fixed.figures[name].text()] for name, figure in broken.figures.items()
    ]
    plot = drawing(broken, fixed, title=failure.title, name=f"{failure.name}-plot")
    plot.set("class", "plot wide")
    return element(
        "section",
        element("h2", failure.title, id=failure.name),
        element("p", f"Fixed by {failure.fix}."),
        table("The same, broken and fixed", ["", "broken", "fixed"], rows),
        element("div", plot, class_="scroll", tabindex="0", role="region", aria_label=f"Plot: {failure.title}"),
        _log("broken", broken),
        _log("fixed", fixed),
        aria_labelledby=failure.name,
    )


def _log(side: str, story: Story) -> Element:
    """The first lines, folded away, with the trace under them."""
    lines = "\n".join(line.text() for line in story.log[:_LINES]) or "Nothing is logged."
    return element(
        "details",
        element("summary", f"The log, {side}"),
        element("div", element("pre", lines), class_="scroll", tabindex="0", role="region", aria_label=f"Log, {side}"),
        element("p", "Trace ", element("code", story.trace)),
    )
