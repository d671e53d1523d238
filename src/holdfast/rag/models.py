"""The models of the service, from its settings: which route answers, which one embeds, and whom to ask."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from holdfast.errors import ConfigError
from holdfast.llm.routing.file import load_routes
from holdfast.llm.routing.options import RouteOptions
from holdfast.llm.routing.short import embedding_route, routes_from_names
from holdfast.llm.routing.targets import Routes
from holdfast.rag.settings_sources import variables_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.core.pipeline import Pipeline
    from holdfast.llm.client import ModelClient
    from holdfast.llm.routing.link import LinkSnapshot
    from holdfast.llm.routing.targets import Target
    from holdfast.rag.settings import Settings

__all__ = ["ANSWERS", "Configured", "Models", "configured_models"]

ANSWERS = "answers"
"""The route that answers questions, where a file of routes has several and none is named."""

_EMBEDS = "embedder"
_KEYS = ("openai_api_key", "anthropic_api_key", "voyage_api_key")
_TRIES_IN_TIME = 2
"""Targets that can be too slow, one after the other, within the time of a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What the settings say of models.

    Attributes:
        routes: all that is configured.
        answers: the chat route that answers questions; None: answers are extracted.
        embeds: the embedding route; None: the embedder is local, or there is none.
    """

    routes: Routes
    answers: str | None = None
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
    elif remote is None:
        return None
    else:
        routes, answers = Routes(), None
    if remote is None:
        return Configured(routes=routes, answers=answers) if answers is not None else None
    if "/" in remote:
        route = embedding_route(remote, name=_EMBEDS, environ=variables, field="embedder")
        routes = replace(routes, embeddings={**routes.embeddings, route.name: route})
        return Configured(routes=routes, answers=answers, embeds=route.name)
    if remote not in routes.embeddings:
        known = ", ".join(["local", "none", *sorted(routes.embeddings)])
        rule = f"must be one of {known}, or PROVIDER/MODEL, e.g. openai/text-embedding-3-small"
        raise ConfigError("embedder", remote, rule)
    return Configured(routes=routes, answers=answers, embeds=remote)


class Models:
    """The models that are in use.

    Args:
        client: asks them.
        configured: what for.

    Attributes:
        client: as given.
        answers, embeds: the routes, see :class:`Configured`.
    """

    def __init__(self, client: ModelClient, configured: Configured) -> None:
        self.client = client
        self.answers, self.embeds = configured.answers, configured.embeds
        used: list[Target] = []
        if self.answers is not None:
            used += client.routes.model(self.answers).every_target
        if self.embeds is not None:
            used += client.routes.embedding(self.embeds).targets
        self._links = tuple(client.network.links(used))

    def guards(self) -> Mapping[str, Pipeline]:
        """The pipelines around the calls, by the name of the model."""
        return {link.state.name: link.guard for link in self._links}

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


def _answering(routes: Routes, wanted: str | None) -> str | None:
    """The chat route that answers: the one that is named, the only one, or the one that is called so."""
    if wanted is not None and wanted in routes.models:
        return wanted
    if wanted is None and len(routes.models) < 2:
        return next(iter(routes.models), None)
    if wanted is None and ANSWERS in routes.models:
        return ANSWERS
    known = ", ".join(sorted(routes.models)) or "none is there"
    raise ConfigError("model", wanted, f"must be a chat route of models_file: {known}")


def _patience(settings: Settings) -> RouteOptions:
    """A model that is too slow must leave time for another one."""
    defaults, seconds = RouteOptions(), settings.request_timeout
    timers, share = defaults.timers, seconds / _TRIES_IN_TIME
    return RouteOptions(
        deadline_seconds=seconds,
        attempt_seconds=min(defaults.attempt_seconds, share),
        timers=replace(
            timers,
            headers=min(timers.headers, share),
            first_token=min(timers.first_token, share),
            total=max(timers.total, seconds),
        ),
    )
