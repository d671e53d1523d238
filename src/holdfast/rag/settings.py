"""Every setting of the service: one frozen object, made once at the start from options, environment, file and defaults.

Precedence, highest first: what the caller gives by name (command-line options), the environment, the TOML file, the
default. Nothing here is read again while the service runs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from platformdirs import user_data_path
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from holdfast.rag.settings_sources import (
    CONFIG_VARIABLE,
    Problem,
    SettingsError,
    SettingsSource,
    environment_source,
    override_source,
    toml_source,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.config import JsonDict
    from pydantic.fields import FieldInfo

__all__ = ["CONFIG_FILE", "LogLevel", "Settings", "load_settings", "rule_of"]

CONFIG_FILE = "holdfast.toml"
"""The settings file that is read when it is in the working directory."""

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

_MIB = 1024 * 1024
_KEY_MAX_CHARS = 500


def _no_boolean(value: object) -> object:
    # pydantic reads true as 1; in a settings file that is a slip of the pen
    if isinstance(value, bool):
        raise ValueError("a number is needed")  # noqa: TRY004 - pydantic turns a ValueError into its report
    return value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _path(value: Path) -> Path:
    if "\0" in str(value) or not str(value).strip():
        raise ValueError("not a path")
    try:
        return value.expanduser()
    except RuntimeError as error:  # ~somebody who has no home
        raise ValueError(str(error)) from error


def _key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not (1 <= len(text) <= _KEY_MAX_CHARS and text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("not usable in a header")
    return value


def _address(*schemes: str) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(schemes):
            raise ValueError("wrong scheme")
        return value

    return AfterValidator(check)


_Int = Annotated[int, BeforeValidator(_no_boolean)]
_Seconds = Annotated[float, BeforeValidator(_no_boolean)]
_Folder = Annotated[Path, AfterValidator(_path)]
_Key = Annotated[SecretStr, AfterValidator(_key)]
_EMBEDDER_RULE = (
    "must be local, none, PROVIDER/MODEL, e.g. openai/text-embedding-3-small, or an embedding route of `models_file`"
)
_KEY_RULE: JsonDict = {"rule": f"must be 1 to {_KEY_MAX_CHARS} printable ASCII characters without spaces"}


class Settings(BaseSettings):
    """Every setting, checked. ``Settings(...)`` itself reads neither environment nor files: :func:`load_settings` does.

    Raises:
        pydantic.ValidationError: a value given by name is wrong (:func:`load_settings` raises ``ConfigError`` instead).
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        max_length=255,
        description="The address that the service listens on; 0.0.0.0 for every interface.",
    )
    port: _Int = Field(
        default=8000, ge=0, le=65535, description="The port that the service listens on; 0 takes any free one."
    )
    data_dir: _Folder = Field(
        default_factory=lambda: user_data_path("holdfast"),
        description="The folder that holds the document store. It is made when it is not there.",
        json_schema_extra={"default_text": "the user's data folder, e.g. `~/.local/share/holdfast`"},
    )
    model_dir: _Folder | None = Field(
        default=None,
        description="The folder that holds the local embedding model.",
        json_schema_extra={"default_text": "the user's cache folder", "rule": "must be a path"},
    )
    log_level: Annotated[LogLevel, BeforeValidator(_upper)] = Field(
        default="INFO", description="The least serious log line that is written."
    )
    max_workers: _Int = Field(
        default=4, ge=1, le=256, description="Threads for work that blocks: the store, the embedding model, files."
    )
    request_timeout: _Seconds = Field(
        default=30.0,
        gt=0,
        le=600,
        allow_inf_nan=False,
        description="Seconds that one request may take, everything included.",
    )
    collection: str = Field(
        default="default",
        min_length=1,
        max_length=100,
        description="The collection that is used when a request or a command names none.",
    )
    embedder: str = Field(
        default="local",
        min_length=1,
        max_length=500,
        description=(
            "What turns text into vectors: the local model (while it is not installed answers are found by words, and "
            "say so); none, for a search by words by choice; or a provider's model. A change takes effect on documents "
            "ingested after it."
        ),
        json_schema_extra={"rule": _EMBEDDER_RULE},
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description=(
            "The model that writes answers; without one, and without `models_file`, they are quoted from the documents."
        ),
        json_schema_extra={
            "rule": (
                "must be PROVIDER/MODEL, e.g. openai/gpt-4o-mini, or several with commas between them, first choice "
                "first; with `models_file` the name of one of its chat routes"
            ),
            "default_text": "with `models_file` its only chat route, or the one named answers; else none",
        },
    )
    models_file: _Folder | None = Field(
        default=None,
        description="The file that describes providers and routes, see [models.toml](models-file.md).",
        json_schema_extra={"rule": "must be a path"},
    )
    prices_file: _Folder | None = Field(
        default=None,
        description="A file of prices that count before those that come with the package, see [prices](prices.md).",
        json_schema_extra={"rule": "must be a path"},
    )
    max_answer_tokens: _Int = Field(default=500, ge=1, le=100_000, description="Tokens that a model's answer may have.")
    cheap_model: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description=(
            "The model that writes when the service is degraded, and when `model` failed: a cheaper or another "
            "provider's."
        ),
        json_schema_extra={
            "rule": "must be as for `model`",
            "default_text": "the next one of `model`",
        },
    )
    degraded_answer_tokens: _Int = Field(
        default=200,
        ge=1,
        le=100_000,
        description="Tokens that a model's answer may have while the service is degraded.",
    )
    degraded_top_k: _Int = Field(
        default=3, ge=1, le=50, description="Passages that an answer rests on at most while the service is degraded."
    )
    queue_size: _Int = Field(
        default=500,
        ge=0,
        le=100_000,
        description=(
            "Questions that may wait for their turn; fewer, where so many could not be answered in 10 s. A full line "
            "refuses questions of low priority first."
        ),
    )
    top_k: _Int = Field(
        default=5, ge=1, le=50, description="Passages that an answer rests on when the request does not say."
    )
    cache_size: _Int = Field(
        default=1000, ge=0, le=1_000_000, description="Answers kept in memory; 0 switches all caches off."
    )
    cache_ttl: _Seconds = Field(
        default=300.0,
        gt=0,
        le=604_800,
        allow_inf_nan=False,
        description="Seconds for which a cached answer counts as fresh.",
    )
    stale_ttl: _Seconds = Field(
        default=86_400.0,
        ge=0,
        le=2_592_000,
        allow_inf_nan=False,
        description="Seconds for which the last known good answer may stand in during a failure; 0: it never does.",
    )
    semantic_cache: bool = Field(
        default=False,
        description=(
            "Whether a question also gets the cached answer to the same question in other words (in English), "
            "see [caches](../explanation/caches.md)."
        ),
        json_schema_extra={"rule": "must be true or false"},
    )
    faq_file: _Folder | None = Field(
        default=None,
        description=(
            "The file of common questions with their answers, given when nothing better can be, "
            "see [FAQ](../how-to/faq.md)."
        ),
        json_schema_extra={"rule": "must be a path", "default_text": "`faq.toml` in `data_dir`, where there is one"},
    )
    chunk_chars: _Int = Field(
        default=750,
        ge=100,
        le=8000,
        description="Characters that a passage has at most. A change takes effect on documents ingested after it.",
    )
    max_body_bytes: _Int = Field(
        default=32 * _MIB,
        ge=1024,
        le=1024 * _MIB,
        description="Bytes that the body of a request may have; a larger one is refused with 413.",
    )
    max_file_bytes: _Int = Field(
        default=50 * _MIB,
        ge=1024,
        le=50 * _MIB,
        description="Bytes that a file may have to be ingested; a larger one is reported and skipped.",
    )
    fault_injection: bool = Field(
        default=False,
        description=(
            "Whether faults can be injected into the running engine; a drill for operators. `holdfast chat` has it on."
        ),
        json_schema_extra={"rule": "must be true or false"},
    )
    conversation_days: _Int = Field(
        default=90,
        ge=0,
        le=36_500,
        description=(
            "Days after its last question for which a conversation is kept, and feedback after it was given; "
            "0: until it is deleted."
        ),
    )
    support_contact: str = Field(
        default="",
        max_length=200,
        description="How users reach a person, e.g. help@example.com; named in the answer when nothing works.",
    )
    allowed_hosts: str = Field(
        default="",
        max_length=2000,
        description=(
            "Names, separated by commas, that a service on a loopback address answers to besides localhost: those that "
            "a reverse proxy on the same machine passes on."
        ),
    )
    api_key: _Key | None = Field(
        default=None,
        description=(
            "A key that clients of the HTTP API may send, at least 16 characters. This or a key of `holdfast keys` is "
            "needed when other machines can reach the service."
        ),
        json_schema_extra=_KEY_RULE,
    )
    openai_api_key: _Key | None = Field(
        default=None,
        description="The key for OpenAI's API, used where a model of OpenAI is configured.",
        json_schema_extra=_KEY_RULE,
    )
    anthropic_api_key: _Key | None = Field(
        default=None,
        description="The key for Anthropic's API, used where a model of Anthropic is configured.",
        json_schema_extra=_KEY_RULE,
    )
    voyage_api_key: _Key | None = Field(
        default=None,
        description="The key for Voyage's API, used where a model of Voyage is configured.",
        json_schema_extra=_KEY_RULE,
    )
    standby_megabytes: _Int = Field(
        default=100,
        ge=0,
        le=100_000,
        description=(
            "Megabytes of documents' text that a copy in `data_dir` may hold, which is searched by words while the "
            "store fails, see [the standby](../explanation/standby.md); 0: there is none."
        ),
    )
    store: Literal["sqlite", "lancedb", "mongodb"] | None = Field(
        default=None,
        description=(
            "Where documents are: sqlite and lancedb in `data_dir` (see [LanceDB](../how-to/lancedb.md)), "
            "mongodb on the server of `mongodb_uri`. Another store begins empty: ingest again."
        ),
        json_schema_extra={
            "rule": "must be one of sqlite, lancedb, mongodb",
            "default_text": "mongodb where `mongodb_uri` is set, else sqlite",
        },
    )
    lancedb_place: str | None = Field(
        default=None,
        min_length=1,
        max_length=2000,
        description=(
            "Where LanceDB's table is instead: object storage such as s3://bucket/path, whose keys LanceDB takes from "
            "the environment."
        ),
        json_schema_extra={"rule": "must be a folder or an address of object storage", "default_text": "in `data_dir`"},
    )
    approximate_vectors: bool = Field(
        default=False,
        description=(
            "Whether searches by vectors may use an index that misses some of the nearest passages: faster with many "
            "documents. For lancedb, and for mongodb with a search engine."
        ),
        json_schema_extra={"rule": "must be true or false"},
    )
    analytics_days: _Int = Field(
        default=30,
        ge=0,
        le=36_500,
        description=(
            "Days for which a row is kept in MongoDB for each question (tier, source, latency, cost, reasons; never "
            "its text) and each warning; 0: none is written."
        ),
    )
    mongodb_uri: Annotated[SecretStr, _address("mongodb://", "mongodb+srv://")] | None = Field(
        default=None,
        description=(
            "The MongoDB server that replicas share their documents through; may hold a password, and is kept secret. "
            "See [documents in MongoDB](../how-to/mongodb.md)."
        ),
        json_schema_extra={"rule": "must begin with mongodb:// or mongodb+srv://"},
    )
    redis_url: Annotated[SecretStr, _address("redis://", "rediss://", "unix://")] | None = Field(
        default=None,
        description=(
            "The Redis server that processes share their caches through, e.g. redis://localhost:6379; may hold a "
            "password, and is kept secret. See [caches in Redis](../how-to/redis.md)."
        ),
        json_schema_extra={"rule": "must begin with redis://, rediss:// or unix://"},
    )
    redis_namespace: str = Field(
        default="default",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Keeps services apart that share a Redis server: with other documents, take another name.",
        json_schema_extra={"rule": "must be 1 to 64 letters, digits, '-', '_' or '.'"},
    )

    @classmethod
    def settings_customise_sources(  # noqa: D102 - the base class's hook
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # load_settings hands in its own, which know where each value stands


def load_settings(
    config_file: Path | None = None, environ: Mapping[str, str] | None = None, **overrides: object
) -> Settings:
    """Read and check the settings.

    Args:
        config_file: the TOML file; None takes ``HOLDFAST_CONFIG``, or else ``holdfast.toml`` in the working directory
            where there is one. A file that is named must be there.
        environ: the environment; None takes the process's own.
        overrides: settings by name, above everything else; one that is None is not given.

    Raises:
        SettingsError: (a ``ConfigError``) everything that is wrong, at once: unknown names with the closest known one,
            and wrong values with setting, value, rule and place.
    """
    environ = os.environ if environ is None else environ
    sources = [override_source(Settings, overrides), environment_source(Settings, environ)]
    problems: list[Problem] = []
    file = _settings_file(config_file, environ)
    if file is not None:
        try:
            sources.append(toml_source(Settings, file))
        except SettingsError as error:
            problems.extend(error.problems)
    problems.extend(problem for source in sources for problem in source.problems)
    # pydantic-settings merges the sources; type checkers see only the fields as parameters of Settings
    build: dict[str, Any] = {"_build_sources": (tuple(sources), {})}
    settings = None
    try:
        settings = Settings(**build)
    except ValidationError as error:
        problems.extend(_problems_of(error, sources))
    if settings is not None and _names_no_embedder(settings):
        found = next(source.found["embedder"] for source in sources if "embedder" in source.found)
        problems.append(Problem(field="embedder", value=found.value, rule=_EMBEDDER_RULE, where=found.where))
    if problems or settings is None:
        raise SettingsError(problems)
    return settings


def _settings_file(config_file: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config_file is not None:
        return config_file
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    file = Path(CONFIG_FILE)
    return file if file.exists() else None


def _problems_of(error: ValidationError, sources: list[SettingsSource]) -> Iterator[Problem]:
    seen = set()
    for entry in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(entry["loc"][0])
        if name in seen:  # a union reports once for each of its members
            continue
        seen.add(name)
        found = next(source.found[name] for source in sources if name in source.found)
        field = Settings.model_fields[name]
        value = "***" if _is_secret(field) else found.value
        yield Problem(field=name, value=value, rule=rule_of(field), where=found.where)


def _names_no_embedder(settings: Settings) -> bool:
    name = settings.embedder
    return name not in {"local", "none"} and "/" not in name and settings.models_file is None


def _is_secret(field: FieldInfo) -> bool:
    return "SecretStr" in str(field.annotation)


def rule_of(field: FieldInfo) -> str:
    """What is allowed for a setting, as the end of a sentence: ``"must be a whole number from 1 to 50"``."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "rule" in extra:
        return str(extra["rule"])
    annotation: Any = field.annotation
    if choices := get_args(annotation):
        return f"must be one of {', '.join(map(str, choices))}"
    if annotation is Path:
        return "must be a path"
    bounds = _bounds(field)
    if annotation is str:
        return f"must be text of {bounds.get('min_length', 0)} to {bounds['max_length']} characters"
    kind = "whole number" if annotation is int else "number"
    low = f"above {bounds['gt']:g} and at most" if "gt" in bounds else f"from {bounds['ge']:g} to"
    return f"must be a {kind} {low} {bounds['le']:,}"


def _bounds(field: FieldInfo) -> dict[str, float]:
    """The limits that a field states: ``{"ge": 1, "le": 50}``."""
    names = ("ge", "gt", "le", "min_length", "max_length")
    return {name: getattr(item, name) for item in field.metadata for name in names if hasattr(item, name)}
