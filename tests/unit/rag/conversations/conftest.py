"""A store of conversations that a test breaks as it likes, and a model that writes what a test says."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from holdfast.core.breaker import CircuitBreaker
from holdfast.core.events import Events
from holdfast.core.pipeline import Pipeline
from holdfast.core.timeout import Timeout
from holdfast.errors import InvalidInputError, NotFoundError, StoreUnavailableError
from holdfast.rag.conversations.access import GuardedStore
from holdfast.rag.conversations.asking import Completed, Completer
from holdfast.rag.conversations.conversations import Asked, Conversations
from holdfast.rag.conversations.keeper import KeeperOptions, TurnKeeper
from holdfast.rag.conversations.memory import ConversationMemory, MemoryOptions
from holdfast.rag.conversations.telling import MemoryVoice
from holdfast.rag.query import Query
from holdfast.rag.records.base import Conversation, ConversationBrief, ConversationPage, ConversationStore, Turn
from holdfast.rag.types import Answer, Source, Tier
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.llm.messages import Message

DOWN = StoreUnavailableError("The records are gone.")


def turn(
    number: int, *, question: str = "", answer: str = "", standalone: str = "", asked_at: float | None = None
) -> Turn:
    """The turn of this number; without a time of its own it was asked that many seconds after the clock began."""
    return Turn(
        request_id=f"req_{number}",
        question=question or f"Question {number}?",
        answer=answer or f"Answer {number}.",
        asked_at=1_767_225_600.0 + number if asked_at is None else asked_at,
        source="live",
        tier="full",
        standalone=standalone,
    )


async def settle(turns: int = 60) -> None:
    """Let every other task run until it waits for the clock."""
    for _ in range(turns):
        await asyncio.sleep(0)


@dataclass
class FakeStore:
    """Keeps conversations in memory.

    Attributes:
        error: raised by every call while it is set.
        after: raised by ``append`` after it was done: the caller cannot know.
        hangs: whether calls never return.
        calls: the names of the methods that were called.
    """

    name: str = "records:fake"
    clock: FakeClock = field(default_factory=lambda: FakeClock(auto=False))
    error: Exception | None = None
    after: Exception | None = None
    hangs: bool = False
    calls: list[str] = field(default_factory=list)
    kept: dict[str, Conversation] = field(default_factory=dict)
    deleted: dict[str, float] = field(default_factory=dict)

    async def _enter(self, method: str) -> None:
        self.calls.append(method)
        await asyncio.sleep(0)
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    async def open(self) -> None:
        await self._enter("open")

    async def close(self) -> None:
        self.calls.append("close")

    async def ping(self) -> None:
        await self._enter("ping")

    async def get(self, conversation_id: str, *, last: int | None = None) -> Conversation | None:
        await self._enter("get")
        found = self.kept.get(conversation_id)
        if found is None or last is None:
            return found
        first = max(0, len(found.turns) - last)
        return replace(found, turns=found.turns[first:], first=first)

    async def append(self, conversation_id: str, turn: Turn) -> None:
        await self._enter("append")
        if turn.question == "refused":
            raise InvalidInputError("question", "is not taken")
        if turn.asked_at <= self.deleted.get(conversation_id, 0.0):
            raise NotFoundError("conversation_id", "was deleted")
        now = self.clock.wall_ns() / 1e9
        there = self.kept.get(conversation_id) or Conversation(
            id=conversation_id, turns=(), first=0, created_at=now, updated_at=now
        )
        if all(one.request_id != turn.request_id for one in there.turns):
            self.kept[conversation_id] = replace(there, turns=(*there.turns, turn), updated_at=now)
        if self.after is not None:
            raise self.after

    async def summarise(
        self, conversation_id: str, summary: str, *, upto: int, created_at: float | None = None
    ) -> bool:
        await self._enter("summarise")
        there = self.kept.get(conversation_id)
        if there is None or upto <= there.summarised or upto > len(there.turns) or created_at != there.created_at:
            return False
        self.kept[conversation_id] = replace(there, summary=summary, summarised=upto)
        return True

    async def delete(self, conversation_id: str) -> bool:
        await self._enter("delete")
        self.deleted[conversation_id] = self.clock.wall_ns() / 1e9
        return self.kept.pop(conversation_id, None) is not None

    async def page(self, *, limit: int = 100, cursor: str | None = None) -> ConversationPage:
        await self._enter("page")
        briefs = [
            ConversationBrief(id=one.id, turns=len(one.turns), first_question="", created_at=0.0, updated_at=0.0)
            for one in self.kept.values()
        ]
        return ConversationPage(conversations=briefs[:limit])

    def requests(self, conversation_id: str = "c") -> list[str]:
        """The ids of the turns that are kept, in order."""
        found = self.kept.get(conversation_id)
        return [] if found is None else [turn.request_id for turn in found.turns]


@dataclass
class FakeModel:
    """A ``Completer``.

    Attributes:
        says: what it writes, or a function of the prompt; an exception is raised; None hangs.
        prompts: what it was given, all messages of a request as one text.
    """

    says: str | Exception | Callable[[str], str] | None = "Why?"
    cost_usd: float = 0.001
    prompts: list[str] = field(default_factory=list)

    async def complete(self, messages: Sequence[Message], *, max_tokens: int) -> Completed:
        self.prompts.append("\n".join(message.content for message in messages))
        await asyncio.sleep(0)
        if self.says is None:
            await asyncio.Event().wait()
        if isinstance(self.says, Exception):
            raise self.says
        text = self.says(self.prompts[-1]) if callable(self.says) else str(self.says)
        return Completed(text=text, cost_usd=self.cost_usd)


class Desk:
    """A memory over a store, on a clock that only the test moves."""

    def __init__(
        self,
        store: ConversationStore | None = None,
        *,
        clock: FakeClock | None = None,
        keeping: KeeperOptions | None = None,
        memory: MemoryOptions | None = None,
        completer: Completer | None = None,
        **options: Any,
    ) -> None:
        self.clock = clock or FakeClock(auto=False)
        self.fake = FakeStore(clock=self.clock)
        self.store = store or self.fake
        self.events = Events()
        self.recorder = EventRecorder(self.events)
        self.rng = random.Random(1)
        self.guard = Pipeline(
            CircuitBreaker(failure_threshold=5, recovery_timeout=15.0),
            Timeout(seconds=2.0),
            name=self.store.name,
            clock=self.clock,
            events=self.events,
        )
        access = GuardedStore(self.store, self.guard)
        self.voice = MemoryVoice(self.events, self.clock, self.store.name)
        self.access = access
        self.keeper = TurnKeeper(access, clock=self.clock, rng=self.rng, voice=self.voice, options=keeping)
        self.memory = ConversationMemory(access, self.keeper, clock=self.clock, voice=self.voice, options=memory)
        self.conversations = Conversations(
            self.store,
            self.guard,
            completer=completer,
            clock=self.clock,
            rng=self.rng,
            events=self.events,
            memory=memory,
            keeping=keeping,
            **options,
        )
        self._requests = 0

    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass, a second at a time."""
        await settle()
        for _ in range(int(seconds)):
            self.clock.advance(1)
            await settle(20)
        await settle()

    async def say(
        self, question: str, answer: str = "Yes.", *, conversation: str | None = "c", tier: Tier = Tier.FULL
    ) -> tuple[Asked, bool]:
        """Ask and answer through the façade; what was made of the question, and whether the memory works."""
        self._requests += 1
        self.clock.advance(0.01)
        query = Query(question=question, conversation_id=conversation, request_id=f"say_{self._requests}")
        asked = await self.conversations.begin(query, tier=tier)
        given = Answer(text=answer, source=Source.LIVE, tier=tier)
        return asked, await self.conversations.finish(query, asked, given)
