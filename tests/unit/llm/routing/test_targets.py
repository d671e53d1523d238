"""Providers, targets, options and routes: what they refuse, and how they say it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.breaker_options import MODEL
from holdfast.errors import ConfigError, NotFoundError
from holdfast.llm.routing.targets import (
    EMBEDDING_OPTIONS,
    NO_KEY,
    EmbeddingRoute,
    Key,
    ModelRoute,
    Provider,
    RetryOptions,
    RouteOptions,
    Routes,
    StreamTimers,
    Target,
)


def provider(name: str = "openai", **changes: Any) -> Provider:
    return Provider(**{"name": name, "base_url": "https://llm.example.com/v1", **changes})


def target(model: str = "m", **changes: Any) -> Target:
    return Target(**{"provider": provider(), "model": model, **changes})


def embedding_route(**changes: Any) -> EmbeddingRoute:
    return EmbeddingRoute(**{"name": "e", "model_id": "m", "dimension": 3, "targets": (target(),), **changes})


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (provider, "name", ""),
        (provider, "name", "a/b"),
        (provider, "name", 5),
        (provider, "kind", "cohere"),
        (provider, "base_url", "ftp://example.com"),
        (provider, "base_url", "https://"),
        (provider, "base_url", "llm.example.com/v1"),
        (provider, "base_url", "https://exam ple.com"),
        (provider, "base_url", "https://example.com:99999"),
        (provider, "base_url", "https://[::1"),
        (provider, "base_url", "https://a\\b"),
        (provider, "base_url", 7),
        (provider, "keys", ()),
        (provider, "keys", [NO_KEY]),
        (provider, "keys", ("text",)),
        (provider, "error_table", "groq"),
        (provider, "finish_required", "yes"),
        (provider, "headers", {"a b": "x"}),
        (provider, "headers", "x"),
        (provider, "prices_as", "a/b"),
        (provider, "allow_http", 1),
        (provider, "requests_per_minute", 0),
        (provider, "tokens_per_minute", -1),
        (provider, "max_concurrent", 0),
        (provider, "breaker", {}),
        (target, "provider", "openai"),
        (target, "model", " m"),
        (target, "model", ""),
        (target, "weight", 0),
        (target, "weight", float("nan")),
        (target, "context_tokens", 0),
        (target, "max_output_tokens", 1.5),
        (target, "model_id", ""),
        (StreamTimers, "connect", 0),
        (StreamTimers, "headers", -1),
        (StreamTimers, "first_token", True),
        (StreamTimers, "inter_token", "1"),
        (StreamTimers, "total", 4),
        (RetryOptions, "max_retries", -1),
        (RetryOptions, "initial_delay", -1),
        (RetryOptions, "max_delay", 0.5),
        (RouteOptions, "max_calls", 0),
        (RouteOptions, "deadline_seconds", 0),
        (RouteOptions, "attempt_seconds", 0),
        (RouteOptions, "timers", None),
        (RouteOptions, "retry", {}),
        (RouteOptions, "hedge_after", 0),
        (RouteOptions, "hedge_percent", 0),
        (RouteOptions, "hedge_percent", 101),
        (RouteOptions, "continue_streams", None),
        (RouteOptions, "choose", "random"),
        (embedding_route, "dimension", 0),
        (embedding_route, "targets", ()),
        (embedding_route, "ask_dimension", 1),
        (embedding_route, "options", None),
    ],
)
def test_value_out_of_range_names_the_field(make: Any, field: str, value: object) -> None:
    """A wrong value is a ConfigError that names the field and the rule."""
    with pytest.raises(ConfigError) as caught:
        make(**{field: value})
    assert caught.value.field == field
    assert caught.value.rule


def test_misspelled_option_names_the_closest() -> None:
    """A keyword that there is not is refused with the one that may be meant."""
    with pytest.raises(ConfigError, match="did you mean first_token"):
        StreamTimers(first_tokens=3)  # type: ignore[call-arg]


def test_address_shows_no_secret() -> None:
    """An address with a user or a query is refused, and the error shows neither."""
    for address in ("https://me:hunter2@example.com/v1", "https://example.com/v1?key=hunter2", "hunter2@example.com"):
        with pytest.raises(ConfigError) as caught:
            provider(base_url=address)
        assert "hunter2" not in str(caught.value)


def test_address_loses_the_slash_at_its_end() -> None:
    """Paths begin with a slash, so the address ends with none."""
    assert provider(base_url="https://example.com/v1/").base_url == "https://example.com/v1"


@pytest.mark.parametrize(
    "host",
    [
        "localhost:1234",
        "127.0.0.1:8000",
        "[::1]:8000",
        "10.1.2.3",
        "192.168.0.9",
        "vllm:8000",
        "gpu.local",
        "a.internal",
    ],
)
def test_plain_http_is_fine_at_home(host: str) -> None:
    """http is taken for loopback and private addresses, and for names of one's own network."""
    assert provider(base_url=f"http://{host}/v1").base_url == f"http://{host}/v1"


@pytest.mark.parametrize("host", ["api.example.com", "8.8.8.8", "[2001:4860:4860::8888]"])
def test_plain_http_elsewhere_needs_permission(host: str) -> None:
    """http over the open network is refused unless it is allowed."""
    with pytest.raises(ConfigError, match="allow_http"):
        provider(base_url=f"http://{host}/v1")
    assert provider(base_url=f"http://{host}/v1", allow_http=True).allow_http


@pytest.mark.parametrize(
    ("header", "value"), [("Host", "x"), ("content-length", "5"), ("x-a", "line\r\nbreak"), ("x-a", 5)]
)
def test_header_that_would_break_requests_is_refused_unseen(header: str, value: object) -> None:
    """Header fields of the connection, and values that could begin another header, are refused without their value."""
    with pytest.raises(ConfigError) as caught:
        provider(headers={header: value})
    assert caught.value.field == f"headers.{header}"
    assert caught.value.value == "[hidden]"


def test_headers_are_not_shown_and_are_secrets() -> None:
    """Header values are in no repr, and the long ones are among the texts to keep out of errors, like the keys."""
    made = provider(keys=(Key(name="K", value="sk-0123456789"),), headers={"x-token": "tok-12345678", "x-a": "1"})
    assert "tok-12345678" not in repr(made)
    assert made.secrets == ("sk-0123456789", "tok-12345678")


def test_same_key_twice_is_refused_unseen() -> None:
    """Two variables that hold the same key are refused, by their names; so is one name for two keys."""
    with pytest.raises(ConfigError, match="different from each other") as caught:
        provider(keys=(Key(name="A", value="sk-0123456789"), Key(name="B", value="sk-0123456789")))
    assert "sk-0123456789" not in str(caught.value)
    with pytest.raises(ConfigError, match="different from each other"):
        provider(keys=(Key(name="A", value="sk-1"), Key(name="A", value="sk-2")))


def test_target_is_named_by_provider_and_model() -> None:
    """A target's name is its provider's and its model's, and its prices are those that the provider names."""
    one = target("gpt-4o", provider=provider("europe", prices_as="openai"))
    assert (one.name, one.known_as, one.provider.priced_as) == ("europe/gpt-4o", "gpt-4o", "openai")
    assert target("deployment", model_id="gpt-4o").known_as == "gpt-4o"
    assert provider().priced_as == "openai"


def test_everything_can_be_a_key_of_a_dictionary() -> None:
    """Providers, targets and routes are hashable, whatever headers they have."""
    one = target(provider=provider(headers={"x-a": "1"}))
    assert {one: 1}[dataclasses.replace(one)] == 1
    assert hash(ModelRoute(name="a", targets=(one,)))


def test_presets_are_those_of_the_operations() -> None:
    """Completions are repeated twice from 1 s up to 30 s, embeddings three times from 0.5 s up to 10 s."""
    assert RouteOptions().retry == RetryOptions(max_retries=2, initial_delay=1, max_delay=30)
    assert EMBEDDING_OPTIONS.retry == RetryOptions(max_retries=3, initial_delay=0.5, max_delay=10)
    assert provider().breaker == MODEL
    assert (MODEL.failure_threshold, MODEL.recovery_timeout) == (5, 30)


@given(st.lists(st.floats(0.001, 1e6), min_size=5, max_size=5))
def test_total_is_the_longest_timer(seconds: list[float]) -> None:
    """Timers are taken exactly when the total is at least as long as each of the others."""
    connect, headers, first, inter, total = seconds
    timers = {"connect": connect, "headers": headers, "first_token": first, "inter_token": inter, "total": total}
    if total >= max(seconds):
        assert StreamTimers(**timers).total == total
    else:
        with pytest.raises(ConfigError, match="longest of the other timers"):
            StreamTimers(**timers)


def test_route_needs_a_target_and_each_once() -> None:
    """A route without a target, with one twice, or with something else is refused."""
    for targets, rule in [((), "1 target or more"), ((target(), target()), "there once"), ([target()], "tuple")]:
        with pytest.raises(ConfigError, match=rule):
            ModelRoute(name="a", targets=targets)  # type: ignore[arg-type]


def test_route_knows_every_target_once() -> None:
    """The targets of the three lists together, without repetition, in order."""
    main, large, free = target("a"), target("b"), target("c")
    route = ModelRoute(name="r", targets=(main, large), larger=(large,), filtered=(free, main))
    assert route.every_target == (main, large, free)


def test_kinds_stay_where_they_belong() -> None:
    """Voyage answers no chat, and Anthropic embeds nothing."""
    voyage, anthropic = provider("voyage", kind="voyage"), provider("anthropic", kind="anthropic")
    with pytest.raises(ConfigError, match="embeddings only"):
        ModelRoute(name="a", targets=(target(provider=voyage),))
    with pytest.raises(ConfigError, match="Anthropic has none"):
        embedding_route(targets=(target(provider=anthropic),))


def test_embeddings_fail_over_within_one_model() -> None:
    """Targets of another model are refused, and another name for the same model is taken."""
    with pytest.raises(ConfigError, match="only within one model and dimension") as caught:
        embedding_route(targets=(target("m"), target("n")))
    assert caught.value.value == "openai/n"
    assert len(embedding_route(targets=(target("m"), target("n", model_id="m"))).targets) == 2


def test_routes_are_found_by_name() -> None:
    """A name that there is gives the route; another one is an error that lists those there are."""
    chat, embeddings = ModelRoute(name="answers", targets=(target(),)), embedding_route(name="passages")
    routes = Routes(models={"answers": chat}, embeddings={"passages": embeddings})
    assert routes.model("answers") is chat
    assert routes.embedding("passages") is embeddings
    with pytest.raises(NotFoundError, match=r"did you mean 'answers'\? There are: answers\."):
        routes.model("answer")
    with pytest.raises(NotFoundError, match=r"no embedding model 'zzz'\. There are: passages\."):
        routes.embedding("zzz")
    with pytest.raises(NotFoundError, match="none is configured"):
        Routes().model("x")


def test_routes_bring_their_providers() -> None:
    """Providers that routes use need not be listed, and two different ones under a name are refused."""
    route = ModelRoute(name="a", targets=(target(),))
    assert Routes(models={"a": route}).providers == {"openai": provider()}
    other = embedding_route(targets=(target(provider=provider(max_concurrent=1)),))
    with pytest.raises(ConfigError, match="two that differ"):
        Routes(models={"a": route}, embeddings={"e": other})


def test_routes_stand_under_their_own_name() -> None:
    """An entry whose name is not its key is refused."""
    with pytest.raises(ConfigError, match="'a'"):
        Routes(models={"b": ModelRoute(name="a", targets=(target(),))})
