"""Reads ``models.toml``: providers, chat routes and embedding routes. Everything that is wrong is told at once."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.errors import ConfigError
from holdfast.llm._checks import check_of, model_name, short_name
from holdfast.llm.routing._providers import BREAKER_KEYS, PROVIDER_KEYS, Providers
from holdfast.llm.routing.known import DIMENSIONS
from holdfast.llm.routing.targets import (
    EMBEDDING_OPTIONS,
    EmbeddingRoute,
    ModelRoute,
    RouteOptions,
    Routes,
    StreamTimers,
    Target,
)
from holdfast.llm.tables import Problems, Table, read_toml

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KEYS", "load_routes", "read_routes"]

_TOP_KEYS = ("providers", "models", "embeddings")
_TARGET_KEYS = ("provider", "model", "weight", "context_tokens", "max_output_tokens", "model_id")
_TIMER_KEYS = ("connect", "headers", "first_token", "inter_token", "total")
_RETRY_KEYS = ("max_retries", "initial_delay", "max_delay")
_PLAIN_OPTIONS = ("max_calls", "deadline_seconds", "attempt_seconds", "hedge_after", "hedge_percent", "choose")
_CHAT_LISTS = ("targets", "larger", "filtered")
_MODEL_KEYS = (*_CHAT_LISTS, *_PLAIN_OPTIONS, "continue_streams", "timers", "retry")
_EMBEDDING_KEYS = ("model_id", "dimension", "ask_dimension", "targets", *_PLAIN_OPTIONS, "retry")

KEYS: Mapping[str, tuple[str, ...]] = {
    "": _TOP_KEYS,
    "providers.NAME": PROVIDER_KEYS,
    "providers.NAME.breaker": BREAKER_KEYS,
    "models.NAME": _MODEL_KEYS,
    "models.NAME.timers": _TIMER_KEYS,
    "models.NAME.retry": _RETRY_KEYS,
    "embeddings.NAME": _EMBEDDING_KEYS,
    "embeddings.NAME.retry": _RETRY_KEYS,
    "target": _TARGET_KEYS,
}
"""Every key of the file, by table; ``target`` is an entry of a list of targets."""


def load_routes(path: str | Path, environ: Mapping[str, str] | None = None) -> Routes:
    """The routes of a file.

    Args:
        path: of the TOML file; see ``docs/reference/models-file.md``.
        environ: where keys are looked for; the process' environment by default.

    Raises:
        TableError: the file cannot be read, or something in it is wrong; it lists all that is.
    """
    file = Path(path).expanduser()
    return read_routes(read_toml(file), file=str(path), folder=file.parent, environ=environ)


def read_routes(
    content: Mapping[str, Any],
    *,
    file: str = "models.toml",
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Routes:
    """The routes of a file's parsed ``content``.

    Args:
        content: the tables.
        file: what to call it in errors.
        folder: where the relative path of a key's file counts from; the working directory by default.
        environ: see :func:`load_routes`.

    Raises:
        TableError: something in it is wrong; it lists all that is.
    """
    problems = Problems(file)
    top = Table("", content, problems)
    top.only(_TOP_KEYS)
    variables = os.environ if environ is None else environ
    providers = Providers(top.tables("providers"), environ=variables, folder=folder or Path())
    models = {name: _model(name, table, providers) for name, table in top.tables("models").items()}
    embeddings = {name: _embedding(name, table, providers) for name, table in top.tables("embeddings").items()}
    providers.make_rest()
    if not models and not embeddings and not problems.found:
        top.add("models", None, "must hold a route or more, unless embeddings does")
    problems.refuse()
    return Routes(
        providers=providers.made,
        models={name: route for name, route in models.items() if route is not None},
        embeddings={name: route for name, route in embeddings.items() if route is not None},
        warnings=tuple(providers.warnings),
    )


def _model(name: str, table: Table, providers: Providers) -> ModelRoute | None:
    before = len(table.problems.found)
    table.only(_MODEL_KEYS)
    _check_name(name, table)
    lists = {each: _targets(table, each, providers) for each in _CHAT_LISTS}
    options = _options(table, RouteOptions(), (*_PLAIN_OPTIONS, "continue_streams"))
    timers = _nested(table.table("timers"), StreamTimers(), _TIMER_KEYS)
    if len(table.problems.found) > before or None in lists.values():
        return None
    built: ModelRoute | None = table.build(
        ModelRoute, {"name": name, **lists, "options": replace(options, timers=timers)}
    )
    return built


def _embedding(name: str, table: Table, providers: Providers) -> EmbeddingRoute | None:
    before = len(table.problems.found)
    table.only(_EMBEDDING_KEYS)
    _check_name(name, table)
    targets = _targets(table, "targets", providers)
    options = _options(table, EMBEDDING_OPTIONS, _PLAIN_OPTIONS)
    model_id = table.take("model_id", model_name) or (targets[0].known_as if targets else "")
    native = DIMENSIONS.get(model_id)
    dimension = table.take("dimension", check_of(EmbeddingRoute, "dimension"))
    if dimension is None and "dimension" not in table and targets:
        dimension = native
        if native is None:
            table.add("dimension", None, f"must be given: nobody here knows the dimension of {model_id}")
    ask = table.take("ask_dimension", check_of(EmbeddingRoute, "ask_dimension"))
    if len(table.problems.found) > before or targets is None:
        return None
    values = {
        "name": name,
        "model_id": model_id,
        "dimension": dimension,
        "ask_dimension": native not in {None, dimension} if ask is None else ask,
        "targets": targets,
        "options": options,
    }
    built: EmbeddingRoute | None = table.build(EmbeddingRoute, values)
    return built


def _check_name(name: str, table: Table) -> None:
    try:
        short_name("name", name)
    except ConfigError as error:
        table.problems.add(table.path, name, error.rule)


def _options(table: Table, preset: RouteOptions, keys: tuple[str, ...]) -> RouteOptions:
    values = {key: table.take(key, check_of(RouteOptions, key)) for key in keys if key in table}
    given = {key: value for key, value in values.items() if value is not None}
    return replace(preset, **given, retry=_nested(table.table("retry"), preset.retry, _RETRY_KEYS))


def _nested(table: Table, preset: Any, keys: tuple[str, ...]) -> Any:  # noqa: ANN401  one of the classes of options
    table.only(keys)
    before = len(table.problems.found)
    values = {key: table.take(key, check_of(type(preset), key)) for key in keys if key in table}
    if len(table.problems.found) > before:
        return preset
    return table.build(lambda **given: replace(preset, **given), values) or preset


# --- targets ----------------------------------------------------------------------------------------------------------


def _targets(table: Table, key: str, providers: Providers) -> tuple[Target, ...] | None:
    """The targets of a list; None when one of them is wrong, for its own reason or for one told before."""
    entries = table.content.get(key, [])
    if not isinstance(entries, list) or (key == "targets" and not entries):
        table.add(key, None if key not in table else entries, 'must be a list of targets, e.g. ["openai/gpt-4o-mini"]')
        return None
    found = [_target(table, f"{key}[{index}]", entry, providers) for index, entry in enumerate(entries)]
    good = tuple(each for each in found if each is not None)
    return good if len(good) == len(found) else None


def _target(table: Table, key: str, entry: object, providers: Providers) -> Target | None:
    place = f"{table.path}.{key}"
    if isinstance(entry, str):
        provider, slash, model = entry.partition("/")
        if not (provider and slash and model):
            rule = 'must name a provider and its model, e.g. "openai/gpt-4o-mini"'
            table.problems.add(place, entry, rule)
            return None
        entry = {"provider": provider, "model": model}
    if not isinstance(entry, dict):
        table.problems.add(place, entry, 'must be text, e.g. "openai/gpt-4o-mini", or a table with provider and model')
        return None
    return _from_table(Table(place, entry, table.problems), providers)


def _from_table(table: Table, providers: Providers) -> Target | None:
    before = len(table.problems.found)
    table.only(_TARGET_KEYS)
    for needed in ("provider", "model"):
        if needed not in table:
            table.add(needed, None, "must be given")
    values = {key: table.take(key, check_of(Target, key)) for key in _TARGET_KEYS[1:] if key in table}
    wanted = table.take("provider", short_name)
    provider = providers.get(wanted, table, "provider") if wanted is not None else None
    if provider is None or len(table.problems.found) > before:
        return None
    built: Target | None = table.build(Target, {**values, "provider": provider})
    return built
