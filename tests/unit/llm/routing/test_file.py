"""The models file: what it gives, and how it says what is wrong."""

from __future__ import annotations

import contextlib
import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core._fault_tables import PROVIDERS
from holdfast.errors import ConfigError
from holdfast.llm.routing.file import load_routes, read_routes
from holdfast.llm.routing.known import KNOWN_PROVIDERS
from holdfast.llm.routing.targets import NO_KEY, Provider, Routes
from holdfast.llm.tables import TableError

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "sk-0123456789abcdef"
ENVIRON = {"OPENAI_API_KEY": SECRET, "ANTHROPIC_API_KEY": "sk-ant-0123456789"}
ONE = '[models.a]\ntargets = ["openai/gpt-4o"]\n'


def read(text: str, environ: dict[str, str] | None = None, folder: Path | None = None) -> Routes:
    return read_routes(tomllib.loads(text), environ=ENVIRON if environ is None else environ, folder=folder)


def refused(text: str, environ: dict[str, str] | None = None) -> dict[str, str]:
    with pytest.raises(TableError) as caught:
        read(text, environ)
    assert SECRET not in str(caught.value)
    return {problem.path: problem.rule for problem in caught.value.problems}


def test_known_provider_needs_no_description() -> None:
    """A target of a known provider takes its address, protocol, table of errors and key."""
    (target,) = read(ONE).model("a").targets
    assert (target.name, target.provider.kind, target.provider.error_table) == ("openai/gpt-4o", "openai", "openai")
    assert target.provider.base_url == "https://api.openai.com/v1"
    assert [key.name for key in target.provider.keys] == ["OPENAI_API_KEY"]


@pytest.mark.parametrize("name", KNOWN_PROVIDERS)
def test_every_known_provider_can_be_made(name: str) -> None:
    """What is known of each provider passes the checks of a provider."""
    known = KNOWN_PROVIDERS[name]
    address = known.base_url or "https://example.openai.azure.com/openai/v1"
    made = Provider(
        name=name,
        kind=known.kind,
        base_url=address,
        error_table=known.error_table,
        finish_required=known.finish_required,
    )
    assert made.base_url == address
    assert known.error_table is None or known.error_table in PROVIDERS
    assert known.variables or not known.needs_key


def test_key_of_a_known_provider_comes_from_the_first_variable_that_is_set() -> None:
    """The variable with our prefix counts before the plain one, and Voyage's two names both count."""
    routes = read(ONE, {"OPENAI_API_KEY": "b", "HOLDFAST_OPENAI_API_KEY": "a"})
    assert [key.value for key in routes.providers["openai"].keys] == ["a"]
    embeddings = '[embeddings.e]\ntargets = ["voyage/voyage-3.5"]'
    for variable in ("VOYAGE_AI_API_KEY", "VOYAGE_API_KEY"):
        assert read(embeddings, {variable: "v"}).providers["voyage"].keys[0].name == variable


def test_server_of_ones_own_needs_no_key() -> None:
    """Ollama has no key, and its whole answers may lack a finish reason; vLLM takes a key when there is one."""
    ollama = read('[models.a]\ntargets = ["ollama/llama3.2"]', {}).providers["ollama"]
    assert (ollama.keys, ollama.finish_required) == ((NO_KEY,), False)
    vllm = read('[models.a]\ntargets = ["vllm/m"]', {"VLLM_API_KEY": "x"}).providers["vllm"]
    assert [key.name for key in vllm.keys] == ["VLLM_API_KEY"]


def test_description_changes_a_known_provider_key_by_key() -> None:
    """What is said of a known provider takes the place of what is known, and the rest stays."""
    made = read(f'[providers.openai]\nbase_url = "https://proxy.example.com/v1"\nmax_concurrent = 3\n{ONE}')
    provider = made.providers["openai"]
    assert (provider.base_url, provider.max_concurrent, provider.error_table) == (
        "https://proxy.example.com/v1",
        3,
        "openai",
    )


def test_provider_like_a_known_one() -> None:
    """``like`` takes settings, variables and prices from a known provider."""
    text = '[providers.eu]\nlike = "openai"\nbase_url = "https://eu.example.com/v1"\n[models.a]\ntargets = ["eu/m"]'
    provider = read(text).providers["eu"]
    assert (provider.error_table, provider.priced_as, provider.keys[0].name) == ("openai", "openai", "OPENAI_API_KEY")
    assert refused(text.replace('"openai"', '"opena"'))["providers.eu.like"].endswith(
        "did you mean openai? Known: " + ", ".join(sorted(KNOWN_PROVIDERS))
    )
    assert "providers.eu.like" in refused(text.replace('"openai"', "7"))


def test_several_keys_of_which_one_is_missing_is_a_warning() -> None:
    """A provider goes on with the keys that are there, and says which variable to set for the other."""
    routes = read(f'[providers.openai]\nkeys = ["env:OPENAI_API_KEY", "env:SECOND"]\n{ONE}')
    assert [key.name for key in routes.providers["openai"].keys] == ["OPENAI_API_KEY"]
    assert routes.warnings == ("provider openai: env:SECOND is not there: set the variable SECOND",)


def test_no_key_at_all_says_which_variable_to_set() -> None:
    """A provider that a route uses and that has no key is an error, described or not."""
    assert refused(ONE, {}) == {
        "models.a.targets[0].provider": (
            "has no key: set the variable OPENAI_API_KEY, or name others with providers.openai.keys in models.toml"
        )
    }
    assert refused(f'[providers.openai]\nkeys = ["env:A", "env:B"]\n{ONE}') == {
        "providers.openai.keys": (
            "there is no key: env:A is not there: set the variable A; env:B is not there: set the variable B"
        )
    }
    new = '[providers.x]\nbase_url = "https://x.example.com"\n[models.a]\ntargets = ["x/m"]'
    assert "needs_key = false" in refused(new)["providers.x.keys"]
    assert read(new.replace("[models", "needs_key = false\n[models")).providers["x"].keys == (NO_KEY,)


def test_provider_that_nobody_uses_may_lack_its_key() -> None:
    """A described provider without a key and without a route is a warning; its other mistakes are errors."""
    routes = read(f'[providers.groq]\nkeys = ["env:NONE"]\n{ONE}')
    assert "groq" not in routes.providers
    assert routes.warnings == (
        "provider groq has no key, and no route uses it: env:NONE is not there: set the variable NONE",
    )
    assert "providers.groq.kind" in refused(f'[providers.groq]\nkind = "x"\n{ONE}')
    unused = read(f"[providers.ollama]\nmax_concurrent = 2\n{ONE}")
    assert unused.providers["ollama"].max_concurrent == 2


@pytest.mark.parametrize("keys", [f'["{SECRET}"]', f'"{SECRET}"', f'["env:{SECRET}"]', f'[["{SECRET}"]]'])
def test_key_in_the_file_is_refused_unseen(keys: str) -> None:
    """A key that stands in the file is refused with the place, and is not shown."""
    (path,) = refused(f"[providers.openai]\nkeys = {keys}\n{ONE}")
    assert path.startswith("providers.openai.keys")


def test_secret_in_a_wrong_place_is_not_shown() -> None:
    """A secret under a misspelled key, or in the place of a table, is not in the error."""
    assert "providers.openai.api_key" in refused(f'[providers.openai]\napi_key = "{SECRET}"\n{ONE}')
    assert "providers.openai" in refused(f'providers.openai = "{SECRET}"\n{ONE}')
    headers = f'[providers.openai]\nheaders = {{ "x-api-key" = "{SECRET}" }}\n{ONE}'
    assert 'must be "env:NAME"' in refused(headers)["providers.openai.headers.x-api-key"]
    address = f'[providers.openai]\nbase_url = "https://u:{SECRET}@example.com"\n{ONE}'
    assert "no user" in refused(address)["providers.openai.base_url"]


def test_key_from_a_file_that_is_no_key_is_refused_unseen(tmp_path: Path) -> None:
    """What a file holds instead of a key is not shown."""
    (tmp_path / "key").write_text(f"two words {SECRET}")
    with pytest.raises(TableError) as caught:
        read(f'[providers.openai]\nkeys = ["file:key"]\n{ONE}', folder=tmp_path)
    assert caught.value.field == "providers.openai.keys[0]"
    assert SECRET not in str(caught.value)


def test_headers_may_be_references() -> None:
    """A header's value may come from a variable; a plain one is taken as it is; a missing one is an error."""
    text = f'[providers.openai]\nheaders = {{ x-team = "search", x-token = "env:TOKEN" }}\n{ONE}'
    provider = read(text, {**ENVIRON, "TOKEN": "t"}).providers["openai"]
    assert provider.headers == {"x-team": "search", "x-token": "t"}
    assert refused(text)["providers.openai.headers.x-token"] == "is not there: set the variable TOKEN"
    assert "providers.openai.headers.Host" in refused(f'[providers.openai]\nheaders = {{ Host = "x" }}\n{ONE}')


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    """One error lists all problems, each with the path of its key, and names the file."""
    file = tmp_path / "models.toml"
    file.write_text(
        """
        [provider.x]
        [providers.gw]
        kind = "smoke"
        breaker = { failure_threshold = 0, colour = 1 }
        [models.a]
        targets = ["opena/x", { provider = "openai", model = "m", weight = 0 }, "nothing", 5, { model = "m" }]
        max_calls = 0
        timers = { total = 1 }
        retry = { max_retries = -1 }
        [models."b c"]
        [embeddings.e]
        targets = ["openai/unheard-of"]
        timers = 5
        """
    )
    with pytest.raises(TableError) as caught:
        load_routes(file, ENVIRON)
    assert [problem.path for problem in caught.value.problems] == [
        "provider",
        "models.a.targets[0].provider",
        "models.a.targets[1].weight",
        "models.a.targets[2]",
        "models.a.targets[3]",
        "models.a.targets[4].provider",
        "models.a.max_calls",
        "models.a.retry.max_retries",
        "models.a.timers.total",
        'models."b c"',
        'models."b c".targets',
        "embeddings.e.timers",
        "embeddings.e.dimension",
        "providers.gw.breaker.colour",
        "providers.gw.breaker.failure_threshold",
        "providers.gw.kind",
        "providers.gw.base_url",
    ]
    text = str(caught.value)
    assert text.startswith(f"{file}: 17 things are wrong:\n  - provider: is not a key that is known here; did you mean")
    assert "models.a.targets[1].weight=0: must be above 0" in text


def test_one_problem_stands_alone() -> None:
    """With a single problem the message is one line: file, path, value, rule."""
    with pytest.raises(TableError) as caught:
        read(f"{ONE}max_calls = 0")
    assert str(caught.value) == "models.toml: models.a.max_calls=0: must be a whole number of at least 1"
    assert (caught.value.field, caught.value.value) == ("models.a.max_calls", 0)
    assert isinstance(caught.value, ConfigError)


def test_broken_provider_is_told_once() -> None:
    """Several targets of a provider that is wrong give one problem."""
    routes = '[models.a]\ntargets = ["openai/a", "openai/b"]\n[models.b]\ntargets = ["openai/a"]'
    text = f'[providers.openai]\nkind = "x"\n{routes}'
    assert list(refused(text)) == ["providers.openai.kind"]


def test_rules_between_targets_are_told_with_their_list() -> None:
    """What a route refuses as a whole is told under its name."""
    assert "models.a.targets" in refused('[models.a]\ntargets = ["openai/m", "openai/m"]')
    assert "models.a.larger" in refused(f'{ONE}larger = ["voyage/voyage-3.5"]', {**ENVIRON, "VOYAGE_API_KEY": "v"})
    assert "providers.openai.base_url" in refused(f'[providers.openai]\nbase_url = "http://example.com"\n{ONE}')
    assert "models.a.retry.max_delay" in refused(f"{ONE}retry = {{ initial_delay = 40 }}")
    assert 'providers."a b"' in refused(f'[providers."a b"]\nlike = "openai"\n{ONE}')
    assert 'embeddings."a b"' in refused('[embeddings."a b"]\ntargets = ["openai/text-embedding-3-small"]')


def test_azure_has_an_address_of_its_own() -> None:
    """A provider without a common address says that it must be given, and in what form."""
    rules = refused('[models.a]\ntargets = ["azure/d"]', {"AZURE_OPENAI_API_KEY": "k"})
    assert rules == {"providers.azure.base_url": "must be given, e.g. https://RESOURCE.openai.azure.com/openai/v1"}


def test_options_of_a_route() -> None:
    """Options, timers, repetitions and lists arrive where they belong, and what is not said is the default."""
    route = read(
        f"""{ONE}
        larger = [{{ provider = "openai", model = "gpt-4.1", context_tokens = 1000000 }}]
        filtered = ["anthropic/claude-haiku-4-5"]
        hedge_after = 3
        choose = "cheapest"
        continue_streams = true
        timers = {{ first_token = 9 }}
        retry = {{ max_retries = 0 }}
        """
    ).model("a")
    assert (route.larger[0].context_tokens, route.filtered[0].name) == (1000000, "anthropic/claude-haiku-4-5")
    options = route.options
    assert (options.hedge_after, options.choose, options.continue_streams, options.max_calls) == (
        3,
        "cheapest",
        True,
        6,
    )
    assert (options.timers.first_token, options.timers.inter_token) == (9, 20)
    assert (options.retry.max_retries, options.retry.max_delay) == (0, 30)


def test_breaker_of_a_provider() -> None:
    """The two options of the breaker change the preset for models."""
    routes = read(f"[providers.openai]\nbreaker = {{ recovery_timeout = 12 }}\n{ONE}")
    breaker = routes.providers["openai"].breaker
    assert (breaker.recovery_timeout, breaker.failure_threshold) == (12, 5)


def test_dimension_of_an_embedding_route() -> None:
    """A known model has its dimension; another one is asked for; an unknown model must say it."""
    text = '[embeddings.e]\ntargets = ["openai/text-embedding-3-small"]\n'
    route = read(text).embedding("e")
    assert (route.model_id, route.dimension, route.ask_dimension) == ("text-embedding-3-small", 1536, False)
    assert (read(f"{text}dimension = 512").embedding("e").ask_dimension) is True
    assert (read(f"{text}dimension = 512\nask_dimension = false").embedding("e").ask_dimension) is False
    assert read('[embeddings.e]\ntargets = ["openai/own"]\ndimension = 7').embedding("e").ask_dimension is False
    assert "nobody here knows" in refused('[embeddings.e]\ntargets = ["openai/own"]')["embeddings.e.dimension"]
    assert "embeddings.e.dimension" in refused(f"{text}dimension = 0")


def test_embedding_targets_share_one_model() -> None:
    """Two models in one embedding route are refused; another name for the same one is taken."""
    text = '[embeddings.e]\ntargets = ["openai/text-embedding-3-small", {0}]'
    other = text.replace("{0}", '"ollama/nomic-embed-text"')
    assert "only within one model and dimension" in refused(other)["embeddings.e.targets"]
    same = text.replace("{0}", '{ provider = "ollama", model = "mine", model_id = "text-embedding-3-small" }')
    assert len(read(same).embedding("e").targets) == 2


@pytest.mark.parametrize("text", ["", "[models]", "[providers.ollama]"])
def test_file_without_a_route_is_refused(text: str) -> None:
    """A file that configures no model at all is an error."""
    assert list(refused(text)) == ["models"]


@pytest.mark.parametrize("targets", ["", "targets = []", 'targets = "openai/m"', "targets = [{}]"])
def test_route_without_a_target_is_refused(targets: str) -> None:
    """A route needs a list with a target in it."""
    assert all(path.startswith("models.a.targets") for path in refused(f"[models.a]\n{targets}"))


def test_file_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    """No file, no text and no TOML are told with the path."""
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    (tmp_path / "broken.toml").write_text(f'key = "{SECRET}')
    for name, why in [("none", "cannot be read: No such file"), ("bytes", "not UTF-8"), ("broken", "not valid TOML")]:
        with pytest.raises(TableError, match=why) as caught:
            load_routes(str(tmp_path / f"{name}.toml"))
        assert caught.value.file == str(tmp_path / f"{name}.toml")
        assert SECRET not in str(caught.value)


def test_key_file_counts_from_the_models_file(tmp_path: Path) -> None:
    """A relative path of a key is looked for beside the file."""
    (tmp_path / "key").write_text("k\n")
    (tmp_path / "models.toml").write_text(f'[providers.openai]\nkeys = ["file:key"]\n{ONE}')
    assert load_routes(tmp_path / "models.toml", {}).providers["openai"].keys[0].value == "k"


def test_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``environ`` keys come from the process' own variables."""
    monkeypatch.setenv("OPENAI_API_KEY", "from-here")
    assert read_routes(tomllib.loads(ONE)).providers["openai"].keys[0].value


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["targets", "provider", "model", "keys", "timers", "retry", "breaker", "dimension", "like"])
            | st.text(max_size=6),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["providers", "models", "embeddings"]),
        _JSON | st.dictionaries(st.sampled_from(["openai", "x"]), _JSON, max_size=2),
    )
)
def test_nothing_but_a_table_error_comes_out(content: dict[str, object]) -> None:
    """Whatever stands in the file, the answer is routes or one error that lists what is wrong."""
    with contextlib.suppress(TableError):
        assert isinstance(read_routes(content, environ=ENVIRON), Routes)
