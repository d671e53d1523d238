"""Routes without a file: from the names of targets, with keys out of the environment."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from holdfast.errors import ConfigError
from holdfast.llm.routing.file import read_routes
from holdfast.llm.tables import TableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.llm.routing.targets import EmbeddingRoute, RouteOptions, Routes, Target

__all__ = ["embedding_route", "routes_from_names", "target_from_name"]

_EXAMPLE = 'must name a provider and its model, e.g. "openai/gpt-4o-mini"'


def routes_from_names(
    models: str,
    *,
    name: str = "default",
    options: RouteOptions | None = None,
    environ: Mapping[str, str] | None = None,
    field: str = "model",
) -> Routes:
    """One chat route whose targets are the ``models``, in the order of preference.

    Args:
        models: ``"openai/gpt-4o-mini"``, or several with commas between them.
        name: what to call the route.
        options: time and calls.
        environ: where keys are looked for; the process' environment by default.
        field: what to call ``models`` in an error.

    Raises:
        ConfigError: a name is no target, a provider is not known, or its key is not there.
    """
    names = [each.strip() for each in models.split(",")]
    if not all(names):
        raise ConfigError(field, models, f"{_EXAMPLE}, or several with commas between them")
    routes = _read({"models": {name: {"targets": names}}}, field, models, environ)
    if options is None:
        return routes
    return replace(routes, models={name: replace(routes.models[name], options=options)})


def target_from_name(name: str, *, environ: Mapping[str, str] | None = None, field: str = "target") -> Target:
    """The target ``"openai/gpt-4o-mini"``, with the keys of its provider.

    Args:
        name: provider and model.
        environ: where keys are looked for; the process' environment by default.
        field: what to call ``name`` in an error.

    Raises:
        ConfigError: it is no target, the provider is not known, or its key is not there.
    """
    return _read({"models": {"default": {"targets": [name]}}}, field, name, environ).models["default"].targets[0]


def embedding_route(
    names: str,
    *,
    dimension: int | None = None,
    name: str = "default",
    environ: Mapping[str, str] | None = None,
    field: str = "model",
) -> EmbeddingRoute:
    """An embedding route, e.g. for ``"openai/text-embedding-3-small"``, or for several with commas between them.

    Args:
        names: the targets; all of one model.
        dimension: numbers in a vector; None: what the model gives by itself.
        name: what to call the route.
        environ: where keys are looked for; the process' environment by default.
        field: what to call ``names`` in an error.

    Raises:
        ConfigError: as for :func:`routes_from_names`; or the dimension is not known; or they are of several models.
    """
    listed = [each.strip() for each in names.split(",")]
    if not all(listed):
        raise ConfigError(field, names, f"{_EXAMPLE}, or several with commas between them")
    table: dict[str, Any] = {"targets": listed}
    if dimension is not None:
        table["dimension"] = dimension
    return _read({"embeddings": {name: table}}, field, names, environ).embeddings[name]


def _read(content: dict[str, Any], field: str, given: str, environ: Mapping[str, str] | None) -> Routes:
    """Read it as if it stood in a file, and say what is wrong about what was given instead."""
    try:
        return read_routes(content, environ=environ)
    except TableError as error:
        rules = [f"{one.path if one.value is None else one.value} {one.rule}" for one in error.problems]
        raise ConfigError(field, given, "; ".join(dict.fromkeys(rules))) from error
