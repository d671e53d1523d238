"""``holdfast lab failures``: plays the classic failures of error handling, broken and fixed, side by side."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.lab_played import check_files, write
from holdfast.cli.output import note, print_result
from holdfast.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from holdfast.lab.failures.registry import Played

__all__ = ["play_failures"]

_SEED = 7
_LINES = 8


def play_failures(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Failures. All of them by default.", show_default=False),
    ] = None,
    *,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="What everything is drawn from.")] = _SEED,
    log: Annotated[bool, typer.Option("--log", help="Show the first lines of the logs, too.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="OUT", help="Write figures, curves and logs to this JSON file.")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="OUT", help="Write a page with plots to this HTML file.")
    ] = None,
) -> None:
    """Play the classic failures of error handling itself, broken and fixed, and print the figures side by side.

    Retry storm, breaker false positive, queue memory exhaustion, stuck degradation, retrying an auth error, and the
    metastable failure. `holdfast lab list` shows their names.
    """
    from rich.console import Console

    from holdfast.cli.progress import counting
    from holdfast.lab.failures.registry import failures

    known = failures()
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise NotFoundError("failure", f"There is no failure {unknown[0]!r}. There are {', '.join(known)}.")
    check_files((json_file, "--json"), (html_file, "--html"))
    chosen = [known[name] for name in dict.fromkeys(names or known)]
    played: list[Played] = []
    with counting("Playing", unit="failures") as report:
        for done, failure in enumerate(chosen):
            report("play", done, len(chosen), failure.name)
            played.append(failure.both(seed))
    console = Console()
    for each in played:
        _print(each, console, log=log)
    if json_file is not None:
        stories = [story.as_json() for each in played for story in (each.broken, each.fixed)]
        write(json_file, json.dumps(stories, ensure_ascii=False, indent=1) + "\n", "--json")
    if html_file is not None:
        from holdfast.lab.failures.html import page

        write(html_file, page(played), "--html")


def _print(played: "Played", console: "Console", *, log: bool) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    failure = played.failure
    console.print(Text(failure.title, style="bold"))
    console.print(Text(f"Fixed by {failure.fix}."))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("broken", justify="right", no_wrap=True)
    table.add_column("fixed", justify="right", no_wrap=True)
    table.add_column("")
    for name, figure in played.broken.figures.items():
        table.add_row(figure.text(), played.fixed.figures[name].text(), figure.about)
    console.print(table)
    if log:
        for title, lines in (("broken", played.broken.log), ("fixed", played.fixed.log)):
            _print_log(title, [line.text() for line in lines[:_LINES]])
    for title, story in (("broken", played.broken), ("fixed", played.fixed)):
        note(f"trace {story.trace}: {failure.name}, {title}, seed {story.seed}")


def _print_log(title: str, lines: "Sequence[str]") -> None:
    print_result(f"The log, {title}:" if lines else f"The log, {title}, says nothing.")
    for line in lines:
        print_result(f"  {line}")
    print_result()
