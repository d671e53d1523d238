"""Which models the settings name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rag.scripted import Provider, desk

from holdfast.errors import ConfigError
from holdfast.llm.tables import TableError
from holdfast.rag.app import build_engine
from holdfast.rag.models import Configured, configured_models
from holdfast.rag.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEY = {"OPENAI_API_KEY": "sk-openai-secret"}
LOCAL = '[providers.here]\nbase_url = "http://127.0.0.1:9/v1"\nneeds_key = false\n'


def configured(environ: Mapping[str, str] | None = None, **settings: Any) -> Configured | None:
    return configured_models(load_settings(environ={}, **settings), KEY if environ is None else environ)


def found(environ: Mapping[str, str] | None = None, **settings: Any) -> Configured:
    result = configured(environ, **settings)
    assert result is not None
    return result


def routes(folder: Path, text: str) -> str:
    path = folder / "models.toml"
    path.write_text(LOCAL + text)
    return str(path)


def test_nothing_configured_is_nothing() -> None:
    """Without a model there are no routes, whatever keys lie about."""
    assert configured() is None
    assert configured(embedder="none", openai_api_key="sk-openai-secret") is None


def test_one_variable_is_enough() -> None:
    """Names of models make a route, first choice first, with time for two of them within a request."""
    models = found(
        {**KEY, "ANTHROPIC_API_KEY": "sk-ant-secret"},
        model="openai/gpt-4o-mini, anthropic/claude-haiku-4-5",
        request_timeout=10.0,
    )
    route = models.routes.model("answers")
    assert (models.answers, models.embeds) == ("answers", None)
    assert [target.name for target in route.targets] == ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"]
    options = route.options
    assert (options.deadline_seconds, options.attempt_seconds) == (10.0, 5.0)
    assert options.timers.first_token == pytest.approx(10.0 / 3)


@pytest.mark.parametrize(
    ("text", "model", "answers"),
    [
        ('[models.fast]\ntargets = ["here/m"]\n', None, "fast"),
        ('[models.fast]\ntargets = ["here/m"]\n[models.answers]\ntargets = ["here/n"]\n', None, "answers"),
        ('[models.fast]\ntargets = ["here/m"]\n[models.answers]\ntargets = ["here/n"]\n', "fast", "fast"),
    ],
)
def test_a_file_of_routes_has_one_that_answers(tmp_path: Path, text: str, model: str | None, answers: str) -> None:
    """It is the one that is named, or the only one, or the one that is called answers."""
    assert found({}, models_file=routes(tmp_path, text), model=model).answers == answers


@pytest.mark.parametrize(("model", "value"), [(None, None), ("gone", "gone")])
def test_a_route_that_is_not_there_lists_those_that_are(tmp_path: Path, model: str | None, value: str | None) -> None:
    """With several routes and none that is meant, the error names them."""
    file = routes(tmp_path, '[models.b]\ntargets = ["here/m"]\n[models.a]\ntargets = ["here/m"]\n')
    with pytest.raises(ConfigError, match="must be a chat route of models_file: a, b") as caught:
        configured({}, models_file=file, model=model)
    assert (caught.value.field, caught.value.value) == ("model", value)


def test_a_file_without_chat_routes_answers_nothing(tmp_path: Path) -> None:
    """A file of embeddings alone leaves answers extracted, and embeds where its route is named."""
    file = routes(tmp_path, '[embeddings.vectors]\ntargets = ["here/m"]\ndimension = 8\n')
    assert configured({}, models_file=file) is None
    models = found({}, models_file=file, embedder="vectors")
    assert (models.answers, models.embeds) == (None, "vectors")
    with pytest.raises(ConfigError, match=r"model=.*none is there"):
        configured({}, models_file=file, model="answers")


def test_a_provider_may_embed_without_a_file() -> None:
    """A provider's embedding model makes a route of its own, beside the model that answers."""
    models = found(embedder="openai/text-embedding-3-small", model="openai/gpt-4o-mini")
    assert models.embeds is not None
    route = models.routes.embedding(models.embeds)
    assert (route.model_id, route.dimension, models.answers) == ("text-embedding-3-small", 1536, "answers")
    alone = found(embedder="openai/text-embedding-3-small")
    assert (alone.answers, list(alone.routes.models)) == (None, [])


def test_an_embedder_that_nobody_knows_lists_what_there_is(tmp_path: Path) -> None:
    """A name that is no route says which there are, and a provider that is not known, which are."""
    file = routes(tmp_path, '[embeddings.vectors]\ntargets = ["here/m"]\ndimension = 8\n')
    with pytest.raises(ConfigError, match="embedder='vector': must be one of local, none, vectors, or PROVIDER"):
        configured({}, models_file=file, embedder="vector")
    with pytest.raises(ConfigError, match=r"embedder='nobody/x': nobody is not a provider .*known: anthropic"):
        configured({}, embedder="nobody/x")


def test_a_key_that_is_missing_names_its_variable() -> None:
    """Without a key the error says which variable to set."""
    with pytest.raises(ConfigError, match="set the variable OPENAI_API_KEY"):
        configured({}, model="openai/gpt-4o-mini")


def test_a_wrong_file_names_file_path_value_and_rule(tmp_path: Path) -> None:
    """What is wrong with models.toml is told with the file, the key's path, the value and the rule."""
    file = routes(tmp_path, '[models.answers]\ntargets = ["here/m"]\nmax_calls = 0\n')
    with pytest.raises(TableError, match=re.escape(f"{file}: models.answers.max_calls=0: must be")):
        configured({}, models_file=file)


def test_keys_that_are_settings_reach_providers_and_references(tmp_path: Path) -> None:
    """A key from the settings is the provider's, before a variable, and what env: references find where none is set."""
    settings = {"openai_api_key": "sk-from-the-settings"}
    models = found(KEY, model="openai/gpt-4o-mini", **settings)
    (key,) = models.routes.providers["openai"].keys
    assert key.value == "sk-from-the-settings"
    file = routes(tmp_path, '[providers.openai]\nkeys = ["env:OPENAI_API_KEY"]\n[models.a]\ntargets = ["openai/m"]\n')
    for environ, value in (({}, "sk-from-the-settings"), (KEY, "sk-openai-secret")):
        (key,) = found(environ, models_file=file, **settings).routes.providers["openai"].keys
        assert key.value == value
    assert "secret" not in repr(models)


async def test_prices_of_the_settings_count(tmp_path: Path) -> None:
    """The file that prices_file names says what an answer costs."""
    prices = tmp_path / "prices.toml"
    prices.write_text('[models."openai/gpt-4o-mini"]\ninput = 10000.0\noutput = 0.0\n')
    async with desk(tmp_path, Provider(), prices_file=str(prices)) as service:
        assert (await service.ask()).cost_usd == pytest.approx(1.0)


async def test_warnings_of_the_routes_are_the_engines(tmp_path: Path) -> None:
    """What is configured and not quite right is told, and does not stop the service."""
    file = routes(
        tmp_path,
        '[providers.openai]\nkeys = ["env:OPENAI_API_KEY", "env:SECOND_KEY"]\n[models.a]\ntargets = ["openai/m"]\n',
    )
    async with desk(tmp_path, Provider(), models_file=file, model=None) as service:
        (warning,) = service.engine.warnings
    assert "SECOND_KEY" in warning


async def test_a_model_of_ones_own_is_asked_over_the_real_client(tmp_path: Path) -> None:
    """Without a client of the caller's, the engine makes the real one, which connects when a question needs it."""
    settings = load_settings(environ={}, data_dir=tmp_path, embedder="none", model="ollama/llama3.2")
    engine = build_engine(settings, environ={})
    assert "model:ollama/llama3.2" in engine.guards()
    assert engine.warnings == ()
    await engine.close()
