"""``python -m holdfast.lab.failures``: play the classic failures, broken and fixed, in virtual time."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.errors import ConfigError
from holdfast.lab.failures.pages import documents
from holdfast.lab.failures.plot import plot
from holdfast.lab.failures.registry import failures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfast.lab.failures.registry import Failure
    from holdfast.lab.failures.story import Story

__all__ = ["main"]

_SEED = 7
_LINES = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what is named, print the figures side by side, and write what is asked for. Gives the exit code."""
    known = failures()
    parser = argparse.ArgumentParser(prog="python -m holdfast.lab.failures", description=main.__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"one of {', '.join(known)}; none: all of them")
    parser.add_argument("--seed", type=int, default=_SEED, help="what all draws come from (default %(default)s)")
    parser.add_argument("--log", action="store_true", help="show the first lines of the logs, too")
    parser.add_argument("--svg", type=Path, metavar="FOLDER", help="write a plot of each failure into this folder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all stories as JSON into this file")
    parser.add_argument("--docs", type=Path, metavar="FOLDER", help="write plots and figures into the documentation")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"there is no failure {unknown[0]}; there are {', '.join(known)}")
    stories: list[Story] = []
    for failure in [known[name] for name in options.names or known]:
        try:
            played = failure.both(options.seed)
            broken, fixed = played.broken, played.fixed
            _write(failure, broken, fixed, svg=options.svg, docs=options.docs)
        except ConfigError as error:
            parser.error(str(error))
        sys.stdout.write("\n".join(_told(failure, broken, fixed, log=options.log)) + "\n\n")
        sys.stdout.flush()
        stories += [broken, fixed]
    if options.json is not None:
        options.json.write_text(json.dumps([story.as_json() for story in stories], indent=1), encoding="utf-8")
    return 0


def _write(failure: Failure, broken: Story, fixed: Story, *, svg: Path | None, docs: Path | None) -> None:
    files: list[tuple[Path, str]] = []
    if svg is not None:
        files.append((svg / f"{failure.name}.svg", plot(broken, fixed, title=failure.title)))
    if docs is not None:
        files += documents(docs, failure, broken, fixed)
    for path, text in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _told(failure: Failure, broken: Story, fixed: Story, *, log: bool) -> Iterator[str]:
    yield failure.title
    yield f"  fixed by {failure.fix}"
    yield f"  {'broken':>12} {'fixed':>12}"
    for name, figure in broken.figures.items():
        yield f"  {figure.text():>12} {fixed.figures[name].text():>12}  {figure.about}"
    if log:
        for story in (broken, fixed):
            yield f"  the log, {'fixed' if story.fixed else 'broken'}:"
            yield from (f"    {line.text()}" for line in story.log[:_LINES])


if __name__ == "__main__":
    sys.exit(main())
