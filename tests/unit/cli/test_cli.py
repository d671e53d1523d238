"""The command line, with a stand-in for the engine: what is asked of it, what is printed where, and the exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import typer

from holdfast import __version__, errors
from holdfast.cli import main
from holdfast.cli.app import app, exit_code_of
from holdfast.cli.ingest import _Stored
from holdfast.core.events import Events
from holdfast.llm.local.installed import InstalledModel
from holdfast.rag.ingest import IngestReport
from holdfast.rag.ingest.report import IngestFailure
from holdfast.rag.loaders.base import Problem
from holdfast.rag.settings import Settings
from holdfast.rag.settings_sources import variables_of
from holdfast.rag.types import Answer, Chunk, Citation, Hit, Reason, SearchResult, Source, StoredChunk, Tier, Usage
from holdfast.sample import articles_dir, questions_path, unanswerable_path
from holdfast.server.wire import AnswerBody, SearchResultBody
from holdfast.telemetry.events import DocumentIngested

if TYPE_CHECKING:
    from holdfast.rag.query import Query

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"
COMMANDS = typer.main.get_group(app).commands


# -- the stand-in ------------------------------------------------------------------------------------------------------


@dataclass
class FakeIngestor:
    """Notes what it was asked to ingest."""

    report: IngestReport = field(default_factory=IngestReport)
    calls: list[dict[str, Any]] = field(default_factory=list)
    during: Callable[[Any], None] = lambda progress: None

    async def ingest_paths(self, paths: list[Path], **options: Any) -> IngestReport:
        progress = options.pop("progress")
        self.calls.append({"paths": paths, **options})
        self.during(progress)
        return self.report


@dataclass
class FakeStatus:
    chunks: int = 1


@dataclass
class FakeStore:
    chunks: int = 1

    async def status(self) -> FakeStatus:
        return FakeStatus(self.chunks)


@dataclass
class FakeEngine:
    """Gives the answers it was told to give, or raises."""

    answer: Answer = field(default_factory=lambda: Answer(text="It is so.", source=Source.EXTRACT, tier=Tier.FULL))
    result: SearchResult = field(default_factory=lambda: SearchResult(hits=(), tier=Tier.FULL))
    error: BaseException | None = None
    ingestor: FakeIngestor = field(default_factory=FakeIngestor)
    store: FakeStore = field(default_factory=FakeStore)
    events: Events = field(default_factory=Events)
    queries: list[Query] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    settings: Settings | None = None
    closed: bool = False

    async def ask(self, query: Query) -> Answer:
        self.queries.append(query)
        if self.error is not None:
            raise self.error
        return self.answer

    async def stream(self, query: Query) -> AsyncIterator[str | Answer]:
        answer = await self.ask(query)
        for piece in self.pieces or answer.text.splitlines(keepends=True):
            yield piece
        yield answer

    async def search(self, query: Query) -> SearchResult:
        self.queries.append(query)
        if self.error is not None:
            raise self.error
        return self.result


@dataclass
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


FAILED = IngestFailure(uri="b.md", reason="it could not be stored", kind="connect", stage="store")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The engine that every command of this test opens."""
    fake = FakeEngine()

    @asynccontextmanager
    async def opened(settings: Settings, *, create: bool = True) -> AsyncIterator[FakeEngine]:
        fake.settings = settings
        try:
            yield fake
        finally:
            fake.closed = True

    monkeypatch.setattr("holdfast.cli.session.opened", opened)
    return fake


@pytest.fixture
def holdfast(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line in an empty folder, with nothing in the environment that would change it."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        for variable in variables_of(name):
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOLDFAST_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> Done:
        code = main(arguments)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run


Run: TypeAlias = Callable[..., Done]


# -- the command line as a whole ---------------------------------------------------------------------------------------


def test_help_tells_a_newcomer_where_to_begin(holdfast: Run) -> None:
    """The help says what it is, gives three commands to begin with, and lists every command."""
    done = holdfast("--help")
    assert done.code == 0
    for piece in ("with citations", "holdfast ingest --sample", "holdfast ask", "holdfast serve", *COMMANDS):
        assert piece in done.out


def test_no_command_is_help(holdfast: Run) -> None:
    """Without a command the help is shown, and that is no failure."""
    assert holdfast() == holdfast("--help")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_documentation(holdfast: Run, command: str) -> None:
    """Each command explains itself, and the reference page knows it with all its options."""
    done = holdfast(command, "--help")
    assert done.code == 0
    page = DOCS.read_text(encoding="utf-8")
    assert f"\n## `holdfast {command}" in page
    section = page.partition(f"\n## `holdfast {command}")[2].partition("\n## ")[0]
    commands = [COMMANDS[command], *getattr(COMMANDS[command], "commands", {}).values()]
    parameters = [each for one in commands for each in one.params if each.param_type_name == "option"]
    options = {name for each in parameters for name in each.opts}
    assert options
    assert options <= set(section.replace("`", " ").replace(",", " ").split()), "an option is not in the reference page"


def test_version(holdfast: Run) -> None:
    """The version is the package's."""
    assert holdfast("--version").out == f"holdfast {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [("aks", "x"), ("ask",), ("ask", "x", "--top"), ("--nope",), ("search", "x", "-k", "two")]
)
def test_wrong_usage_is_2(holdfast: Run, arguments: tuple[str, ...]) -> None:
    """A command line that is wrong ends with 2, one sentence on stderr that names the help, and nothing on stdout."""
    done = holdfast(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("holdfast: ")
    assert "--help` shows" in done.err
    assert done.err.count("\n") == 1


def test_misspelled_command_names_the_right_one(holdfast: Run) -> None:
    """A command that is nearly right is answered with the right one."""
    assert "Did you mean 'ask'?" in holdfast("aks", "why?").err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("port", 1, "must be free"), 2),
        (errors.InvalidInputError("question", "is empty"), 2),
        (errors.NotFoundError("conversation_id", "There is none."), 2),
        (errors.StoreLockedError("Another process writes to the store: try again in a moment."), 1),
        (errors.MissingExtraError("The service", "server"), 1),
        (errors.HoldfastError("Something failed."), 1),
    ],
)
def test_error_is_one_sentence(holdfast: Run, engine: FakeEngine, error: errors.HoldfastError, code: int) -> None:
    """An error of ours is its own sentence on stderr, with the exit code of its kind, and no stack trace."""
    engine.error = error
    done = holdfast("ask", "why?")
    assert (done.code, done.out, done.err) == (code, "", f"holdfast: {error}\n")
    assert exit_code_of(error) == code
    assert engine.closed


def test_unexpected_error_is_a_sentence(holdfast: Run, engine: FakeEngine) -> None:
    """A fault of ours is a sentence that names it, and says how to see where."""
    engine.error = KeyError("nobody expected this")
    done = holdfast("ask", "why?")
    assert done.code == 1
    assert "KeyError: 'nobody expected this'" in done.err
    assert "--debug" in done.err
    assert "Traceback" not in done.err


def test_debug_shows_the_stack(holdfast: Run, engine: FakeEngine) -> None:
    """With --debug the stack trace comes before the sentence."""
    engine.error = errors.StoreUnavailableError("The store is not there.")
    done = holdfast("--debug", "ask", "why?")
    assert done.code == 1
    assert "Traceback" in done.err
    assert done.err.endswith("holdfast: The store is not there.\n")


def test_missing_package_names_the_extra(holdfast: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that a command needs and that is not installed is a sentence with the command to install it."""
    engine.error = ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")
    done = holdfast("ask", "why?")
    assert done.code == 1
    assert "uvicorn" in done.err
    assert "pip install 'holdfast[service]'" in done.err


def test_missing_typer_names_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without typer the command still runs far enough to say what to install."""
    monkeypatch.setitem(sys.modules, "typer", None)
    for name in [name for name in sys.modules if name.startswith("holdfast.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["--help"]) == 1
    assert "pip install 'holdfast[service]'" in capsys.readouterr().err


def test_wrong_settings_are_2(holdfast: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wrong setting ends the command with 2, and everything that is wrong is told."""
    monkeypatch.setenv("HOLDFAST_PROT", "1")
    monkeypatch.setenv("HOLDFAST_TOP_K", "none")
    done = holdfast("ask", "why?")
    assert done.code == 2
    assert "HOLDFAST_PORT" in done.err
    assert "top_k='none'" in done.err


def test_config_names_the_file(holdfast: Run, engine: FakeEngine, tmp_path: Path) -> None:
    """--config gives the settings file for the command after it."""
    (tmp_path / "mine.toml").write_text('collection = "mine"\n')
    assert holdfast("--config", "mine.toml", "ask", "why?").code == 0
    assert engine.settings is not None
    assert engine.settings.collection == "mine"
    assert holdfast("--config", "other.toml", "ask", "why?").code == 2


def test_interrupted_is_130(holdfast: Run, engine: FakeEngine) -> None:
    """Ctrl-C ends a command with 130 and without a stack trace."""
    engine.error = KeyboardInterrupt()
    done = holdfast("ask", "why?")
    assert done.code == 130
    assert "Traceback" not in done.err


# -- ask and search ----------------------------------------------------------------------------------------------------


CITATION = Citation(
    document_id="d1",
    chunk_id="c1",
    title="Returns",
    uri="help/returns.md",
    text="30 days",
    start=3,
    end=10,
    score=0.9,
    heading="Returns › When",
)
ANSWER = Answer(
    text="You have 30 days [1].",
    citations=(CITATION, replace(CITATION, title="", heading="", uri="help/other.md")),
    source=Source.EXTRACT,
    tier=Tier.FULL,
    confidence=0.876,
    request_id="req_1",
    timings_ms={"search": 3.2, "total": 12.6},
)
CHUNK = Chunk(
    id="c1",
    document_id="d1",
    ordinal=0,
    start=5,
    end=20,
    heading="How › When",
    text="  You have\n30 days. " + "x" * 300,
)
HIT = Hit(stored=StoredChunk(chunk=CHUNK, title="Returns", uri="help/returns.md"), score=0.98765)
RESULT = SearchResult(hits=(HIT,), tier=Tier.DEGRADED, reasons=(Reason.EMBEDDER_UNAVAILABLE,), request_id="req_2")


def test_answer_with_citations(holdfast: Run, engine: FakeEngine) -> None:
    """The answer and its numbered sources are on stdout, the line about it on stderr."""
    engine.answer = ANSWER
    done = holdfast("ask", "how long?")
    assert done.code == 0
    assert done.out == "You have 30 days [1].\n\n[1] Returns › When (help/returns.md)\n[2] help/other.md\n"
    assert done.err == "source extract · tier full · confidence 0.88 · 13 ms\n"


def test_notice_of_a_degraded_answer(holdfast: Run, engine: FakeEngine) -> None:
    """What is missing is told on stderr, with the age of an old answer."""
    engine.answer = replace(ANSWER, notice="This is an older answer.", age_seconds=61.0, source=Source.STALE_CACHE)
    done = holdfast("ask", "how long?")
    assert done.code == 0
    assert done.err == (
        "This is an older answer.\nsource stale_cache · tier full · confidence 0.88 · 61 s old · 13 ms\n"
    )


def test_an_answer_is_printed_as_it_is_written(
    holdfast: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece is on stdout, and flushed, before the next one is there; together they are the answer."""
    engine.answer, engine.pieces = ANSWER, ["You have ", "30 days [1]", "."]
    shown: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr("holdfast.cli.ask.print_piece", shown.append)
        done = holdfast("ask", "how long?")
    assert shown == engine.pieces
    assert done.out.startswith("\n\n[1]")
    assert holdfast("ask", "how long?").out.startswith("You have 30 days [1].\n\n[1]")


def test_what_a_model_wrote_is_told_with_its_price(holdfast: Run, engine: FakeEngine) -> None:
    """The line about an answer names the model, the tokens and the cost."""
    usage = Usage(prompt_tokens=1234, completion_tokens=56)
    engine.answer = replace(ANSWER, source=Source.LIVE, model="openai/gpt-4o-mini", usage=usage, cost_usd=0.00021)
    assert holdfast("ask", "how long?").err == (
        "source live · tier full · confidence 0.88 · model openai/gpt-4o-mini · 1,234 + 56 tokens · $0.000210 · 13 ms\n"
    )


def test_no_answer_is_no_failure(holdfast: Run, engine: FakeEngine) -> None:
    """ "I don't know" ends with 0 and has no list of sources."""
    engine.answer = Answer(text="I don't know.", source=Source.EXTRACT, tier=Tier.FULL)
    done = holdfast("ask", "how long?")
    assert (done.code, done.out) == (0, "I don't know.\n")


def test_answer_as_json_is_the_api(holdfast: Run, engine: FakeEngine) -> None:
    """--json prints what the HTTP API answers, field for field, and nothing else anywhere."""
    engine.answer = ANSWER
    done = holdfast("ask", "how long?", "--json")
    assert json.loads(done.out) == AnswerBody.of(ANSWER).model_dump(mode="json")
    assert done.err == ""


def test_search_as_json_is_the_api(holdfast: Run, engine: FakeEngine) -> None:
    """--json prints what the HTTP API answers, field for field."""
    engine.result = RESULT
    done = holdfast("search", "how long?", "--json")
    assert json.loads(done.out) == SearchResultBody.of(RESULT, request_id="").model_dump(mode="json")


def test_search(holdfast: Run, engine: FakeEngine) -> None:
    """Each passage has its number, score, place and beginning; what is missing is told on stderr."""
    engine.result = RESULT
    done = holdfast("search", "how long?")
    first, second = done.out.splitlines()
    assert first == "[1] 0.988  Returns › How › When (help/returns.md)"
    assert second.startswith("    You have 30 days. xxx")
    assert second.endswith("x…")
    assert len(second) == 4 + 240
    assert "embedder_unavailable" in done.err


def test_search_without_hits(holdfast: Run, engine: FakeEngine) -> None:
    """Nothing found is no failure, and says how documents come in."""
    done = holdfast("search", "how long?")
    assert (done.code, done.out) == (0, "")
    assert "holdfast ingest" in done.err


@pytest.mark.parametrize("command", ["ask", "search"])
def test_options_reach_the_engine(holdfast: Run, engine: FakeEngine, command: str) -> None:
    """The collection and the number of passages are those of the options."""
    assert holdfast(command, "how long?", "--collection", "other", "--top-k", "3").code == 0
    assert engine.queries[0].question == "how long?"
    assert engine.queries[0].collection == "other"
    assert engine.settings is not None
    assert engine.settings.top_k == 3


@pytest.mark.parametrize("command", ["ask", "search"])
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("",), "question"),
        (("  ",), "question"),
        (("x" * 1_000_000,), "question"),
        (("a\x1b[31mb",), "U+001B"),
        (("x", "--collection", "c" * 200), "collection"),
        (("x", "-k", "0"), "top_k"),
        (("x", "-k", "51"), "top_k"),
    ],
)
def test_bad_input_is_2(
    holdfast: Run, engine: FakeEngine, command: str, arguments: tuple[str, ...], names: str
) -> None:
    """Bad input ends with 2 and a short sentence that names it, before anything is opened."""
    done = holdfast(command, *arguments)
    assert (done.code, done.out) == (2, "")
    assert names in done.err
    assert len(done.err) < 500
    assert engine.settings is None


def test_documents_cannot_steer_the_terminal(holdfast: Run, engine: FakeEngine) -> None:
    """Escape sequences in answers and titles do not reach the terminal, in no format."""
    evil = "\x1b]0;gotcha\x07 \x9b31m ok\tyes\r\u202e"
    engine.answer = replace(ANSWER, text=evil, citations=(replace(CITATION, title=evil),), notice=evil)
    done = holdfast("ask", "how long?")
    for control in "\x1b\x07\x9b\r\u202e":
        assert control not in done.out + done.err
    assert "ok\tyes" in done.out
    done = holdfast("ask", "how long?", "--json")
    assert not set("\x1b\x07\x9b\r") & set(done.out)
    assert json.loads(done.out)["answer"] == evil


def test_a_wrong_file_of_models_is_a_sentence_and_2(holdfast: Run, tmp_path: Path) -> None:
    """What is wrong with models.toml is told with file, path, value and rule, by every command that needs it."""
    (tmp_path / "models.toml").write_text('[models.answers]\ntargets = ["nobody/m"]\n')
    (tmp_path / "holdfast.toml").write_text('models_file = "models.toml"\nembedder = "none"\n')
    done = holdfast("ask", "how long?")
    assert (done.code, done.out) == (2, "")
    assert "models.toml: models.answers.targets[0]" in done.err
    assert "nobody" in done.err


def test_what_is_not_quite_right_about_models_is_told(holdfast: Run, tmp_path: Path) -> None:
    """One key of several that is not set is a warning on stderr, and the command goes on."""
    (tmp_path / "models.toml").write_text(
        '[providers.p]\nbase_url = "http://127.0.0.1:9/v1"\nkeys = ["env:HOME", "env:NO_SUCH_KEY"]\n'
        '[models.answers]\ntargets = ["p/m"]\n'
    )
    (tmp_path / "a.md").write_text("# Hours\n\nWe open at nine.\n")
    settings = 'models_file = "models.toml"\nembedder = "none"\ndata_dir = "data"\n'
    (tmp_path / "holdfast.toml").write_text(settings)
    done = holdfast("ingest", "a.md")
    assert done.code == 0
    assert "NO_SUCH_KEY" in done.err


# -- ingest ------------------------------------------------------------------------------------------------------------


REPORT = IngestReport(added=40, changed=3, unchanged=5, chunks=1234, sentences=9000, seconds=10.0)


def test_ingest_summary(holdfast: Run, engine: FakeEngine, tmp_path: Path) -> None:
    """A path is ingested into the default collection, and the summary is on stdout."""
    engine.ingestor.report = REPORT
    done = holdfast("ingest", str(tmp_path))
    assert done.code == 0
    assert done.out == (
        "48 documents: 40 new, 3 changed, 5 as they were. 1,234 passages written in 10.0 s, 123 chunks/s.\n"
    )
    assert done.err == ""
    assert engine.ingestor.calls == [
        {"paths": [tmp_path], "collection": "default", "uri_prefix": "", "fail_fast": False}
    ]
    assert engine.closed


def test_ingest_options_reach_the_engine(holdfast: Run, engine: FakeEngine, tmp_path: Path) -> None:
    """Collection and uri prefix are those of the options."""
    holdfast("ingest", str(tmp_path), "--collection", "other", "--uri-prefix", "https://example.com/")
    assert engine.ingestor.calls == [
        {"paths": [tmp_path], "collection": "other", "uri_prefix": "https://example.com/", "fail_fast": False}
    ]


def test_ingest_sample(holdfast: Run, engine: FakeEngine) -> None:
    """--sample ingests the articles that come with the package."""
    assert holdfast("ingest", "--sample").code == 0
    assert engine.ingestor.calls[0]["paths"] == [articles_dir()]


def test_the_sample_brings_its_faq(holdfast: Run, engine: FakeEngine, tmp_path: Path) -> None:
    """--sample puts its FAQ into the data folder, says so, and leaves one that is there as it is."""
    faq = tmp_path / "data" / "faq.toml"
    faq.parent.mkdir()
    assert "Its FAQ is in" in holdfast("ingest", "--sample").err
    assert 'collection = "default"' in faq.read_text("utf-8")
    faq.write_text("# my own\n")
    assert "FAQ" not in holdfast("ingest", "--sample").err
    assert faq.read_text("utf-8") == "# my own\n"


def test_ingest_problems_are_listed(holdfast: Run, engine: FakeEngine, tmp_path: Path) -> None:
    """Skipped and failed files are listed with their reasons on stderr; because of the failed one the code is 1."""
    engine.ingestor.report = IngestReport(
        added=1,
        chunks=2,
        seconds=0.5,
        skipped=(Problem("a.pdf", "It is empty."),),
        failed=(FAILED,),
        ignored={".png": 2, "": 1},
        embedded=False,
    )
    done = holdfast("ingest", str(tmp_path))
    assert done.code == 1
    assert "Skipped: 1\n  a.pdf: It is empty.\n" in done.err
    assert "b.md: it could not be stored" in done.err
    assert ".png 2, without ending 1" in done.err
    assert "holdfast model" in done.err


def test_ingest_long_list_is_cut(holdfast: Run, engine: FakeEngine, tmp_path: Path) -> None:
    """Of very many problems the first are shown, and where the rest is."""
    problems = tuple(Problem(f"f{number}.md", "It is empty.") for number in range(60))
    engine.ingestor.report = IngestReport(added=1, skipped=problems)
    done = holdfast("ingest", str(tmp_path))
    assert "f49.md" in done.err
    assert "f50.md" not in done.err
    assert "10 more" in done.err
    done = holdfast("ingest", str(tmp_path), "--json")
    assert len(json.loads(done.out)["skipped"]) == 60


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (IngestReport(), 0),
        (IngestReport(unchanged=1, skipped=(Problem("a", "b"),)), 0),
        (IngestReport(skipped=(Problem("a", "b"),)), 1),
        (IngestReport(failed=(FAILED,)), 1),
        (IngestReport(added=9, failed=(FAILED,)), 1),
        (IngestReport(removed=1, skipped=(Problem("a", "b"),)), 0),
    ],
)
def test_ingest_exit_code(holdfast: Run, engine: FakeEngine, tmp_path: Path, report: IngestReport, code: int) -> None:
    """1 when something could not be stored, or all that was named is unusable; skipped files alone are no failure."""
    engine.ingestor.report = report
    assert holdfast("ingest", str(tmp_path)).code == code


def test_ingest_json(holdfast: Run, engine: FakeEngine, tmp_path: Path) -> None:
    """--json prints the whole report."""
    engine.ingestor.report = REPORT
    report = json.loads(holdfast("ingest", str(tmp_path), "--json").out)
    assert (report["added"], report["chunks"], report["embedded"]) == (40, 1234, True)


@pytest.mark.parametrize("arguments", [(), ("--sample", "."), ("nowhere",), ("neither", "nowhere")])
def test_ingest_bad_input_is_2(holdfast: Run, engine: FakeEngine, arguments: tuple[str, ...]) -> None:
    """No path, a path beside --sample, or only paths that are not there: 2, and nothing is ingested."""
    done = holdfast("ingest", *arguments)
    assert (done.code, done.out) == (2, "")
    assert engine.ingestor.calls == []


def test_ingest_of_a_good_and_a_bad_path(holdfast: Run, engine: FakeEngine, tmp_path: Path) -> None:
    """A path that is not there does not keep the others out: the ingestor gets all of them, and reports it."""
    (tmp_path / "good.html").write_text("<p>Good.")
    engine.ingestor.report = IngestReport(added=1, skipped=(Problem("nowhere", "There is no such file or folder."),))
    done = holdfast("ingest", "nowhere", "good.html")
    assert done.code == 0
    assert engine.ingestor.calls[0]["paths"] == [Path("nowhere"), Path("good.html")]
    assert "nowhere: There is no such file" in done.err


def test_ingest_tells_what_was_removed(holdfast: Run, engine: FakeEngine, tmp_path: Path) -> None:
    """Documents that their files hold no more are part of the summary, and of the JSON."""
    engine.ingestor.report = replace(REPORT, removed=1_200)
    assert "5 as they were; 1,200 removed. " in holdfast("ingest", str(tmp_path)).out
    assert json.loads(holdfast("ingest", str(tmp_path), "--json").out)["removed"] == 1_200


def test_ingest_speed_tells_documents() -> None:
    """Where a file holds many documents, the display says how many of them are stored."""
    now = 10.0
    stored = _Stored(lambda: now)
    assert stored.speed() == ""
    for _ in range(1_200):
        stored.add(2)
    now = 20.0
    assert stored.speed() == "1,200 documents, 240 chunks/s"


def test_ingest_interrupted(holdfast: Run, engine: FakeEngine, tmp_path: Path) -> None:
    """Ctrl-C says how much is stored and how to go on, and ends with 130."""

    def interrupt(progress: Any) -> None:
        for number in range(3):
            engine.events.emit(DocumentIngested(time_ns=0, document_id=f"d{number}", chunks=4, latency_ms=1.0))
        progress("ingest", 3, 10, "d3.md")
        raise KeyboardInterrupt

    engine.ingestor.during = interrupt
    done = holdfast("ingest", str(tmp_path))
    assert (done.code, done.out) == (130, "")
    assert "At least 3 documents were stored" in done.err
    assert "The same command goes on" in done.err
    assert engine.closed


# -- eval ------------------------------------------------------------------------------------------------------------


def test_eval_counts(holdfast: Run, engine: FakeEngine, tmp_path: Path) -> None:
    """Every question of both files is asked without a cache; the rates are on stdout, everything in the JSON file."""
    engine.result, engine.answer = RESULT, replace(ANSWER, citations=(CITATION,))
    questions, foreign = tmp_path / "q.jsonl", tmp_path / "u.jsonl"
    questions.write_text(
        '{"id": "1", "question": "how long?", "article": "returns", "facts": ["30 days"], "style": "plain"}\n'
        '{"id": "2", "question": "how much?", "article": "prices", "facts": ["a lot"], "style": "odd"}\n'
    )
    foreign.write_text('{"id": "3", "question": "who?"}\n')
    done = holdfast("eval", str(questions), "--unanswerable", str(foreign), "--top-k", "4", "--json", "out.json")
    assert done.code == 0
    assert engine.settings is not None
    assert (engine.settings.cache_size, engine.settings.top_k) == (0, 4)
    assert [query.question for query in engine.queries] == ["how long?"] * 2 + ["how much?"] * 2 + ["who?"] * 2
    rows = {line.split()[0]: line.split() for line in done.out.splitlines() if line.strip()}
    assert rows["all"] == ["all", "2", *["0.500"] * 6, "0.000"]
    assert "recall@4" in done.out
    assert "Of 1 questions that no document answers, refused: 0.000" in done.out
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["overall"]["recall_at_1"] == 0.5
    assert len(report["records"]) == 3


def test_eval_tells_what_a_models_answers_cost(holdfast: Run, engine: FakeEngine, tmp_path: Path) -> None:
    """When a model wrote answers, their number and their cost stand below the table."""
    engine.result = RESULT
    engine.answer = replace(
        ANSWER, citations=(CITATION,), source=Source.LIVE, model="openai/gpt-4o-mini", cost_usd=0.01
    )
    (tmp_path / "q.jsonl").write_text('{"id": "1", "question": "how long?", "article": "returns"}\n')
    done = holdfast("eval", "q.jsonl")
    assert "Answers that a model wrote: openai/gpt-4o-mini 1. They cost $0.0100." in done.out


def test_eval_asks_the_sample(holdfast: Run, engine: FakeEngine) -> None:
    """Without a file the questions of the sample are asked, those that nothing answers included."""
    done = holdfast("eval")
    assert done.code == 0
    asked = {query.question for query in engine.queries}
    assert len(asked) == sum(len(path.read_text().splitlines()) for path in (questions_path(), unanswerable_path()))


def test_eval_of_an_empty_store(holdfast: Run, engine: FakeEngine) -> None:
    """With nothing ingested there is nothing to measure, and the sentence says what to do."""
    engine.store.chunks = 0
    done = holdfast("eval")
    assert (done.code, engine.queries) == (2, [])
    assert "holdfast ingest --sample" in done.err


@pytest.mark.parametrize("content", [None, "", "not json\n", '{"id": "1"}\n'])
def test_eval_of_a_bad_file(holdfast: Run, engine: FakeEngine, tmp_path: Path, content: str | None) -> None:
    """A file of questions that is not there or not in the format ends with 2, before anything is asked."""
    if content is not None:
        (tmp_path / "q.jsonl").write_text(content)
    done = holdfast("eval", "q.jsonl")
    assert (done.code, done.out, engine.queries) == (2, "", [])
    assert "q.jsonl" in done.err


def test_eval_cannot_write(holdfast: Run, engine: FakeEngine, tmp_path: Path) -> None:
    """A report that cannot be written is told, after the table."""
    done = holdfast("eval", "--json", str(tmp_path / "nowhere" / "out.json"))
    assert done.code == 2
    assert "cannot be written: No such file or directory" in done.err


# -- model -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Puts a stand-in in the place of the installation; what it was called with."""
    seen: dict[str, Any] = {"fresh": True, "error": None}

    async def install_model(target_dir: Path, *, progress: Any, source: Path | None, **_ports: Any) -> InstalledModel:
        seen.update(target=target_dir, source=source)
        if seen["error"]:
            raise seen["error"]
        for stage, done, total in (("download", 0, 90), ("download", 90, 90), ("verify", 0, None), ("done", 0, None)):
            progress(stage, done, total)
        return InstalledModel(directory=target_dir, embedder_id="x", dimension=3, size=22_600_000, fresh=seen["fresh"])

    monkeypatch.setattr("holdfast.llm.local.install.install_model", install_model)
    return seen


def test_model(holdfast: Run, install: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The model goes into the folder of the settings; each step is one line where there is no terminal."""
    monkeypatch.setenv("HOLDFAST_MODEL_DIR", str(tmp_path / "model"))
    done = holdfast("model")
    assert (done.code, done.out) == (0, f"The local model is ready now: 23 MB in {tmp_path / 'model'}\n")
    assert done.err == "Downloading the model ...\nChecking its hash ...\n"
    assert install["target"] == tmp_path / "model"
    install["fresh"] = False
    assert "is ready:" in holdfast("model").out


def test_model_from_a_folder(holdfast: Run, install: dict[str, Any], tmp_path: Path) -> None:
    """--from names the folder to take it from; one that is not there is 2."""
    assert holdfast("model", "--from", str(tmp_path)).code == 0
    assert install["source"] == tmp_path
    assert holdfast("model", "--from", str(tmp_path / "nowhere")).code == 2


def test_model_cannot_be_had(holdfast: Run, install: dict[str, Any]) -> None:
    """Without network the command ends with 1 and the reason."""
    install["error"] = errors.ModelUnavailableError("The hub did not answer.")
    done = holdfast("model")
    assert (done.code, done.err) == (1, "holdfast: The hub did not answer.\n")


# -- serve -----------------------------------------------------------------------------------------------------------


def test_serve_options(holdfast: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options of serve are settings above the environment's."""
    seen: list[Settings] = []

    def serve(settings: Settings, *, ready: Callable[[str], None]) -> None:
        assert callable(ready)
        seen.append(settings)

    monkeypatch.setattr("holdfast.server.run.serve", serve)
    monkeypatch.setenv("HOLDFAST_PORT", "1")
    assert holdfast("serve", "--port", "0", "--host", "localhost", "--log-level", "warning").code == 0
    assert holdfast("serve").code == 0
    assert (seen[0].port, seen[0].host, seen[0].log_level) == (0, "localhost", "WARNING")
    assert (seen[1].port, seen[1].host, seen[1].log_level) == (1, "127.0.0.1", "INFO")
    assert holdfast("serve", "--port", "70000").code == 2


def test_serve_tells_the_address_on_a_terminal(
    holdfast: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person is told where to go; a log, which is JSON, gets no such line."""

    def serve(_settings: Settings, *, ready: Callable[[str], None]) -> None:
        ready("http://127.0.0.1:8000")

    monkeypatch.setattr("holdfast.server.run.serve", serve)
    assert holdfast("serve").err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert "http://127.0.0.1:8000" in holdfast("serve").err
