"""Whom to ask: providers, their models as targets, and the routes that are made of targets.

A *link* to a provider is one of its models with one of its keys. What is true of a model or a link whoever uses it (its
breaker, its limits) stands at the provider; how patient a question is, at the route.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  type hints of options are read at run time
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal, TypeAlias, TypeVar, get_args

from holdfast.core._fault_tables import PROVIDERS
from holdfast.core._options import flag, options_by_name, per_minute, positive, text, whole
from holdfast.core.breaker_options import MODEL, BreakerOptions
from holdfast.errors import ConfigError, NotFoundError
from holdfast.llm._checks import (
    Checked,
    address,
    by,
    header_fields,
    instance,
    model_name,
    one_of,
    optional,
    plain_http,
    short_name,
)
from holdfast.llm.routing.keys import Key
from holdfast.llm.routing.options import EMBEDDING_OPTIONS, Choice, RetryOptions, RouteOptions, StreamTimers

__all__ = [
    "EMBEDDING_OPTIONS",
    "NO_KEY",
    "Choice",
    "EmbeddingRoute",
    "Key",
    "Kind",
    "LimitField",
    "ModelRoute",
    "Provider",
    "RetryOptions",
    "RouteOptions",
    "Routes",
    "StreamTimers",
    "Target",
]

Kind: TypeAlias = Literal["openai", "anthropic", "voyage"]
LimitField: TypeAlias = Literal["max_tokens", "max_completion_tokens"]

NO_KEY = Key(name="no key", value="")
"""The key of a provider that needs none."""

_SHORTEST_SECRET = 8  # a shorter header value would blank out ordinary words

_RouteT = TypeVar("_RouteT")


# --- providers and targets --------------------------------------------------------------------------------------------


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class Provider(Checked):
    """A server that answers, and what to know of it.

    Attributes:
        name: what to call it, in targets ("openai/gpt-4o"), events and metrics.
        kind: the protocol that it speaks: ``"openai"``, ``"anthropic"`` or ``"voyage"``.
        base_url: the address that the protocol's paths are put behind, e.g. ``"https://api.openai.com/v1"``, or
            ``"https://api.anthropic.com"``, whose paths begin with the version.
        keys: one or more, with different names and values. A provider that needs none has :data:`NO_KEY`.
        error_table: whose error codes it uses, see ``holdfast.core.classify``; None goes by those of all providers.
        finish_required: whether a whole answer always says why it ends. Where it does not (Ollama), a stream that ends
            without a reason is taken as whole; where it does, such a stream was cut.
        limit_field: what the limit of an answer's tokens is called in a chat, ``"max_tokens"`` or
            ``"max_completion_tokens"``: OpenAI's own newer models take only the second, other servers only the first.
        headers: header fields for each request. They may hold secrets, so they are not shown.
        prices_as: the provider whose prices count for this one; None is itself.
        allow_http: whether an http address outside one's own network is allowed.
        requests_per_minute: requests that each link may make a minute, from one in two years to 10 million a second;
            None learns it from the responses.
        tokens_per_minute: tokens that each link may use a minute; None learns it from the responses.
        max_concurrent: calls under way at once on one link, 1 or more; None is no bound.
        breaker: the circuit breaker of each model.

    Raises:
        ConfigError: a value is out of its range.
    """

    name: str = field(metadata=by(short_name))
    kind: Kind = field(default="openai", metadata=by(one_of(*get_args(Kind))))
    base_url: str = field(metadata=by(address))
    keys: tuple[Key, ...] = (NO_KEY,)
    error_table: str | None = field(default=None, metadata=by(optional(one_of(*PROVIDERS))))
    finish_required: bool = field(default=True, metadata=by(flag))
    limit_field: LimitField = field(default="max_tokens", metadata=by(one_of(*get_args(LimitField))))
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False, metadata=by(header_fields))
    prices_as: str | None = field(default=None, metadata=by(optional(short_name)))
    allow_http: bool = field(default=False, metadata=by(flag))
    requests_per_minute: float | None = field(default=None, metadata=by(optional(per_minute)))
    tokens_per_minute: float | None = field(default=None, metadata=by(optional(per_minute)))
    max_concurrent: int | None = field(default=None, metadata=by(optional(lambda f, v: whole(f, v, least=1))))
    breaker: BreakerOptions = field(default=MODEL, metadata=by(instance(BreakerOptions)))

    def _check_together(self) -> None:
        keys: object = self.keys
        if not isinstance(keys, tuple) or not keys or not all(isinstance(each, Key) for each in keys):
            raise ConfigError("keys", keys if isinstance(keys, tuple) and not keys else "[hidden]", "must be 1 or more")
        if any(len({getattr(each, one) for each in self.keys}) < len(self.keys) for one in ("name", "value")):
            raise ConfigError("keys", self.keys, "must be different from each other")
        if plain_http(self.base_url) and not self.allow_http:
            rule = "must be https, or keys and texts cross the network in the clear; allow_http = true allows it"
            raise ConfigError("base_url", self.base_url, rule)

    @property
    def priced_as(self) -> str:
        """The provider's name in the table of prices."""
        return self.prices_as or self.name

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that must never appear in an error: its keys, and the longer ones of its header values."""
        values = (*(each.value for each in self.keys), *self.headers.values())
        return tuple(each for each in values if len(each) >= _SHORTEST_SECRET)


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Checked):
    """One model of one provider.

    Attributes:
        provider: who has it.
        model: its name there.
        weight: its share of the calls beside the other targets of a balanced route, above 0.
        context_tokens: tokens that question and answer may have together, 1 or more; None is unknown.
        max_output_tokens: tokens that an answer may have, 1 or more; None is unknown.
        model_id: for embeddings, what the model is called everywhere, where the provider calls it something else.
    """

    provider: Provider = field(metadata=by(instance(Provider)))
    model: str = field(metadata=by(model_name))
    weight: float = field(default=1.0, metadata=by(positive))
    context_tokens: int | None = field(default=None, metadata=by(optional(lambda f, v: whole(f, v, least=1))))
    max_output_tokens: int | None = field(default=None, metadata=by(optional(lambda f, v: whole(f, v, least=1))))
    model_id: str | None = field(default=None, metadata=by(optional(model_name)))

    @property
    def name(self) -> str:
        """Provider and model: ``"openai/gpt-4o-mini"``."""
        return f"{self.provider.name}/{self.model}"

    @property
    def known_as(self) -> str:
        """``model_id``, or the model's name where there is none."""
        return self.model_id or self.model


# --- routes -----------------------------------------------------------------------------------------------------------


def _targets(field_name: str, value: object) -> tuple[Target, ...]:
    if not isinstance(value, tuple) or not all(isinstance(each, Target) for each in value):
        raise ConfigError(field_name, value, "must be a tuple of targets")
    names = [each.name for each in value]
    twice = next((each for each in names if names.count(each) > 1), None)
    if twice is not None:
        raise ConfigError(field_name, twice, "must be there once; weight gives it a larger share")
    return value


def _main_targets(field_name: str, value: object) -> tuple[Target, ...]:
    targets = _targets(field_name, value)
    if not targets:
        raise ConfigError(field_name, value, "must be 1 target or more")
    return targets


def _chat_targets(field_name: str, value: object) -> tuple[Target, ...]:
    targets = _targets(field_name, value)
    for each in targets:
        if each.provider.kind == "voyage":
            raise ConfigError(field_name, each.name, "must be a chat model; Voyage has embeddings only")
    return targets


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRoute(Checked):
    """A chat model as callers name it: the targets that stand behind it.

    Attributes:
        name: what callers ask for.
        targets: 1 or more, in the order of preference.
        larger: asked when a question is too long for a target.
        filtered: asked when a target withholds an answer because of its content.
        options: time and calls.
    """

    name: str = field(metadata=by(short_name))
    targets: tuple[Target, ...] = field(metadata=by(_chat_targets))
    larger: tuple[Target, ...] = field(default=(), metadata=by(_chat_targets))
    filtered: tuple[Target, ...] = field(default=(), metadata=by(_chat_targets))
    options: RouteOptions = field(default_factory=RouteOptions, metadata=by(instance(RouteOptions)))

    def _check_together(self) -> None:
        _main_targets("targets", self.targets)

    @property
    def home(self) -> tuple[Target, ...]:
        """The targets whose answers are nothing special: the first one, or all where the load is spread."""
        return self.targets[:1] if self.options.choose == "ordered" else self.targets

    @property
    def every_target(self) -> tuple[Target, ...]:
        """The targets of all three lists, each once."""
        return tuple(dict.fromkeys((*self.targets, *self.larger, *self.filtered)))


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRoute(Checked):
    """An embedding model, and the targets that have it. Vectors of two models never mix, so all have the same one.

    Attributes:
        name: what callers ask for.
        model_id: the model, whatever a provider calls it; with ``dimension`` it names the space of the vectors.
        dimension: numbers in one vector, 1 or more.
        ask_dimension: whether a request must name the dimension, because it is not what the model gives by itself.
        targets: 1 or more, in the order of preference.
        options: time and calls.
    """

    name: str = field(metadata=by(short_name))
    model_id: str = field(metadata=by(model_name))
    dimension: int = field(metadata=by(lambda f, v: whole(f, v, least=1)))
    ask_dimension: bool = field(default=False, metadata=by(flag))
    targets: tuple[Target, ...] = field(metadata=by(_main_targets))
    options: RouteOptions = field(default=EMBEDDING_OPTIONS, metadata=by(instance(RouteOptions)))

    @property
    def every_target(self) -> tuple[Target, ...]:
        """The targets, as a chat route names all of its own."""
        return self.targets

    def _check_together(self) -> None:
        for each in self.targets:
            if each.provider.kind == "anthropic":
                raise ConfigError("targets", each.name, "must be an embedding model; Anthropic has none")
            if each.known_as != self.model_id:
                rule = (
                    f"must be the model {self.model_id}: embeddings fail over only within one model and dimension; "
                    "where the provider has another name for it, say so with model_id"
                )
                raise ConfigError("targets", each.name, rule)


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Everything that is configured.

    Attributes:
        providers: by name; those that routes use (added by themselves), and others that are described.
        models: chat routes by name.
        embeddings: embedding routes by name.
        warnings: sentences on what does not stop it from working, such as one key of several that is not set.
    """

    providers: Mapping[str, Provider] = field(default_factory=dict)
    models: Mapping[str, ModelRoute] = field(default_factory=dict)
    embeddings: Mapping[str, EmbeddingRoute] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for option in ("providers", "models", "embeddings"):
            entries = getattr(self, option)
            for key, entry in entries.items():
                if key != entry.name:
                    raise ConfigError(option, key, f"must be the name of what it stands for, {entry.name!r}")
            object.__setattr__(self, option, dict(entries))
        providers = dict(self.providers)
        used = [route.every_target for route in self.models.values()]
        used += [route.targets for route in self.embeddings.values()]
        for targets in used:
            for provider in (each.provider for each in targets):
                if providers.setdefault(provider.name, provider) != provider:
                    rule = "must stand for one provider; routes use two that differ under this name"
                    raise ConfigError("providers", provider.name, rule)
        object.__setattr__(self, "providers", providers)

    def model(self, wanted: str) -> ModelRoute:
        """The chat route of that name.

        Raises:
            NotFoundError: there is none; the message lists those there are.
        """
        return _find("model", wanted, self.models)

    def embedding(self, wanted: str) -> EmbeddingRoute:
        """The embedding route of that name.

        Raises:
            NotFoundError: there is none; the message lists those there are.
        """
        return _find("embedding model", wanted, self.embeddings)


def _find(what: str, wanted: str, known: Mapping[str, _RouteT]) -> _RouteT:
    route = known.get(text(what, wanted))
    if route is not None:
        return route
    if not known:
        raise NotFoundError("model", f"There is no {what} {wanted!r}: none is configured.")
    close = get_close_matches(wanted, known, 1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise NotFoundError("model", f"There is no {what} {wanted!r}{hint} There are: {', '.join(sorted(known))}.")
