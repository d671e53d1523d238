"""A page of HTML by itself: no other file, no script, nothing from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.lab.report.elements import element, markup
from holdfast.lab.report.style import CSS

if TYPE_CHECKING:
    from holdfast.lab.report.elements import Element

__all__ = ["document"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The page asks its browser to load nothing and to run nothing, whatever stands in it."""


def document(title: str, *parts: Element) -> str:
    """The page.

    Args:
        title: of the window.
        parts: the body.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", CSS),
    )
    return f"<!DOCTYPE html>\n{markup(element('html', head, element('body', *parts), lang='en'))}\n"
