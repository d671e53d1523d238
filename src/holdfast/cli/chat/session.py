"""The session: reads a line, does what it says, and goes on whatever comes of it."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from holdfast.cli.chat.backstage import Stopped
from holdfast.cli.chat.commands import Commands
from holdfast.cli.chat.tally import Tally
from holdfast.errors import HoldfastError, InvalidInputError, NotFoundError
from holdfast.rag.conversations.conversations import new_conversation_id
from holdfast.rag.query import Query
from holdfast.rag.types import Answer

if TYPE_CHECKING:
    from holdfast.cli.chat.backstage import Backstage
    from holdfast.cli.chat.prompt import Lines
    from holdfast.cli.chat.view import View
    from holdfast.rag.settings import Settings

__all__ = ["Session"]

_TURNS_SHOWN = 3
_SHOWN_CHARS = 300


class Session:
    """One conversation at a terminal, or over a pipe.

    Args:
        backstage: the open engine.
        view: where to write.
        lines: where to read.
    """

    def __init__(self, backstage: Backstage, settings: Settings, view: View, lines: Lines) -> None:
        self._backstage = backstage
        self._settings = settings
        self._view = view
        self._lines = lines
        self._conversations = backstage.engine.conversations
        self._tally = Tally(backstage.engine)
        self._commands = Commands(backstage, settings, view, self._tally)
        self.conversation_id = new_conversation_id()

    def begin(self, conversation_id: str | None, *, last: bool) -> None:
        """Greet, and take up an earlier conversation.

        Args:
            conversation_id: the one that was named, or None.
            last: whether to take up the last one.

        Raises:
            InvalidInputError, NotFoundError: there is no conversation of that name, or nothing is kept here.
        """
        if self._view.live:
            self._view.say("Ask a question, or `help` for the commands. Ctrl-C stops an answer, Ctrl-D leaves.")
        if conversation_id is not None or last:
            self._take_up(conversation_id)
        if self._conversations is not None:
            self._view.note(f"conversation {self.conversation_id}")
        self._lines.offer(self._commands.words())

    def run(self) -> None:
        """Go on until the user leaves."""
        try:
            self._go_on()
        except KeyboardInterrupt:  # again, while the first one was being answered
            self._view.say()
        finally:
            self._tally.close()
            if self._view.live:
                self._view.note(self._farewell())

    def _go_on(self) -> None:
        interrupted = False
        while True:
            try:
                line = self._lines.read()
                interrupted = interrupted and not line
                if line is None or not self._do(line.strip()):
                    return
            except Stopped:
                interrupted = True
                self._view.warn("Stopped. Ctrl-C again leaves.")
            except KeyboardInterrupt:
                if interrupted:
                    return
                interrupted = True
                self._view.say()
                self._view.note("Ctrl-C again, Ctrl-D or `exit` leaves.")

    def _do(self, line: str) -> bool:
        """Do what a line says; False to leave."""
        if not line:
            return True
        try:
            command = self._commands.find(line)
            if command == "exit":
                return False
            if command == "reset":
                self._reset()
            elif command is not None:
                self._commands.run(command)
            else:
                self._ask(line)
        except HoldfastError as error:
            self._view.complain(str(error))
        except (Stopped, KeyboardInterrupt):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the session goes on, and the user is told
            self._view.complain(f"this should not have happened: {type(error).__name__}: {error}")
        return True

    # -- questions ---------------------------------------------------------------------------------------------------

    def _ask(self, question: str) -> None:
        query = Query(
            question=question,
            collection=self._settings.collection,
            conversation_id=None if self._conversations is None else self.conversation_id,
        )
        self._view.answered(self._backstage.call(self._answer(query)))
        if self._view.live:
            self._view.note(self._tally.line())

    async def _answer(self, query: Query) -> Answer:
        with self._view.answering(self._tally.line) as piece:
            async with aclosing(self._backstage.engine.stream(query)) as items:
                async for item in items:
                    if isinstance(item, Answer):
                        return item
                    piece(item)
        raise AssertionError("the last item is the answer")

    # -- conversations -----------------------------------------------------------------------------------------------

    def _take_up(self, conversation_id: str | None) -> None:
        conversations = self._conversations
        if conversations is None:
            raise InvalidInputError("--conversation", "no conversations are kept here, so there is none to go on with")
        call = self._backstage.call
        try:
            if conversation_id is None:
                latest = call(conversations.page(limit=1)).conversations
                if not latest:
                    self._view.note("There is no conversation yet: this is the first one.")
                    return
                conversation_id = latest[0].id
            conversation = call(conversations.get(conversation_id, last=_TURNS_SHOWN))
        except (InvalidInputError, NotFoundError):
            raise
        except HoldfastError as error:  # the store is down: what is said now is remembered all the same
            self._view.warn(f"What was said before cannot be shown right now: {error}")
            self.conversation_id = conversation_id or self.conversation_id
            return
        self.conversation_id = conversation.id
        self._lines.remember(turn.question for turn in conversation.turns)
        for turn in conversation.turns:
            self._view.note(f"> {_shortened(turn.question)}")
            self._view.note(_shortened(turn.answer))

    def _reset(self) -> None:
        if self._conversations is None:
            self._view.say("No conversation is kept here: there is nothing to forget.")
            return
        answer = self._lines.read("Forget this conversation, here and where it is kept? [y/N] ")
        if (answer or "").strip().casefold() not in {"y", "yes"}:
            self._view.say("Nothing was forgotten.")
            return
        self._backstage.call(self._conversations.delete(self.conversation_id))
        self.conversation_id = new_conversation_id()
        self._view.say(f"Forgotten. The new conversation is {self.conversation_id}.")

    def _farewell(self) -> str:
        kept = self._conversations is not None and self._tally.questions
        return f"`holdfast chat --conversation {self.conversation_id}` goes on from here." if kept else "Bye."


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1].rstrip() + "…"
