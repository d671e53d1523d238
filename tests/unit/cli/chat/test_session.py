"""Sessions over a pipe, on a real engine in virtual time."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from tests.unit.rag.scripted import QUESTION, Desk, Provider, desk

from holdfast.cli import main
from holdfast.cli.chat.backstage import Stopped
from holdfast.cli.chat.session import Session
from holdfast.errors import StoreUnavailableError
from holdfast.rag.conversations.conversations import new_conversation_id
from holdfast.rag.settings import Settings
from holdfast.rag.settings_sources import variables_of

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.rag.query import Query

Chat: TypeAlias = Callable[..., tuple[int, str, str]]
ANSWER = "Within 30 days of delivery [1]."


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def chat(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    provider: Provider,
) -> Chat:
    """Runs ``holdfast chat`` on the lines that it is given; ``prepare`` is called with the open engine first."""
    for name in Settings.model_fields:
        for variable in variables_of(name):
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")

    def run(
        *lines: str, options: tuple[str, ...] = (), prepare: Callable[[Desk], Any] | None = None
    ) -> tuple[int, str, str]:
        @asynccontextmanager
        async def opened(settings: Settings, *, create: bool = True) -> AsyncIterator[Any]:
            assert settings.fault_injection
            assert not create
            async with desk(tmp_path, provider, fault_injection=True) as made:
                if prepare is not None:
                    await prepare(made)
                yield made.engine

        monkeypatch.setattr("holdfast.cli.session.opened", opened)
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        code = main(["chat", *options])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_a_question_over_a_pipe(chat: Chat) -> None:
    """An answer and its citations go to stdout, what is about them to stderr; the end of the input is the end."""
    code, out, err = chat(QUESTION)
    assert code == 0
    assert out.startswith(f"{ANSWER}\n\n[1] Return an item")
    assert "source live · tier full" in err
    assert "conversation conv_" in err


def test_the_conversation_is_remembered(chat: Chat, provider: Provider) -> None:
    """A follow-up question is put to the model together with what was said before."""
    chat(QUESTION, "And what does it cost?")
    assert QUESTION in provider.prompt
    assert ANSWER.removesuffix(" [1].") in provider.prompt


def test_an_error_is_a_sentence_and_the_session_goes_on(chat: Chat) -> None:
    """After a line that cannot be used the next one is answered."""
    code, out, err = chat("x" * 4_001, "/nope", QUESTION)
    assert code == 0
    assert "holdfast: question: has 4,001 characters" in err
    assert "holdfast: command: there is no command /nope" in err
    assert ANSWER in out


def test_what_nobody_expected_is_a_sentence_too(chat: Chat) -> None:
    """A fault of ours ends the answer and not the session."""

    async def spoil(made: Desk) -> None:
        real = made.engine.stream

        def stream(query: Query) -> Any:
            if query.question == "spoiled":
                raise KeyError("nobody expected this")
            return real(query)

        made.engine.stream = stream  # type: ignore[method-assign,assignment]

    code, out, err = chat("spoiled", QUESTION, prepare=spoil)
    assert code == 0
    assert "this should not have happened: KeyError: 'nobody expected this'" in err
    assert ANSWER in out


def test_text_from_a_model_is_not_obeyed(chat: Chat, provider: Provider) -> None:
    """Escape sequences of an answer do not reach the terminal, and its markup is text."""
    provider.pieces = ["Within\x1b[2J 30 days [red]of[/] ", "delivery [1]."]
    _, out, _ = chat(QUESTION)
    assert "\x1b" not in out
    assert "[red]of[/]" in out


def test_the_commands(chat: Chat) -> None:
    """Each command writes its table; an empty line is nothing."""
    code, out, err = chat(QUESTION, "", "stats", "/health", "config", "help", "test", "exit", "not read any more")
    assert code == 0
    for piece in ("latency p95", "live 1", "full 1", "breaker store:sqlite", "120 tokens"):
        assert piece in out, piece
    for piece in ("2 documents", "fault_injection", "test SCENARIO", "test store-down"):
        assert piece in out, piece
    assert "(no embedder here)" in out
    assert "they cost what it takes" in err
    assert "not read any more" not in out


def test_a_scenario_is_played_and_the_session_goes_on(chat: Chat) -> None:
    """A test shows the fault, what follows from it and the recovery; afterwards questions are answered as before."""
    code, out, err = chat("test store-down", QUESTION)
    assert code == 0
    assert "FAULT ON  store: unavailable" in err
    assert "FAULT OFF" in err
    assert "circuit breaker open store:sqlite" in err
    assert "asked again, tier degraded, source cache (vector_store_unavailable)" in out
    assert "tier degraded, source live (vector_store_unavailable)" in out
    assert "Recovered by itself" in out
    assert [
        line.split()[:3] for line in out.splitlines() if line.strip().startswith(("before", "during", "after"))
    ] == [
        ["before", "the", "fault"],
        ["during", "the", "fault"],
        ["after", "the", "fault"],
    ]
    assert "The drill cost $0.0" in err
    assert ANSWER in out


def test_a_scenario_that_cannot_be_played(chat: Chat) -> None:
    """An unknown scenario names those there are, and one that breaks what is not here says so."""
    _, _, err = chat("test nosuch", "test embedder-down")
    assert "There is no scenario 'nosuch'. There are: model-down" in err
    assert "embedder-down breaks what is not in use here: embedder." in err


def test_nothing_to_ask_about(chat: Chat) -> None:
    """Where nothing is ingested a test says how to change that."""
    _, _, err = chat("test cache-down", options=("--collection", "elsewhere"))
    assert "nothing is ingested to ask about: run `holdfast ingest --sample` first" in err


def test_reset_asks_and_forgets(chat: Chat) -> None:
    """A conversation is forgotten after a yes only, and another one begins."""
    kept: list[int] = []

    async def watch(made: Desk) -> None:
        assert made.engine.conversations is not None
        real = made.engine.conversations.delete

        async def delete(conversation_id: str) -> bool:
            kept.append(1)
            return await real(conversation_id)

        made.engine.conversations.delete = delete  # type: ignore[method-assign]

    _, out, _ = chat(QUESTION, "reset", "n", "reset", "y", prepare=watch)
    assert "Nothing was forgotten." in out
    assert "Forgotten. The new conversation is conv_" in out
    assert kept == [1]


def test_a_conversation_is_taken_up_again(chat: Chat, provider: Provider) -> None:
    """By its id, or as the last one, a conversation goes on in another session."""
    _, _, err = chat(QUESTION)
    conversation_id = err.splitlines()[0].removeprefix("conversation ")
    for options in (("--conversation", conversation_id), ("--continue",)):
        code, _, err = chat("And what does it cost?", options=options)
        assert code == 0
        assert f"> {QUESTION}" in err
        assert f"conversation {conversation_id}" in err
        assert QUESTION in provider.prompt


def test_there_is_no_such_conversation(chat: Chat) -> None:
    """An id that names no conversation, or cannot be one, is an error; without any, the last one is the first."""
    code, _, err = chat(options=("--conversation", "conv_gone"))
    assert (code, "There is no conversation conv_gone" in err) == (2, True)
    code, _, err = chat(options=("--conversation", "not an id!"))
    assert code == 2
    code, _, err = chat(options=("--continue",))
    assert (code, "There is no conversation yet: this is the first one." in err) == (0, True)
    code, _, err = chat(options=("--continue", "--new"))
    assert (code, "choose one of the three" in err) == (2, True)


def test_records_that_are_down_do_not_keep_anybody_from_talking(chat: Chat) -> None:
    """When the conversation cannot be read, that is said, and questions are answered under its id."""

    async def down(made: Desk) -> None:
        assert made.engine.injections is not None
        made.engine.injections.inject("records", "unavailable", seconds=3_600)

    name = new_conversation_id()
    code, out, err = chat(QUESTION, options=("--conversation", name), prepare=down)
    assert code == 0
    assert "What was said before cannot be shown right now: injected: the store of conversations is not there." in err
    assert f"conversation {name}" in err
    assert ANSWER in out


def test_without_conversations_the_chat_still_answers(chat: Chat) -> None:
    """An engine that keeps no conversations answers each question alone, and says so when it matters."""

    async def none(made: Desk) -> None:
        made.engine.conversations = None

    code, out, err = chat(QUESTION, "reset", prepare=none)
    assert code == 0
    assert ANSWER in out
    assert "No conversation is kept here" in out
    assert "conversation conv_" not in err
    code, _, err = chat(options=("--continue",), prepare=none)
    assert (code, "no conversations are kept here" in err) == (2, True)


def test_a_store_that_does_not_open_ends_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its documents the command ends with a sentence and 1."""

    def opened(settings: Settings, *, create: bool = True) -> Any:
        raise StoreUnavailableError("There is no store here.")

    monkeypatch.setattr("holdfast.cli.session.opened", opened)
    assert main(["chat"]) == 1
    assert capsys.readouterr().err == "holdfast: There is no store here.\n"


# -- Ctrl-C, without a terminal ----------------------------------------------------------------------------------------


class Scripted:
    """Stands in for all that a session talks to: what it reads is raised or given, what it writes is kept."""

    live = True

    def __init__(self, *script: str | type[BaseException] | None) -> None:
        self.script = list(script)
        self.written: list[str] = []
        self.engine: Any = self
        self.conversations = None
        self.events = self

    def listen(self, *_: object) -> Callable[[], None]:
        return lambda: None

    def read(self, prompt: str = "") -> str | None:
        step = self.script.pop(0)
        if isinstance(step, type):
            raise step
        return step

    def offer(self, words: object) -> None:
        pass

    def call(self, coroutine: Any) -> Any:
        coroutine.close()
        raise Stopped

    def say(self, text: str = "") -> None:
        self.written.append(text)

    warn = note = complain = say

    def answered(self, answer: object) -> None:
        pytest.fail("every call is stopped")

    def session(self) -> Session:
        stand_in: Any = self
        return Session(stand_in, Settings(), stand_in, stand_in)


@pytest.mark.parametrize(
    ("script", "left"),
    [
        ((KeyboardInterrupt, KeyboardInterrupt, "unread"), 1),
        ((KeyboardInterrupt, "", KeyboardInterrupt, "unread"), 1),
        ((KeyboardInterrupt, "stats?", KeyboardInterrupt, "unread"), 1),
        ((KeyboardInterrupt, "/nope", KeyboardInterrupt, None, "unread"), 1),
        (("a question", KeyboardInterrupt, "unread"), 1),
        (("a question", "another", None, "unread"), 1),
        ((None, "unread"), 1),
    ],
)
def test_a_second_ctrl_c_leaves(script: tuple[Any, ...], left: int) -> None:
    """Ctrl-C at the prompt leaves right after another one; a line in between forgives the first."""
    scripted = Scripted(*script)
    scripted.session().run()
    assert len(scripted.script) == left


def test_what_was_stopped_is_told() -> None:
    """An answer that was stopped says so, and how to leave."""
    scripted = Scripted("a question", None)
    scripted.session().run()
    assert "Stopped. Ctrl-C again leaves." in scripted.written
