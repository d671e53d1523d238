"""What the documentation shows of a failure: the plot, the table of figures, and the first lines of the logs.

The pages in ``docs/explanation/failures`` are written by hand, but for what stands between two marks, which
``python -m holdfast.lab.failures --docs docs`` writes.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import TYPE_CHECKING

from holdfast.errors import ConfigError
from holdfast.lab.failures.plot import plot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from holdfast.lab.failures.registry import Failure
    from holdfast.lab.failures.story import LogLine, Story

__all__ = ["documents", "figures_table", "log_excerpt"]

_BEGIN = "<!-- written by `python -m holdfast.lab.failures --docs docs` -->"
_END = "<!-- until here -->"
_MOST_LINES = 10
_MOST_ALIKE = 3
_SPARED = frozenset({"error", "max_retries", "attempt", "call_id", "waiting_bytes"})
"""Fields of log lines that a page can do without."""


def documents(docs: Path, failure: Failure, broken: Story, fixed: Story) -> Iterator[tuple[Path, str]]:
    """The files of one failure, with what is to stand in them: its plot, and its page.

    Args:
        docs: the folder of the documentation.

    Raises:
        ConfigError: there is no page of this failure, or it has no marks.
    """
    yield docs / "images" / "failures" / f"{failure.name}.svg", plot(broken, fixed, title=failure.title)
    page = docs / "explanation" / "failures" / f"{failure.name}.md"
    if not page.is_file():
        raise ConfigError("--docs", str(docs), f"must hold the pages of the failures; {page} is missing")
    text = page.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)
    if not pattern.search(text):
        raise ConfigError("--docs", str(docs), f"must hold pages with the marks to write between; {page} has none")
    yield page, pattern.sub(lambda _: _written(failure, broken, fixed), text, count=1)


def figures_table(broken: Story, fixed: Story) -> str:
    """The figures of both stories as a table in Markdown."""
    rows = [
        f"| {figure.about} | {figure.text()} | {fixed.figures[name].text()} |"
        for name, figure in broken.figures.items()
    ]
    return "\n".join(["| | broken | fixed |", "|---|---:|---:|", *rows])


def log_excerpt(story: Story) -> str:
    """The first lines of the log, of each message three at most, and how often each message came."""
    if not story.logged:
        return "Nothing is logged.\n"
    lines = "\n".join(_short(line) for line in islice(_varied(story.log), _MOST_LINES))
    most = sorted(story.logged.items(), key=lambda item: (-item[1], item[0]))
    counts = ", ".join(f"*{message}* {count:,}" for message, count in most)
    return f"```json\n{lines}\n```\n\nIn all: {counts}.\n"


def _written(failure: Failure, broken: Story, fixed: Story) -> str:
    return "\n".join(
        [
            _BEGIN,
            "",
            f"![{failure.title}: broken on the left, fixed on the right](../../images/failures/{failure.name}.svg)",
            "",
            f"Fixed means here: {failure.fix}. Seed {broken.seed}.",
            "",
            figures_table(broken, fixed),
            "",
            "The log, broken:",
            "",
            log_excerpt(broken),
            "The log, fixed:",
            "",
            log_excerpt(fixed),
            _END,
        ]
    )


def _varied(lines: Iterable[LogLine]) -> Iterator[LogLine]:
    seen: dict[str, int] = {}
    for line in lines:
        seen[line.message] = seen.get(line.message, 0) + 1
        if seen[line.message] <= _MOST_ALIKE:
            yield line


def _short(line: LogLine) -> str:
    said = json.loads(line.text())
    return json.dumps({name: _rounded(value) for name, value in said.items() if name not in _SPARED})


def _rounded(value: object) -> object:
    return round(value, 1) if isinstance(value, float) else value
