"""Routes without a file."""

from __future__ import annotations

import pytest

from holdfast.errors import ConfigError
from holdfast.llm.routing.short import embedding_route, routes_from_names, target_from_name
from holdfast.llm.routing.targets import RouteOptions

ENVIRON = {"OPENAI_API_KEY": "sk-0123456789", "ANTHROPIC_API_KEY": "sk-ant-0123456789"}


def test_one_name_is_one_route() -> None:
    """The name of a target becomes a route called default, with the provider's key."""
    route = routes_from_names("openai/gpt-4o-mini", environ=ENVIRON).model("default")
    assert [target.name for target in route.targets] == ["openai/gpt-4o-mini"]
    assert route.options == RouteOptions()


def test_several_names_are_one_chain() -> None:
    """Names with commas between them become the targets of one route, in order; options and a name can be given."""
    routes = routes_from_names(
        " openai/gpt-4o-mini , anthropic/claude-haiku-4-5",
        name="answers",
        options=RouteOptions(attempt_seconds=10),
        environ=ENVIRON,
    )
    route = routes.model("answers")
    assert [target.name for target in route.targets] == ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"]
    assert route.options.attempt_seconds == 10


def test_model_may_have_slashes() -> None:
    """Only the first slash divides: the rest is the model's name."""
    target = target_from_name("openrouter/meta/llama-3", environ={"OPENROUTER_API_KEY": "k"})
    assert (target.provider.name, target.model) == ("openrouter", "meta/llama-3")


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        ("", "must name a provider and its model"),
        ("openai/a,", "with commas between them"),
        ("gpt-4o", "gpt-4o must name a provider and its model"),
        ("opena/a", "opena is not a provider that is known; did you mean openai"),
        ("groq/a", "groq has no key: set the variable GROQ_API_KEY"),
        ("azure/a", "providers.azure.base_url must be given"),
        ("openai/a, openai/a", "must be there once"),
    ],
)
def test_wrong_name_is_told_under_the_callers_field(names: str, rule: str) -> None:
    """What is wrong is told with the field and the value that the caller gave."""
    with pytest.raises(ConfigError, match=rule) as caught:
        routes_from_names(names, environ={"OPENAI_API_KEY": "k", "AZURE_OPENAI_API_KEY": "k"}, field="HOLDFAST_MODEL")
    assert (caught.value.field, caught.value.value) == ("HOLDFAST_MODEL", names)


def test_embedding_route_from_names() -> None:
    """The dimension is the model's own, or the one that is asked for."""
    route = embedding_route("openai/text-embedding-3-small", environ=ENVIRON)
    assert (route.model_id, route.dimension, route.ask_dimension) == ("text-embedding-3-small", 1536, False)
    short = embedding_route("openai/text-embedding-3-large", dimension=256, environ=ENVIRON)
    assert (short.dimension, short.ask_dimension) == (256, True)


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        ("openai/own", "nobody here knows the dimension"),
        ("openai/text-embedding-3-small, openai/text-embedding-3-large", "only within one model and dimension"),
        (",", "commas"),
    ],
)
def test_wrong_embedding_route_is_refused(names: str, rule: str) -> None:
    """An unknown dimension, two models, and no name at all are refused."""
    with pytest.raises(ConfigError, match=rule):
        embedding_route(names, environ=ENVIRON)
