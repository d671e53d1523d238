"""Who is asked when the caller's own provider fails, and what the providers are called."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from holdfast.errors import ConfigError
from holdfast.llm.dropin.backups import Backup, Standby, provider_for, standbys
from holdfast.llm.dropin.options import Options
from holdfast.llm.dropin.sdk import http_client, known_client
from holdfast.llm.routing.targets import Provider

ENVIRON = {"OPENAI_API_KEY": "k1", "OPENROUTER_API_KEY": "k2", "ANTHROPIC_API_KEY": "k3", "VOYAGE_API_KEY": "k4"}


def names(given: Any, **options: Any) -> list[str]:
    found = standbys(given, **{"like": None, "taken": (), "options": Options(environ=ENVIRON)} | options)
    return [each.provider.name for each in found]


@pytest.mark.parametrize(
    ("base_url", "protocol", "name", "table"),
    [
        ("https://api.openai.com/v1/", "openai", "openai", "openai"),
        ("https://api.anthropic.com", "anthropic", "anthropic", "anthropic"),
        ("https://llm.example.com/v1", "openai", "llm.example.com", None),
        ("http://127.0.0.1:9000", "anthropic", "127.0.0.1-9000", "anthropic"),
        ("https://x.openai.azure.com/openai", "openai", "x.openai.azure.com", "azure"),
        ("http://[::1]:80/v1", "openai", "1-80", None),
        ("http://_/v1", "openai", "provider", None),
    ],
)
def test_the_provider_at_an_address(base_url: str, protocol: Any, name: str, table: str | None) -> None:
    """A well-known address has its provider's name and codes, another the name of its host."""
    provider = provider_for(base_url, protocol=protocol, taken=(), options=Options())
    assert (provider.name, provider.error_table) == (name, table)


def test_servers_that_do_not_say_why_they_end() -> None:
    """Ollama's answers may end without a reason, at either name of one's own machine; others by option."""
    for host in ("localhost", "127.0.0.1"):
        made = provider_for(f"http://{host}:11434/v1", protocol="openai", taken=(), options=Options())
        assert (made.name, made.finish_required) == ("ollama", False)
    for said, required in ((None, True), (True, True), (False, False)):
        options = Options(finish_required=said)
        made = provider_for("http://llm.example.com", protocol="openai", taken=(), options=options)
        assert made.finish_required is required


def test_names_that_are_taken() -> None:
    """Two accounts at one provider have two names, and their prices are still the provider's."""
    assert provider_for("https://api.openai.com/v1", protocol="openai", taken=["openai"], options=Options()).name == (
        "openai-2"
    )
    taken = ["openai", "openai-home"]
    at_home = provider_for(
        "https://api.openai.com/v1", protocol="openai", taken=taken, options=Options(), suffix="home"
    )
    assert (at_home.name, at_home.priced_as) == ("openai-2", "openai")
    assert names(["openai/a", "openai/b", "openrouter/c"]) == ["openai", "openai", "openrouter"]
    assert names(["openai/a", "openrouter/c"], taken=("openai", "openai-2")) == ["openai-3", "openrouter"]


def test_the_model_that_a_backup_is_asked_for() -> None:
    """A backup is asked for its own model, the mapped one, or the caller's; for embeddings only for the same."""
    provider = Provider(name="p", base_url="https://p.example.com")

    def asked(model: Any, wire: str = "openai.chat") -> str | None:
        target = Standby(provider=provider, client=None, model=model).target("m", wire)
        return None if target is None else target.model

    assert (asked(None), asked("own"), asked({"m": "mapped"}), asked({"x": "y"})) == ("m", "own", "mapped", "m")
    vectors = "openai.embeddings"
    assert (asked(None, vectors), asked("own", vectors), asked("m", vectors)) == ("m", None, "m")
    assert asked({"m": "mapped"}, vectors) == "mapped"


def test_what_is_no_backup() -> None:
    """Backups that cannot be are refused, and a backup shows no key."""
    client = openai.OpenAI(api_key="sk-secret-1234567")
    with pytest.raises(ConfigError, match="must not be given beside a target"):
        Backup("openai/m", model="n")
    with pytest.raises(ConfigError, match="must be a model's name"):
        Backup(client, model=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="must be a client of openai"):
        Backup(3)
    with pytest.raises(ConfigError, match="must be a list"):
        names("openai/m")
    with pytest.raises(ConfigError, match="must be a chat model"):
        names(["voyage/voyage-4"])
    with pytest.raises(ConfigError, match="fallbacks"):
        names(["nobody/m"])
    assert repr(Backup(client, model="m")) == "Backup('OpenAI', model='m')"
    assert repr(Backup("openai/m")) == "Backup('openai/m', model=None)"
    client.close()


def test_an_sdk_that_is_built_otherwise() -> None:
    """A future SDK that keeps its HTTP client elsewhere is refused with a sentence, and not with an AttributeError."""

    class Future(openai.OpenAI):
        def __init__(self) -> None:
            """Nothing is where it was."""

    assert known_client(Future()).label == "OpenAI"
    with pytest.raises(ConfigError, match="must be a version that is built on httpx"):
        http_client(Future())
