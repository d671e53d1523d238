"""Elements of HTML and SVG. Whatever is put into them is text, so that nothing has to be escaped by hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias
from xml.etree.ElementTree import Element, SubElement, tostring

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Element", "Part", "element", "markup", "point", "table"]

Part: TypeAlias = Element | str
"""What stands in an element: another one, or text."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that have no place in a document, whatever they are escaped with."""


def element(tag: str, *parts: Part, **attributes: object) -> Element:
    """An element with its attributes and what stands in it.

    Args:
        tag: of the element, e.g. ``"td"``.
        parts: in their order.
        attributes: ``class_`` is ``class`` (the last underscore goes), other underscores are hyphens: ``stroke_width``
            is ``stroke-width``. None leaves an attribute out; a float is rounded as coordinates are.
    """
    made = Element(tag)
    for attribute, value in attributes.items():
        if value is not None:
            shown = point(value) if isinstance(value, float) else _CONTROLS.sub("\ufffd", str(value))
            made.set(_attribute(attribute), shown)
    for part in parts:
        _append(made, part)
    return made


def point(value: float) -> str:
    """A coordinate: two decimals at most, and never an exponent.

    Raises:
        ValueError: it is no finite number; a browser would drop the whole path without a word.
    """
    shown = f"{value:.2f}"
    if not shown.lstrip("-")[0].isdigit():
        raise ValueError(f"{value} is no coordinate")
    return shown.rstrip("0").rstrip(".")


def table(caption: str, head: Iterable[Part], rows: Iterable[Iterable[Part]], *, words: int = 1) -> Element:
    """A table whose first column names its rows, in a box that scrolls by itself on a narrow screen.

    Args:
        caption: what it shows.
        head: the headings of its columns.
        rows: the cells.
        words: how many columns, from the left, hold words; the others hold figures.
    """
    made = element("table", element("caption", caption))
    line = SubElement(SubElement(made, "thead"), "tr")
    for place, part in enumerate(head):
        line.append(element("th", part, scope="col", class_="figure" if place >= words else None))
    body = SubElement(made, "tbody")
    for cells in rows:
        line = SubElement(body, "tr")
        for place, part in enumerate(cells):
            if place == 0:
                line.append(element("th", part, scope="row"))
            else:
                line.append(element("td", part, class_="figure" if place >= words else None))
    return element("div", made, class_="scroll", tabindex="0", role="region", aria_label=caption)


def markup(root: Element) -> str:
    """The element as HTML."""
    return tostring(root, encoding="unicode", method="html")


def _attribute(name: str) -> str:
    return name.removesuffix("_").replace("_", "-") if name != "viewBox" else name


def _append(parent: Element, part: Part) -> None:
    if isinstance(part, Element):
        parent.append(part)
        return
    text = _CONTROLS.sub("\ufffd", part)
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text
