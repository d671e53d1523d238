"""The models of the service, from its settings: which route answers, which one embeds, and whom to ask."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from holdfast.core.breaker_snapshot import BreakerState
from holdfast.errors import ConfigError
from holdfast.llm.routing.file import load_routes
from holdfast.llm.routing.options import RouteOptions
from holdfast.llm.routing.short import embedding_route, routes_from_names
from holdfast.llm.routing.targets import Routes
from holdfast.rag.conversations.asking import RouteCompleter
from holdfast.rag.settings_sources import variables_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.core.pipeline import Pipeline
    from holdfast.llm.client import ModelClient
    from holdfast.llm.routing.link import Link, LinkSnapshot
    from holdfast.llm.routing.targets import Target
    from holdfast.rag.settings import Settings

__all__ = ["ANSWERS", "Configured", "Models", "configured_models"]

ANSWERS = "answers"
"""The route that answers questions, where a file of routes has several and none is named."""

_CHEAP = "cheap"
_EMBEDS = "embedder"
_KEYS = ("openai_api_key", "anthropic_api_key", "voyage_api_key")
_SOON_NS = 5_000_000_000
"""A model that asked to be left alone for less is not missed."""
_ANSWERS_IN_TIME, _BEGINNINGS_IN_TIME = 2, 3
"""Targets that can be too slow, one after the other, within the time of a request: to the end, and to begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What the settings say of models.

    Attributes:
        routes: all that is configured.
        answers: the chat route that answers questions; None: answers are extracted.
        cheap: the chat route of the degraded tier; None: the same as ever.
        embeds: the embedding route; None: the embedder is local, or there is none.
    """

    routes: Routes
    answers: str | None = None
    cheap: str | None = None
    embeds: str | None = None


def configured_models(settings: Settings, environ: Mapping[str, str] | None = None) -> Configured | None:
    """What the settings say of models; None when they name none. Reads ``models_file``.

    Args:
        settings: the settings.
        environ: where the keys of providers are looked for that are not settings; the process' own by default.

    Raises:
        ConfigError: a model, route or provider is not known, its key is not there, or the file is wrong.
    """
    variables = _with_keys(settings, os.environ if environ is None else environ)
    remote = settings.embedder if settings.embedder not in {"local", "none"} else None
    if settings.models_file is not None:
        routes = load_routes(settings.models_file, variables)
        answers = _answering(routes, settings.model)
    elif settings.model is not None:
        routes = routes_from_names(settings.model, name=ANSWERS, options=_patience(settings), environ=variables)
        answers = ANSWERS
    else:
        routes, answers = Routes(), None
    routes, cheap = _with_cheap(routes, settings, answers, variables)
    if remote is None:
        return Configured(routes=routes, answers=answers, cheap=cheap) if answers is not None else None
    if "/" in remote:
        route = embedding_route(remote, name=_EMBEDS, environ=variables, field="embedder")
        routes = replace(routes, embeddings={**routes.embeddings, route.name: route})
        return Configured(routes=routes, answers=answers, cheap=cheap, embeds=route.name)
    if remote not in routes.embeddings:
        known = ", ".join(["local", "none", *sorted(routes.embeddings)])
        rule = f"must be one of {known}, or PROVIDER/MODEL, e.g. openai/text-embedding-3-small"
        raise ConfigError("embedder", remote, rule)
    return Configured(routes=routes, answers=answers, cheap=cheap, embeds=remote)


class Models:
    """The models that are in use.

    Args:
        client: asks them.
        configured: what for.

    Attributes:
        client: as given.
        answers, cheap, embeds: the routes, see :class:`Configured`.
        home: the models that answer when all is well.
        writing: all models that may answer.
    """

    def __init__(self, client: ModelClient, configured: Configured) -> None:
        self.client = client
        self.answers, self.cheap, self.embeds = configured.answers, configured.cheap, configured.embeds
        self.home: tuple[Target, ...] = ()
        self.writing: tuple[Target, ...] = ()
        for route in (self.answers, self.cheap):
            if route is not None:
                self.writing += client.routes.model(route).every_target
        self.writing = tuple(dict.fromkeys(self.writing))
        if self.answers is not None:
            self.home = client.routes.model(self.answers).home
        embedding = () if self.embeds is None else client.routes.embedding(self.embeds).targets
        self._links = tuple(client.network.links([*self.writing, *embedding]))
        self._links_to: dict[str, list[Link]] = {}
        for link in self._links:
            self._links_to.setdefault(link.target.name, []).append(link)

    def guards(self) -> Mapping[str, Pipeline]:
        """The pipelines around the calls, by the name of the model."""
        return {link.state.name: link.guard for link in self._links}

    def completer(self) -> RouteCompleter | None:
        """Who writes short texts for the service itself: the cheap model, where there is one."""
        route = self.cheap or self.answers
        return None if route is None else RouteCompleter(self.client, route)

    def is_well(self, name: str) -> bool:
        """Whether the target of this name can be counted on: with one of its keys it can be asked now, or soon."""
        for link in self._links_to.get(name, ()):
            if link.state.breaker.state is BreakerState.CLOSED:
                parked_ns, held_ns = link.key.parked_until_ns, link.not_before_ns
                if not (parked_ns or held_ns):
                    return True
                if max(parked_ns, held_ns) <= self.client.network.clock.now_ns() + _SOON_NS:
                    return True
        return False

    def links(self) -> tuple[LinkSnapshot, ...]:
        """Every model with every key, as it is now."""
        return tuple(link.snapshot() for link in self._links)


def _with_keys(settings: Settings, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment, with the keys that are settings, wherever they were set, under every name they are known by."""
    variables = dict(environ)
    for name in _KEYS:
        key = getattr(settings, name)
        if key is not None:
            first, *others = variables_of(name)
            variables[first] = key.get_secret_value()
            for other in others:
                variables.setdefault(other, key.get_secret_value())
    return variables


def _answering(routes: Routes, wanted: str | None, *, field: str = "model") -> str | None:
    """The chat route that answers: the one that is named, the only one, or the one that is called so."""
    if wanted is not None and wanted in routes.models:
        return wanted
    if wanted is None and len(routes.models) < 2:
        return next(iter(routes.models), None)
    if wanted is None and ANSWERS in routes.models:
        return ANSWERS
    known = ", ".join(sorted(routes.models)) or "none is there"
    raise ConfigError(field, wanted, f"must be a chat route of models_file: {known}")


def _with_cheap(
    routes: Routes, settings: Settings, answers: str | None, variables: Mapping[str, str]
) -> tuple[Routes, str | None]:
    """The routes, with that of the degraded tier; and its name, where it is another one than ever."""
    wanted = settings.cheap_model
    if wanted is None:
        return routes, None
    if answers is None:
        raise ConfigError("cheap_model", wanted, "needs a model that answers when all is well: set model, too")
    if settings.models_file is not None:
        return routes, _answering(routes, wanted, field="cheap_model")
    cheap = routes_from_names(wanted, name=_CHEAP, options=_patience(settings), environ=variables, field="cheap_model")
    return replace(routes, models={**routes.models, **cheap.models}), _CHEAP


def _patience(settings: Settings) -> RouteOptions:
    """A model that is too slow must leave time for another one, and does not keep anybody waiting who could have it."""
    defaults, seconds = RouteOptions(), settings.request_timeout
    timers, beginning = defaults.timers, seconds / _BEGINNINGS_IN_TIME
    return RouteOptions(
        deadline_seconds=seconds,
        attempt_seconds=min(defaults.attempt_seconds, seconds / _ANSWERS_IN_TIME),
        timers=replace(
            timers,
            headers=min(timers.headers, beginning),
            first_token=min(timers.first_token, beginning),
            total=max(timers.total, seconds),
        ),
        hedge_after="percentile",
        continue_streams=True,
    )
