"""Sums up what was said long ago, so that a long conversation still fits into a prompt.

It is done after an answer, in the background, and at most once at a time for each conversation. A summary is made of
the one before and of the turns since; what fails is done after a later answer.
"""

from __future__ import annotations

import asyncio
from contextvars import Context as Variables
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core._options import duration, options_by_name, whole
from holdfast.core.clock import to_ns
from holdfast.core.deadline import deadline_scope
from holdfast.core.events import correlation_scope
from holdfast.core.patience import Patience
from holdfast.errors import AttemptTimeoutError, ConfigError, MalformedAnswerError
from holdfast.rag.answering.prompting import tokens_of
from holdfast.rag.conversations.context import told
from holdfast.rag.conversations.prompts import read_summary, summary_prompt
from holdfast.rag.conversations.telling import sentence_of

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from holdfast.core.clock import Clock
    from holdfast.rag.conversations.access import GuardedStore
    from holdfast.rag.conversations.asking import Completer
    from holdfast.rag.conversations.telling import MemoryVoice
    from holdfast.rag.records.base import Conversation, Turn

__all__ = ["Summariser", "SummaryOptions"]

_QUESTION_CHARS = 80
_LIST_CHARS = 1_200
_LABEL = "The user asked: "
_SEPARATOR = "; "


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryOptions:
    """When turns are summed up, and how.

    Attributes:
        after_turns: with more turns than this that no summary covers, one is made, 1 or more (default 8).
        keep_turns: the last turns that no summary covers, 0 or more and below ``after_turns`` (default 4).
        batch_tokens: tokens of the conversation that a model reads at once, 1 or more (default 3,000); a turn that is
            longer is read all the same.
        max_tokens: tokens that a model may write, 1 or more (default 300).
        max_chars: characters of a summary, 100 or more (default 1,500).
        seconds: how long a model may take, above 0 (default 20).
        at_once: conversations that are summed up at the same time, 1 or more (default 4).

    Raises:
        ConfigError: a value is out of its range.
    """

    after_turns: int = 8
    keep_turns: int = 4
    batch_tokens: int = 3_000
    max_tokens: int = 300
    max_chars: int = 1_500
    seconds: float = 20.0
    at_once: int = 4

    def __post_init__(self) -> None:
        for name, least in (("after_turns", 1), ("batch_tokens", 1), ("max_tokens", 1), ("max_chars", 100)):
            whole(name, getattr(self, name), least=least)
        whole("at_once", self.at_once, least=1)
        if whole("keep_turns", self.keep_turns, least=0) >= self.after_turns:
            raise ConfigError("keep_turns", self.keep_turns, f"must be below after_turns ({self.after_turns})")
        duration("seconds", self.seconds)


class Summariser:
    """Sums conversations up.

    Args:
        store: where conversations are read, and summaries kept.
        completer: the model; None: a summary lists the questions that were asked.
        clock: the source of time.
        rng: names the tags in prompts.
        voice: tells what happens.
    """

    def __init__(
        self,
        store: GuardedStore,
        completer: Completer | None,
        *,
        clock: Clock,
        rng: random.Random,
        voice: MemoryVoice,
        options: SummaryOptions | None = None,
    ) -> None:
        self._store = store
        self._completer = completer
        self._clock = clock
        self._rng = rng
        self._voice = voice
        self._options = options or SummaryOptions()
        self._patience = Patience(clock)
        self._running: dict[str, asyncio.Task[None]] = {}

    def consider(self, conversation_id: str, *, unsummarised: int, request_id: str = "") -> None:
        """Begin to sum up a conversation, if it has more than enough turns that no summary covers.

        Args:
            unsummarised: how many it has.
            request_id: on whose behalf, for the events.
        """
        self._running = {name: task for name, task in self._running.items() if not task.done()}
        if (
            unsummarised > self._options.after_turns
            and conversation_id not in self._running
            and len(self._running) < self._options.at_once
        ):
            work = self._catch_up(conversation_id, request_id)
            # it belongs to no request: no deadline of one ends it
            self._running[conversation_id] = asyncio.get_running_loop().create_task(
                work, context=Variables(), name="holdfast conversation summary"
            )

    async def close(self) -> None:
        """Stop what is under way; it is done after a later answer."""
        loop = asyncio.get_running_loop()
        running = {task for task in self._running.values() if not task.done() and task.get_loop() is loop}
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def _catch_up(self, conversation_id: str, request_id: str) -> None:
        with correlation_scope(request_id):
            try:
                while await self._step(conversation_id):
                    pass
            except Exception as error:  # noqa: BLE001 - nobody waits for it; it is told, and done later
                self._voice.postponed(conversation_id, sentence_of(error))

    async def _step(self, conversation_id: str) -> bool:
        """Sum up some turns; whether there is more to do."""
        started = self._clock.now_ns()
        conversation = await self._store.get(conversation_id)
        if conversation is None:
            return False
        until = max(0, len(conversation.turns) - self._options.keep_turns)
        due = conversation.turns[conversation.summarised : until]
        if not due:
            return False
        batch = self._batch(due)
        summary, how, error = await self._summary(conversation, batch, backlog=len(due))
        upto = conversation.summarised + len(batch)
        kept = await self._store.summarise(conversation_id, summary, upto=upto, created_at=conversation.created_at)
        if not kept:  # another process was quicker, or the conversation is gone
            return False
        ms = (self._clock.now_ns() - started) / 1e6
        self._voice.summarised(conversation_id, how, turns=upto, latency_ms=ms, error=error)
        return len(batch) < len(due)

    def _batch(self, turns: Sequence[Turn]) -> Sequence[Turn]:
        """As many of the first turns as a model reads at once; one at least."""
        used = 0
        for count, turn in enumerate(turns):
            used += tokens_of(told(turn))
            if count and used > self._options.batch_tokens:
                return turns[:count]
        return turns

    async def _summary(
        self, conversation: Conversation, turns: Sequence[Turn], *, backlog: int
    ) -> tuple[str, str, str]:
        """The new summary, how it was made, and why a model that was asked did not make it.

        A model that fails again and again must not leave a growing part of the conversation without any summary.
        """
        if self._completer is None:
            return self._listed(conversation.summary, turns), "questions", ""
        try:
            return await self._written(self._completer, conversation.summary, turns), "model", ""
        except Exception as error:
            if backlog <= 2 * self._options.after_turns:
                raise
            return self._listed(conversation.summary, turns), "questions", sentence_of(error)

    async def _written(self, completer: Completer, notes: str, turns: Sequence[Turn]) -> str:
        said = "\n".join(told(turn) for turn in turns)
        messages = summary_prompt(notes, said, words=self._options.max_tokens // 2, rng=self._rng)
        due = self._clock.now_ns() + to_ns(self._options.seconds)
        with deadline_scope(self._options.seconds, clock=self._clock):
            asked = completer.complete(messages, max_tokens=self._options.max_tokens)
            completed = await self._patience.until(due, asked, _late)
        written = read_summary(completed.text, chars=self._options.max_chars)
        if written is None:
            raise MalformedAnswerError("The model wrote no summary that can be used.")
        return written

    def _listed(self, notes: str, turns: Sequence[Turn]) -> str:
        """The questions that were asked, shortened; the oldest give way."""
        asked = [_shortened(turn.standalone or turn.question) for turn in turns]
        before, label, listed = notes.partition(_LABEL)
        questions = [*listed.removesuffix(".").split(_SEPARATOR), *asked] if label else asked
        while len(questions) > 1 and len(_SEPARATOR.join(questions)) > min(_LIST_CHARS, self._options.max_chars // 2):
            questions.pop(0)
        text = f"{_LABEL}{_SEPARATOR.join(questions)}."
        room = self._options.max_chars - len(text) - 1
        return f"{before.strip()[: max(0, room)]} {text}".strip()


def _shortened(question: str) -> str:
    line = " ".join(question.split()).replace(_SEPARATOR, ", ")
    return line if len(line) <= _QUESTION_CHARS else line[: _QUESTION_CHARS - 1].rstrip() + "…"


def _late() -> AttemptTimeoutError:
    return AttemptTimeoutError("The model did not sum the conversation up in time.")
