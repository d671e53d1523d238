"""The picture of the suite: user-facing errors against the share of calls that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["draw"]

_COLOURS = {
    "holdfast": "#18794e",
    "no-local-fallbacks": "#0969da",
    "tenacity-pybreaker": "#9a6700",
    "retries-only": "#8250df",
    "nothing": "#b42318",
}
_SMALLEST = 0.0001
"""What is below is drawn here: a logarithm knows no 0."""


def draw(suite: Mapping[str, Any], file: Path) -> None:
    """Write it to ``file``."""
    figure = Figure(figsize=(8, 4.5), layout="constrained", dpi=150)
    axes = figure.add_subplot()
    for name, colour in _COLOURS.items():
        measured = [each for each in suite["measures"] if each["configuration"] == name]
        if not measured:
            continue
        rates = [100 * each["rate"] for each in measured]
        errors = [100 * max(_SMALLEST, each["error_rate"]["value"]) for each in measured]
        axes.plot(rates, errors, color=colour, marker="o", linewidth=2)
        axes.annotate(name, (rates[-1], errors[-1]), (8, -3), textcoords="offset points", color=colour)
    axes.set_yscale("log")
    axes.set_ylim(100 * _SMALLEST * 0.7, 150)
    axes.set_yticks([0.01, 0.1, 1, 10, 100], ["0.01% or less", "0.1%", "1%", "10%", "100%"])
    axes.set_xticks([0, 2, 5, 20, 50], ["0", "", "5%", "20%", "50%"])
    axes.set_xlim(-1, 64)
    axes.axhline(0.1, color="#57606a", linewidth=0.8, linestyle=":")
    axes.set_xlabel("calls that fail, of every dependency")
    axes.set_ylabel("questions without a useful answer")
    axes.grid(axis="y", color="#d0d7de", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file)
