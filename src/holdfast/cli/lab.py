"""``holdfast lab``: plays scenarios in virtual time, under one configuration or several, and says what users got."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.lab_asked import beside, configurations_of, note_what_is_missing, runs_for, scenarios_of
from holdfast.cli.lab_failures import play_failures
from holdfast.cli.lab_played import check_files, finish
from holdfast.cli.output import note
from holdfast.errors import InvalidInputError

__all__ = ["lab"]

_MOST_SEEDS = 1_000

lab = typer.Typer(
    name="lab",
    help="Play outages in virtual time on this very program, and measure what users get.",
    rich_markup_mode="rich",
    invoke_without_command=True,
)
lab.command(name="failures")(play_failures)

_Scenarios = Annotated[
    list[str], typer.Argument(metavar="NAME|FILE...", help="Scenarios: by name, or TOML files.", show_default=False)
]
_Config = Annotated[
    list[str] | None,
    typer.Option(
        "--config",
        metavar="NAME,...",
        help="Configurations under test, with commas between; 'without-*' is all of that kind; may be repeated. "
        "By default the scenario's own.",
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
    int | None, typer.Option(metavar="N", min=1, help="Processes that play at once. One a processor by default.")
]
_Verify = Annotated[
    bool, typer.Option("--verify", help="Play the shortest run once more at the end, and compare the traces.")
]


@lab.callback(invoke_without_command=True)
def _lab(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@lab.command(name="list")
def list_all() -> None:
    """Show the scenarios, the configurations and the failures."""
    from rich.console import Console
    from rich.table import Table

    from holdfast.lab.configurations.registry import configurations
    from holdfast.lab.failures.registry import failures
    from holdfast.lab.scenarios.loader import shipped, shipped_names

    scenarios = {name: shipped(name).about for name in shipped_names()}
    known = {name: each.about for name, each in configurations().items()}
    classic = {name: each.title for name, each in failures().items()}
    for title, rows in (("Scenarios", scenarios), ("Configurations", known), ("Failures", classic)):
        table = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column()
        for name, about in rows.items():
            table.add_row(name, about)
        Console().print(table)


@lab.command()
def run(
    scenario: _Scenarios,
    *,
    config: _Config = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="Play nothing beside it: neither the plain program nor no-local-fallbacks.")
    ] = False,
    seed: _Seed = None,
    seeds: _Seeds = None,
    rates: _Rates = None,
    seconds: _Seconds = None,
    json_file: _Json = None,
    html_file: _Html = None,
    jobs: _Jobs = None,
    verify: _Verify = False,
) -> None:
    """Play scenarios and print what users got, beside what they would have got of a plain program.

    Besides the configuration under test, "nothing" (a plain program without any policy) and "no-local-fallbacks" (the
    service without old, common and quoted answers) are played on the same faults, unless --alone is given.
    `holdfast lab list` shows what there is. The same seed gives the same run, whatever the machine and the processes.
    """
    played = scenarios_of(scenario, seconds)
    check_files((json_file, "--json"), (html_file, "--html"))
    chosen = configurations_of(config or ())
    runs, added = [], dict[str, None]()
    for each in played:
        tested = chosen or configurations_of([each.configuration])
        under = tested if alone else beside(tested)
        added.update({configuration.name: None for configuration in under[len(tested) :]})
        runs += runs_for(each, under, seed=seed, seeds=seeds, rates=rates)
    if added:
        note(f"Besides, on the same faults: {' and '.join(added)}; --alone leaves that out.")
    finish(runs, played, json_file=json_file, html_file=html_file, jobs=jobs, verify=verify)


@lab.command()
def compare(
    scenario: _Scenarios,
    *,
    config: _Config = None,
    seed: _Seed = None,
    seeds: _Seeds = None,
    rates: _Rates = None,
    seconds: _Seconds = None,
    json_file: _Json = None,
    html_file: _Html = None,
    jobs: _Jobs = None,
    verify: _Verify = False,
) -> None:
    """Play scenarios under several configurations, on the same faults.

    A fault is drawn for a request and its attempt: what fails does not depend on what a configuration did before.
    """
    chosen = configurations_of(config or ())
    if len(chosen) < 2:
        raise InvalidInputError("--config", "has to name at least two, e.g. --config holdfast,nothing")
    note_what_is_missing(chosen)
    played = scenarios_of(scenario, seconds)
    check_files((json_file, "--json"), (html_file, "--html"))
    runs = [one for each in played for one in runs_for(each, chosen, seed=seed, seeds=seeds, rates=rates)]
    finish(runs, played, json_file=json_file, html_file=html_file, jobs=jobs, verify=verify)
