"""Settings: where they come from, which one counts, and how everything that is wrong is told."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from holdfast.errors import ConfigError
from holdfast.rag.loaders.base import MAX_BYTES
from holdfast.rag.settings import Settings, load_settings, rule_of
from holdfast.rag.settings_sources import SettingsError, closest, variables_of

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"
SECRETS = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]
NO_ENVIRONMENT: dict[str, str] = {}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test in an empty folder, so that no settings file lies about."""
    monkeypatch.chdir(tmp_path)


def toml(tmp_path: Path, text: str, name: str = "holdfast.toml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(*args: object, **kwargs: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(*args, **kwargs)  # type: ignore[arg-type]
    return [str(problem) for problem in caught.value.problems]


# -- where a value comes from ----------------------------------------------------------------------------------------


def test_defaults_need_nothing() -> None:
    """Without environment and file every setting has its default."""
    settings = load_settings(environ=NO_ENVIRONMENT)
    assert (settings.host, settings.port, settings.log_level) == ("127.0.0.1", 8000, "INFO")
    assert (settings.max_workers, settings.request_timeout, settings.embedder) == (4, 30.0, "local")
    assert settings.data_dir.name == "holdfast"
    assert settings.data_dir.is_absolute()


def test_precedence(tmp_path: Path) -> None:
    """An override beats the environment, the environment beats the file, the file beats the default."""
    toml(tmp_path, "port = 1001\ntop_k = 7\ncache_size = 9\n")
    environ = {"HOLDFAST_PORT": "1002", "HOLDFAST_TOP_K": "8"}
    settings = load_settings(environ=environ, port=1003)
    assert (settings.port, settings.top_k, settings.cache_size, settings.max_workers) == (1003, 8, 9, 4)


def test_override_of_none_is_not_given() -> None:
    """An option that was not given leaves the environment's value."""
    assert load_settings(environ={"HOLDFAST_PORT": "1002"}, port=None).port == 1002


def test_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an explicit environment the process's own is read."""
    monkeypatch.setenv("HOLDFAST_COLLECTION", "from-the-process")
    assert load_settings().collection == "from-the-process"


@pytest.mark.parametrize(
    ("variable", "value", "setting", "expected"),
    [
        ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("MAX_WORKERS", "7", "max_workers", 7),
        ("REQUEST_TIMEOUT", "12.5", "request_timeout", 12.5),
        ("OPENAI_API_KEY", "k1", "openai_api_key", SecretStr("k1")),
        ("ANTHROPIC_API_KEY", "k2", "anthropic_api_key", SecretStr("k2")),
        ("VOYAGE_AI_API_KEY", "k3", "voyage_api_key", SecretStr("k3")),
        ("VOYAGE_API_KEY", "k4", "voyage_api_key", SecretStr("k4")),
        ("MONGODB_URI", "mongodb://h/db", "mongodb_uri", SecretStr("mongodb://h/db")),
        ("REDIS_URL", "redis://localhost:6379", "redis_url", SecretStr("redis://localhost:6379")),
        ("HOLDFAST_REDIS_URL", "redis://localhost:6379", "redis_url", SecretStr("redis://localhost:6379")),
        ("HOLDFAST_API_KEY", "k5", "api_key", SecretStr("k5")),
    ],
)
def test_variables(variable: str, value: str, setting: str, expected: object) -> None:
    """Each variable that is promised gives its setting."""
    assert getattr(load_settings(environ={variable: value}), setting) == expected


def test_every_setting_has_its_variable() -> None:
    """HOLDFAST_<NAME> gives every setting, and comes before the name without the prefix."""
    for name in Settings.model_fields:
        assert variables_of(name)[0] == f"HOLDFAST_{name.upper()}"
    assert load_settings(environ={"HOLDFAST_MAX_WORKERS": "2", "MAX_WORKERS": "9"}).max_workers == 2


def test_empty_variable_is_not_set() -> None:
    """An empty variable leaves the next source, and is no error."""
    settings = load_settings(environ={"HOLDFAST_MODEL_DIR": "", "HOLDFAST_MAX_WORKERS": "", "MAX_WORKERS": "3"})
    assert (settings.model_dir, settings.max_workers) == (None, 3)


def test_foreign_variables_are_left_alone() -> None:
    """Variables of other programs are no concern of ours."""
    assert load_settings(environ={"PORT": "nonsense", "HOLD": "1", "MY_HOLDFAST_PORT": "x"}).port == 8000


def test_dotenv_is_not_read(tmp_path: Path) -> None:
    """A .env file in the working directory changes nothing."""
    toml(tmp_path, "HOLDFAST_PORT=1\nport=1\n", name=".env")
    assert load_settings(environ=NO_ENVIRONMENT).port == 8000


def test_settings_itself_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made directly, a Settings holds what it was given and defaults, whatever lies about."""
    toml(tmp_path, "port = 1001\n")
    monkeypatch.setenv("HOLDFAST_TOP_K", "9")
    settings = Settings(cache_size=3)
    assert (settings.port, settings.top_k, settings.cache_size) == (8000, 5, 3)


def test_named_file(tmp_path: Path) -> None:
    """The file that is named counts, then HOLDFAST_CONFIG, then holdfast.toml in the working directory."""
    toml(tmp_path, "port = 1")
    second, third = toml(tmp_path, "port = 2", "b.toml"), toml(tmp_path, "port = 3", "c.toml")
    assert load_settings(environ=NO_ENVIRONMENT).port == 1
    assert load_settings(environ={"HOLDFAST_CONFIG": str(second)}).port == 2
    assert load_settings(third, environ={"HOLDFAST_CONFIG": str(second)}).port == 3


def test_home_is_expanded() -> None:
    """A path that begins with ~ lies in the home folder."""
    assert load_settings(environ={"HOLDFAST_DATA_DIR": "~/x"}).data_dir == Path("~/x").expanduser()


def test_frozen() -> None:
    """A setting cannot be changed after the start."""
    settings = load_settings(environ=NO_ENVIRONMENT)
    with pytest.raises(ValidationError):
        settings.port = 1


# -- what is wrong ---------------------------------------------------------------------------------------------------


def test_unknown_key_names_the_closest_and_the_line(tmp_path: Path) -> None:
    """An unknown key in the file is an error with the closest setting, the file and the line."""
    path = toml(tmp_path, '# hello\n\nhost = "localhost"\nprot = 9000\n')
    (problem,) = problems_of(environ=NO_ENVIRONMENT)
    assert problem == "prot: is not a setting; the closest one is 'port' (holdfast.toml, line 4)"
    (problem,) = problems_of(path, environ=NO_ENVIRONMENT)
    assert str(path) in problem


def test_table_in_the_file(tmp_path: Path) -> None:
    """A table is an error that says where settings stand."""
    toml(tmp_path, "top_k = 3\n[server]\nport = 1\n")
    (problem,) = problems_of(environ=NO_ENVIRONMENT)
    assert "top of the file" in problem
    assert "line 2" in problem


@pytest.mark.parametrize(
    ("variable", "suggestion"),
    [
        ("HOLDFAST_PROT", "HOLDFAST_PORT"),
        ("HOLDFAST_DATADIR", "HOLDFAST_DATA_DIR"),
        ("holdfast_port", "HOLDFAST_PORT"),
        ("HOLDFAST_CONFG", "HOLDFAST_CONFIG"),
        ("HOLDFAST_OPENAI_KEY", "HOLDFAST_OPENAI_API_KEY"),
    ],
)
def test_unknown_variable_names_the_closest(variable: str, suggestion: str) -> None:
    """An unknown variable with the prefix is an error that names the closest known one."""
    (problem,) = problems_of(environ={variable: "1"})
    assert (
        problem == f"{variable}: is not a variable that Holdfast knows; the closest one is {suggestion} (environment)"
    )


def test_unknown_variable_is_an_error_even_when_empty() -> None:
    """A misspelled variable is told although it holds nothing."""
    assert len(problems_of(environ={"HOLDFAST_PROT": ""})) == 1


def test_unknown_override() -> None:
    """An override that no setting has is an error with the closest one."""
    (problem,) = problems_of(environ=NO_ENVIRONMENT, topk=3)
    assert "'top_k'" in problem


@given(name=st.sampled_from(sorted(Settings.model_fields)), data=st.data())
def test_one_lost_letter_finds_the_name(name: str, data: st.DataObject) -> None:
    """Whichever single letter of a name is left out or doubled, the name is the closest one."""
    at = data.draw(st.integers(0, len(name) - 1))
    assert closest(name[:at] + name[at + 1 :], Settings.model_fields) == name
    assert closest(name[:at] + name[at] + name[at:], Settings.model_fields) == name


@given(st.text(max_size=40))
def test_closest_is_always_a_known_name(text: str) -> None:
    """Whatever was written, the suggestion is a setting."""
    assert closest(text, Settings.model_fields) in Settings.model_fields


@given(name=st.sampled_from(sorted(Settings.model_fields)))
def test_case_and_hyphens_do_not_count(name: str) -> None:
    """A name in capitals or with hyphens is that name."""
    assert closest(name.upper().replace("_", "-"), Settings.model_fields) == name


@pytest.mark.parametrize(
    ("setting", "value", "rule"),
    [
        ("port", "70000", "must be a whole number from 0 to 65,535"),
        ("port", "eighty", "must be a whole number from 0 to 65,535"),
        ("max_workers", "0", "must be a whole number from 1 to 256"),
        ("max_workers", "2.5", "must be a whole number from 1 to 256"),
        ("request_timeout", "0", "must be a number above 0 and at most 600"),
        ("request_timeout", "nan", "must be a number above 0 and at most 600"),
        ("request_timeout", "inf", "must be a number above 0 and at most 600"),
        ("stale_ttl", "-1", "must be a number from 0 to 2,592,000"),
        ("log_level", "LOUD", "must be one of DEBUG, INFO, WARNING, ERROR"),
        (
            "embedder",
            "gpu",
            rule_of(Settings.model_fields["embedder"]),
        ),
        ("embedder", "x" * 501, rule_of(Settings.model_fields["embedder"])),
        ("model", "x" * 1001, rule_of(Settings.model_fields["model"])),
        ("models_file", " ", "must be a path"),
        ("max_answer_tokens", "0", "must be a whole number from 1 to 100,000"),
        ("data_dir", " ", "must be a path"),
        ("data_dir", "~nobody-has-this-name/x", "must be a path"),
        ("host", "h" * 300, "must be text of 1 to 255 characters"),
    ],
)
def test_wrong_value(setting: str, value: str, rule: str) -> None:
    """A wrong value names the setting, the value, the rule and the variable."""
    variable = f"HOLDFAST_{setting.upper()}"
    (problem,) = problems_of(environ={variable: value})
    assert problem == f"{setting}={value!r}: {rule} (variable {variable})"


@pytest.mark.parametrize(
    "text", ["port = true", "request_timeout = true", 'data_dir = "a\\u0000b"', "port = [1]", "host = 3"]
)
def test_wrong_type_in_the_file(tmp_path: Path, text: str) -> None:
    """A value of another type is refused, not bent into shape: true is not the port 1."""
    toml(tmp_path, text)
    (problem,) = problems_of(environ=NO_ENVIRONMENT)
    assert "(holdfast.toml, line 1)" in problem


def test_value_overridden_from_above_is_not_checked_but_unknown_names_are(tmp_path: Path) -> None:
    """Of a setting only the value that counts is checked."""
    toml(tmp_path, 'port = "wrong"\n')
    assert load_settings(environ={"HOLDFAST_PORT": "81"}).port == 81


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Unknown names and wrong values of every source come in one error."""
    toml(tmp_path, 'topk = 1\nhost = ""\n')
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={"HOLDFAST_PROT": "1", "MAX_WORKERS": "none"}, top_k=99)
    text = str(caught.value)
    assert text.startswith("5 settings are wrong:")
    for piece in (
        "topk",
        "host=''",
        "HOLDFAST_PROT",
        "max_workers='none'",
        "variable MAX_WORKERS",
        "top_k=99",
        "--top-k",
    ):
        assert piece in text
    assert caught.value.field == "HOLDFAST_PROT"


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"port = = 1", "not valid TOML"), (b"port = 1 # \xff", "not UTF-8 text (byte 11)"), (None, "cannot be read")],
)
def test_unusable_file(tmp_path: Path, content: bytes | None, why: str) -> None:
    """A file that is not there, not text or not TOML is an error that says so, beside everything else that is wrong."""
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    problems = problems_of(path, environ={"HOLDFAST_PROT": "1"})
    assert len(problems) == 2
    assert str(path) in problems[0]
    assert why in problems[0]


def test_folder_as_file(tmp_path: Path) -> None:
    """A folder is not a settings file."""
    (problem,) = problems_of(tmp_path, environ=NO_ENVIRONMENT)
    assert "cannot be read: Is a directory" in problem


# -- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_never_shown(name: str) -> None:
    """A secret is in no representation of the settings, and in no error about it."""
    prefix = {"mongodb_uri": "mongodb://u:", "redis_url": "redis://:"}.get(name, "")
    settings = load_settings(environ={f"HOLDFAST_{name.upper()}": f"{prefix}hunter2"})
    assert getattr(settings, name).get_secret_value() == f"{prefix}hunter2"
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "hunter2" not in shown
    wrong = f"http://hunter2 {'x' * 600}"
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={f"HOLDFAST_{name.upper()}": wrong})
    for shown in (str(caught.value), repr(caught.value), repr(caught.value.problems)):
        assert "hunter2" not in shown
        assert name in shown


def test_secrets_are_the_ones_that_should_be() -> None:
    """Everything that is named a key or an address with a password is kept secret."""
    assert set(SECRETS) == {name for name in Settings.model_fields if name.endswith(("_key", "_uri", "_url"))}


# -- documentation ---------------------------------------------------------------------------------------------------


def documented_row(name: str) -> str:
    """The row that docs/reference/settings.md must have for a setting."""
    field = Settings.model_fields[name]
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    default = extra.get("default_text") or (f"`{field.default}`" if field.default not in {None, ""} else "none")
    variables = ", ".join(f"`{variable}`" for variable in variables_of(name))
    return f"| `{name}` | {default} | {rule_of(field)} | {variables} | {field.description} |"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_documented(name: str) -> None:
    """The reference page has the row of every setting, with default, rule, variables and description."""
    assert Settings.model_fields[name].description
    assert documented_row(name) in DOCS.read_text(encoding="utf-8").splitlines()


def test_nothing_else_is_documented() -> None:
    """The reference page has no setting that is not there any more."""
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert len(rows) == len(Settings.model_fields)


def test_the_file_in_the_documentation_is_valid() -> None:
    """The TOML example of the reference page loads."""
    text = DOCS.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
    assert set(tomllib.loads("\n".join(line.strip() for line in text.splitlines()))) == {"port", "data_dir"}


def test_file_limit_is_the_loaders() -> None:
    """No more bytes of a file can be allowed than the loaders read."""
    with pytest.raises(ValidationError):
        Settings(max_file_bytes=MAX_BYTES + 1)
    assert Settings(max_file_bytes=MAX_BYTES).max_file_bytes == MAX_BYTES
