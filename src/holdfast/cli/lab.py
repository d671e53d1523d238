"""``holdfast lab``: plays scenarios in virtual time, under one configuration or several, and says what users got."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.output import note, warn
from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.lab.runs.outcome import Outcome
    from holdfast.lab.runs.play import Run
    from holdfast.lab.scenarios.scenario import Scenario

__all__ = ["lab"]

_MOST_SEEDS = 1_000

lab = typer.Typer(
    name="lab",
    help="Play outages in virtual time on this very program, and measure what users get.",
    rich_markup_mode="rich",
    invoke_without_command=True,
)

_Config = Annotated[
    list[str] | None,
    typer.Option(
        "--config",
        metavar="NAME",
        help="A configuration under test; may be repeated. [default: the scenario's own]",
        show_default=False,
    ),
]
_Seed = Annotated[int | None, typer.Option(metavar="N", min=0, help="What everything is drawn from.")]
_Seeds = Annotated[
    int | None,
    typer.Option(
        metavar="K", min=1, max=_MOST_SEEDS, help="Play it with K seeds, from --seed on; figures get intervals."
    ),
]
_Rates = Annotated[
    str | None,
    typer.Option(metavar="LIST", help="The shares of failing calls to inject, e.g. 0,0.02,0.5, for scenarios of that."),
]
_Seconds = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="How long questions are asked, in virtual time.")
]
_Json = Annotated[Path | None, typer.Option("--json", metavar="OUT", help="Write every outcome to this JSON file.")]
_Html = Annotated[Path | None, typer.Option("--html", metavar="OUT", help="Write a report to this HTML file.")]
_Jobs = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Processes that play at once. [default: one a processor]")
]


@lab.callback(invoke_without_command=True)
def _lab(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@lab.command(name="list")
def list_all() -> None:
    """Show the scenarios and the configurations."""
    from rich.console import Console
    from rich.table import Table

    from holdfast.lab.configurations.registry import configurations
    from holdfast.lab.scenarios.loader import shipped, shipped_names

    scenarios = {name: shipped(name).about for name in shipped_names()}
    known = {name: each.about for name, each in configurations().items()}
    for title, rows in (("Scenarios", scenarios), ("Configurations", known)):
        table = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column()
        for name, about in rows.items():
            table.add_row(name, about)
        Console().print(table)


@lab.command()
def run(
    scenario: Annotated[
        list[str], typer.Argument(metavar="NAME|FILE...", help="Scenarios: by name, or TOML files.", show_default=False)
    ],
    *,
    config: _Config = None,
    seed: _Seed = None,
    seeds: _Seeds = None,
    rates: _Rates = None,
    seconds: _Seconds = None,
    json_file: _Json = None,
    html_file: _Html = None,
    jobs: _Jobs = None,
) -> None:
    """Play scenarios and print what users got.

    `holdfast lab list` shows what there is. The same seed gives the same run, whatever the machine and the processes.
    """
    scenarios = [_scenario(each, seconds) for each in scenario]
    _checked((json_file, "--json"), (html_file, "--html"))
    runs = [
        one
        for each in scenarios
        for one in _runs(each, config or [each.configuration], seed=seed, seeds=seeds, rates=rates)
    ]
    _finish(runs, scenarios, json_file=json_file, html_file=html_file, jobs=jobs)


@lab.command()
def compare(
    scenario: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A scenario.", show_default=False)],
    *,
    config: _Config = None,
    seed: _Seed = None,
    seeds: _Seeds = None,
    rates: _Rates = None,
    seconds: _Seconds = None,
    json_file: _Json = None,
    html_file: _Html = None,
    jobs: _Jobs = None,
) -> None:
    """Play a scenario under several configurations, on the same faults.

    A fault is drawn for a request and its attempt: what fails does not depend on what a configuration did before.
    """
    if len(set(config or ())) < 2:
        raise InvalidInputError("--config", "is needed at least twice, e.g. --config holdfast --config nothing")
    chosen = _scenario(scenario, seconds)
    _checked((json_file, "--json"), (html_file, "--html"))
    runs = _runs(chosen, config or (), seed=seed, seeds=seeds, rates=rates)
    _finish(runs, [chosen], json_file=json_file, html_file=html_file, jobs=jobs)


# --- what is asked for ------------------------------------------------------------------------------------------------


def _scenario(name: str, seconds: float | None) -> "Scenario":
    from dataclasses import replace

    from holdfast.lab.scenarios.loader import load_scenario, shipped, shipped_names

    # a shipped one wins over a file that happens to lie there, unless it looks like a file
    known = name in shipped_names()
    chosen = load_scenario(Path(name)) if not known and (name.endswith(".toml") or "/" in name) else shipped(name)
    return chosen if seconds is None else replace(chosen, seconds=seconds)


def _runs(
    scenario: "Scenario", names: "Sequence[str]", *, seed: int | None, seeds: int | None, rates: str | None
) -> "list[Run]":
    from holdfast.lab.configurations.registry import configuration_of
    from holdfast.lab.runs.play import runs_of

    chosen = [configuration_of(name) for name in dict.fromkeys(names)]
    first = scenario.seed if seed is None else seed
    return runs_of(scenario, chosen, seeds=range(first, first + (seeds or 1)), rates=_rates(rates, scenario))


def _rates(given: str | None, scenario: "Scenario") -> list[float] | None:
    if given is None:
        return None
    if not scenario.rates:
        raise InvalidInputError("--rates", f"is given, and {scenario.name} has no fault whose rate is injected")
    rates = []
    for part in given.split(","):
        try:
            rate = float(part)
        except ValueError:
            rate = -1.0
        if not 0 <= rate <= 1:
            raise InvalidInputError("--rates", f"{part.strip()!r} is no share: take numbers from 0 to 1, e.g. 0,0.05")
        rates.append(rate)
    return rates


def _checked(*files: tuple[Path | None, str]) -> None:
    """Rather now than after all runs."""
    for path, option in files:
        if path is not None and not path.absolute().parent.is_dir():
            raise InvalidInputError(option, f"there is no folder {path.absolute().parent}")


# --- what comes out ---------------------------------------------------------------------------------------------------


def _finish(
    runs: "Sequence[Run]",
    scenarios: "Sequence[Scenario]",
    *,
    json_file: Path | None,
    html_file: Path | None,
    jobs: int | None,
) -> None:
    import json

    from rich.console import Console

    from holdfast.lab.report.terminal import print_report

    outcomes = _played(runs, jobs)
    print_report(outcomes, Console(), scenarios)
    for each in outcomes:
        rate = "" if each.rate is None else f", {each.rate:.4g} failing"
        note(f"trace {each.trace}: {each.scenario}, {each.configuration}, seed {each.seed}{rate}")
    crashes = sum(each.measures.crashes for each in outcomes)
    if crashes:
        warn(f"{crashes:,} questions ended with an error that the service does not raise on purpose: a defect.")
    if json_file is not None:
        from holdfast.lab.report.summary import summary

        content = {"summary": summary(outcomes, scenarios), "outcomes": [each.as_json() for each in outcomes]}
        _write(json_file, json.dumps(content, ensure_ascii=False, indent=1) + "\n", "--json")
    if html_file is not None:
        from holdfast.lab.report.html import page

        _write(html_file, page(outcomes, scenarios), "--html")


def _played(runs: "Sequence[Run]", jobs: int | None) -> "list[Outcome]":
    from holdfast.cli.progress import counting
    from holdfast.lab.runs.workers import play_all

    total = round(sum(run.scenario.seconds for run in runs))
    done: dict[int, float] = {}
    with counting("Playing", unit="virtual seconds") as report:

        def progress(run: "Run", seconds: float) -> None:
            done[id(run)] = seconds
            report("play", round(sum(done.values())), total, run.title)

        return play_all(runs, jobs=jobs, progress=progress)


def _write(file: Path, content: str, option: str) -> None:
    try:
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(option, f"{file} cannot be written: {error.strerror or error}") from error
    note(f"Written to {file}")
