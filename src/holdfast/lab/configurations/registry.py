"""Every configuration that comes with the lab, by name."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from holdfast.core.profiles import AGGRESSIVE, BALANCED, CONSERVATIVE, COST_OPTIMIZED
from holdfast.errors import NotFoundError
from holdfast.lab.configurations.base import Configuration
from holdfast.lab.configurations.calls import Repeated
from holdfast.lab.configurations.peers import check_peers, tenacity_pybreaker
from holdfast.lab.configurations.plain import PlainProgram
from holdfast.rag.policies import Policies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.core.profiles import Profile
    from holdfast.lab.world.program import Program
    from holdfast.lab.world.world import World

__all__ = ["BASELINES", "DEFAULT", "NOTHING", "WITHOUT", "configuration_of", "configurations"]

DEFAULT = "holdfast"
"""The service as it is."""
NOTHING = "nothing"
"""What everything else is compared with."""
BASELINES = ("no-local-fallbacks", NOTHING)
"""What is played beside a configuration where nobody says what to compare it with."""
WITHOUT = "without-"
"""How the names of those begin that leave one part out of the default."""

_ONE_PROVIDER = "openai/gpt-4o-mini, openai/gpt-4.1-nano"


def nothing(world: World) -> Program:
    """The plain program."""
    return PlainProgram(world)


def retries_only(world: World) -> Program:
    """The plain program, with every call repeated."""
    return PlainProgram(world, calls=Repeated(world))


@cache
def configurations() -> Mapping[str, Configuration]:
    """All of them, by name, in the order in which reports show them."""
    every = (
        Configuration(name=DEFAULT, about="The service as it is, with models of two providers."),
        _profile("conservative", CONSERVATIVE, "critical systems"),
        _profile("balanced", BALANCED, "most"),
        _profile("aggressive", AGGRESSIVE, "high traffic"),
        _profile("cost-optimized", COST_OPTIMIZED, "small budgets"),
        Configuration(
            name="one-provider",
            about="The service with two models of one provider, and no other provider.",
            settings={"model": _ONE_PROVIDER},
        ),
        Configuration(
            name="no-local-fallbacks",
            about="The service without what it has at hand itself: last good answers, the FAQ, quoted passages, "
            "the copy of the documents.",
            policies=Policies(remembered=False, frequent=False, quotes=False, standby=False),
        ),
        Configuration(
            name="retries-only",
            about="A plain program with one model that repeats every failed call, and does nothing else.",
            program=retries_only,
        ),
        Configuration(
            name=NOTHING,
            about="A plain program with one model, whose users get every failure.",
            program=nothing,
        ),
        _without("retry", "repetition of failed calls", policies=Policies(retries=False)),
        _without("breaker", "circuit breakers", policies=Policies(breakers=False)),
        _without("failover", "another model when the first one fails", policies=Policies(failover=False)),
        _without("hedge", "another model beside one that takes long", policies=Policies(hedges=False)),
        _without("cache", "caches, the last good answers among them", settings={"cache_size": 0}),
        _without(
            "lexical", "the search by words that stands in for the one by vectors", policies=Policies(words=False)
        ),
        _without("standby", "the copy of the documents for when the store fails", policies=Policies(standby=False)),
        _without("stale", "last good answers", policies=Policies(remembered=False)),
        _without("extract", "passages quoted in place of a model's answer", policies=Policies(quotes=False)),
        _without("probes", "probes in the background", policies=Policies(probes=False)),
        Configuration(
            name="tenacity-pybreaker",
            about="A plain program with two models, tenacity and pybreaker around each call, as users combine them.",
            program=tenacity_pybreaker,
            check=check_peers,
        ),
    )
    return MappingProxyType({each.name: each for each in every})


def configuration_of(name: str) -> Configuration:
    """The configuration of that name.

    Raises:
        NotFoundError: there is none; the message lists those there are.
    """
    known = configurations()
    if name not in known:
        raise NotFoundError(
            "configuration", f"There is no configuration {name!r}. There are: {', '.join(sorted(known))}."
        )
    return known[name]


def _profile(name: str, profile: Profile, whom: str) -> Configuration:
    return Configuration(
        name=name,
        about=f"The service by the numbers of the {name} profile, which is for {whom}.",
        settings={"queue_size": profile.queue_size},
        policies=Policies(profile=profile),
    )


def _without(part: str, what: str, **changes: Any) -> Configuration:  # noqa: ANN401 - those of a configuration
    return Configuration(name=f"{WITHOUT}{part}", about=f"The service without {what}.", **changes)
