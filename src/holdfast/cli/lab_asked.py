"""What ``holdfast lab`` is asked to play: scenarios, configurations, seeds and rates, as runs."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.cli.output import note
from holdfast.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holdfast.lab.configurations.base import Configuration
    from holdfast.lab.runs.play import Run
    from holdfast.lab.scenarios.scenario import Scenario

__all__ = ["beside", "configurations_of", "note_what_is_missing", "runs_for", "scenarios_of"]

_PATTERN = frozenset("*?[")


def scenarios_of(names: Iterable[str], seconds: float | None) -> list[Scenario]:
    """The scenarios of these names and files; one that plays its faults apart is as many as it has.

    Args:
        names: shipped ones, or files.
        seconds: how long they are played; None: as long as they say.

    Raises:
        NotFoundError: there is no such scenario or file.
        ConfigError: something in a file is wrong.
    """
    return [case for name in dict.fromkeys(names) for case in _scenario(name, seconds).cases()]


def configurations_of(given: Iterable[str]) -> list[Configuration]:
    """The configurations of these names and patterns, in their order, each once.

    Args:
        given: names and patterns, with commas between. A pattern leaves out what cannot be played here.

    Raises:
        NotFoundError: no configuration has this name, or fits the pattern.
        PeerMissingError: a package is needed that is not installed.
    """
    from holdfast.lab.configurations.peers import PeerMissingError
    from holdfast.lab.configurations.registry import configuration_of, configurations

    found: dict[str, Configuration] = {}
    for name in filter(None, (part.strip() for each in given for part in each.split(","))):
        fitting = [each for each in configurations() if fnmatchcase(each, name)] if _PATTERN & set(name) else [name]
        if not fitting:
            raise NotFoundError("configuration", f"No configuration fits {name!r}. `holdfast lab list` shows them.")
        for each in fitting:
            configuration = configuration_of(each)
            try:
                if configuration.check is not None:
                    configuration.check()
            except PeerMissingError as error:
                if each == name:
                    raise
                note(f"Left out: {error}")
                continue
            found[each] = configuration
    return list(found.values())


def beside(configurations: Sequence[Configuration]) -> list[Configuration]:
    """What is under test, and what it is measured by: itself without local answers, and no policy at all."""
    from holdfast.lab.configurations.registry import BASELINES, configuration_of

    known = {each.name for each in configurations}
    return [*configurations, *(configuration_of(name) for name in BASELINES if name not in known)]


def note_what_is_missing(configurations: Iterable[Configuration]) -> None:
    """Say it where the report will lack something for want of what it is compared with."""
    from holdfast.lab.configurations.registry import DEFAULT, NOTHING, WITHOUT

    names = {each.name for each in configurations}
    if DEFAULT not in names and any(name.startswith(WITHOUT) for name in names):
        note(f"What a part is worth is told only where {DEFAULT} is played as well.")
    if NOTHING not in names:
        note(f"What is saved, and the resilience score, are told only where {NOTHING} is played as well.")


def runs_for(
    scenario: Scenario,
    configurations: Iterable[Configuration],
    *,
    seed: int | None,
    seeds: int | None,
    rates: str | None,
) -> list[Run]:
    """The runs of one scenario.

    Args:
        seed: the first one; None: the scenario's.
        seeds: how many, from the first one on; None: one.
        rates: numbers with commas between; None: the scenario's.

    Raises:
        InvalidInputError: the rates are none, or the scenario has none.
    """
    from holdfast.lab.runs.play import runs_of

    first = scenario.seed if seed is None else seed
    return runs_of(scenario, configurations, seeds=range(first, first + (seeds or 1)), rates=_rates(rates, scenario))


def _scenario(name: str, seconds: float | None) -> Scenario:
    from holdfast.lab.scenarios.loader import load_scenario, shipped, shipped_names

    # a shipped one wins over a file that happens to lie there, unless it looks like a file
    known = name in shipped_names()
    chosen = load_scenario(Path(name)) if not known and (name.endswith(".toml") or "/" in name) else shipped(name)
    return chosen if seconds is None else replace(chosen, seconds=seconds)


def _rates(given: str | None, scenario: Scenario) -> list[float] | None:
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
