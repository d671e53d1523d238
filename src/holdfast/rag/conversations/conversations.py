"""Conversations, as the engine uses them: what a question means, and that its answer is remembered."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core.clock import NS_PER_SECOND
from holdfast.errors import NotFoundError
from holdfast.rag.conversations.access import GuardedStore
from holdfast.rag.conversations.context import Context
from holdfast.rag.conversations.keeper import Fate, TurnKeeper
from holdfast.rag.conversations.memory import ConversationMemory
from holdfast.rag.conversations.rewriting import How, Rewriter
from holdfast.rag.conversations.summarising import Summariser
from holdfast.rag.conversations.telling import MemoryVoice
from holdfast.rag.records.base import Turn
from holdfast.rag.records.limits import check_conversation_id
from holdfast.rag.types import Tier

if TYPE_CHECKING:
    import random

    from holdfast.core.clock import Clock
    from holdfast.core.events import Events
    from holdfast.core.pipeline import Pipeline
    from holdfast.rag.conversations.asking import Completer
    from holdfast.rag.conversations.keeper import KeeperOptions
    from holdfast.rag.conversations.memory import MemoryOptions
    from holdfast.rag.conversations.rewriting import RewriteOptions
    from holdfast.rag.conversations.summarising import SummaryOptions
    from holdfast.rag.query import Query
    from holdfast.rag.records.base import Conversation, ConversationPage, ConversationStore
    from holdfast.rag.types import Answer

__all__ = ["Asked", "Conversations", "MemorySnapshot", "new_conversation_id"]

_ID_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question and what it means.

    Attributes:
        question_to_search: the question to embed, to search with, and to look up in caches: it stands on its own.
        question_to_answer: the one to put to an answerer, together with ``context``.
        also_search: the question as it was asked, where rules rewrote it and may have done it badly: a search for both
            is never worse than one for the question; None where one search is enough.
        context: what was said before, as much as an answerer gets of it; nothing, outside a conversation.
        how: who made the question what it is.
        recalled: whether the conversation could be read; else ``context`` is what this process itself remembers.
        asked_at: when, in Unix seconds.
        cost_usd: what the rewriting cost.
        ms: milliseconds that recalling and rewriting took.
    """

    question_to_search: str
    question_to_answer: str
    also_search: str | None = None
    context: Context
    how: How = How.AS_ASKED
    recalled: bool = True
    asked_at: float
    cost_usd: float = 0.0
    ms: float = 0.0

    @property
    def private(self) -> bool:
        """Whether an answer that a model writes may tell of the conversation: nobody else may get it from a cache."""
        return bool(self.context)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySnapshot:
    """The state of the memory.

    Attributes:
        buffered: turns that wait in this process for the store to come back.
        buffered_bytes: the memory that they take.
        replayed: turns that were kept later than their answers were given.
        lost: turns that will never be kept.
        recent: conversations that this process remembers by itself.
    """

    buffered: int
    buffered_bytes: int
    replayed: int
    lost: int
    recent: int


class Conversations:
    """The memory of the service.

    Whatever fails here, a question does not: then it is understood less well, its answer says that it may not be
    remembered, and it is remembered later if that can be.

    Args:
        store: where conversations are kept; opened when it is needed, closed by its owner, after this.
        guard: the pipeline around calls to it.
        completer: the model that rewrites questions and sums conversations up; None: rules do it.
        clock, rng, events: where time, chance and listeners come from.
        memory, keeping, rewriting, summaries: options of the parts.
    """

    def __init__(
        self,
        store: ConversationStore,
        guard: Pipeline,
        *,
        completer: Completer | None,
        clock: Clock,
        rng: random.Random,
        events: Events,
        memory: MemoryOptions | None = None,
        keeping: KeeperOptions | None = None,
        rewriting: RewriteOptions | None = None,
        summaries: SummaryOptions | None = None,
    ) -> None:
        self._clock = clock
        self._store = GuardedStore(store, guard)
        self._voice = MemoryVoice(events, clock, store.name)
        self._keeper = TurnKeeper(self._store, clock=clock, rng=rng, voice=self._voice, options=keeping)
        self._memory = ConversationMemory(self._store, self._keeper, clock=clock, voice=self._voice, options=memory)
        self._rewriter = Rewriter(completer, clock=clock, rng=rng, voice=self._voice, options=rewriting)
        self._summariser = Summariser(
            self._store, completer, clock=clock, rng=rng, voice=self._voice, options=summaries
        )

    async def open(self) -> None:
        """Open the store; one that cannot be opened now is opened when it can."""
        try:
            await self._store.open()
        except Exception as error:  # noqa: BLE001 - the service works without it, and says so in its answers
            self._voice.failed("open", error, buffered=len(self._keeper))

    async def close(self) -> int:
        """Try once more to keep what waits; how many turns are lost for good. Before the store is closed."""
        await self._summariser.close()
        return await self._keeper.close()

    async def begin(self, query: Query, *, tier: Tier = Tier.FULL) -> Asked:
        """What ``query`` means. A conversation that is not known begins with it.

        Args:
            query: the question.
            tier: how much of the service there is: the lower, the less is made of the conversation.

        Raises:
            InvalidInputError: the conversation's id cannot be one.
        """
        asked_at = self._clock.wall_ns() / NS_PER_SECOND
        if query.conversation_id is None:
            return Asked(
                question_to_search=query.question,
                question_to_answer=query.question,
                context=Context(),
                asked_at=asked_at,
            )
        started = self._clock.now_ns()
        context = await self._memory.recall(query.conversation_id)
        rewritten = await self._rewriter.rewrite(query.question, context, tier=tier)
        return Asked(
            question_to_search=rewritten.standalone,
            question_to_answer=rewritten.standalone,
            also_search=query.question if rewritten.how is How.RULES else None,
            context=context.at(tier),
            how=rewritten.how,
            asked_at=asked_at,
            recalled=context.complete,
            cost_usd=rewritten.cost_usd,
            ms=(self._clock.now_ns() - started) / 1e6,
        )

    async def finish(self, query: Query, asked: Asked, answer: Answer) -> bool:
        """Remember the answer. To be called before the end of the answer is given out.

        Args:
            query: the question, with the id of its request: it tells turns of a conversation apart.
            asked: what :meth:`begin` made of it.
            answer: the answer as the user gets it.

        Returns:
            Whether the memory works: the conversation could be read, and this turn is on disk. If not, the answer is
            to say so (reason ``memory_unavailable``).
        """
        if query.conversation_id is None:
            return True
        standalone = asked.question_to_search
        turn = Turn(
            request_id=query.request_id,
            question=query.question,
            answer=answer.text,
            asked_at=asked.asked_at,
            source=answer.source,
            tier=answer.tier,
            standalone=standalone if standalone != query.question else "",
        )
        fate = await self._memory.remember(query.conversation_id, turn)
        if fate is Fate.KEPT:
            unsummarised = asked.context.unsummarised + 1
            self._summariser.consider(query.conversation_id, unsummarised=unsummarised, request_id=query.request_id)
        return asked.recalled and fate in {Fate.KEPT, Fate.FORGOTTEN}

    async def get(self, conversation_id: str, *, last: int | None = None) -> Conversation:
        """A conversation as the store has it, or its last turns.

        Raises:
            InvalidInputError: the id cannot be one, or ``last`` is below 0.
            NotFoundError: there is none.
            StoreError, RejectedError, DeadlineExceededError: the store cannot be read.
        """
        check_conversation_id(conversation_id)
        conversation = await self._store.get(conversation_id, last=last)
        if conversation is None:
            raise NotFoundError("conversation_id", f"There is no conversation {conversation_id}.")
        return conversation

    async def delete(self, conversation_id: str) -> bool:
        """Forget a conversation, everywhere; False when there was none.

        Raises:
            InvalidInputError: this cannot be a conversation's id.
            StoreError, RejectedError, DeadlineExceededError: it is forgotten in this process, and may still be in the
                store: try again.
        """
        return await self._memory.delete(conversation_id)

    async def page(self, *, limit: int = 100, cursor: str | None = None) -> ConversationPage:
        """Conversations, the one with the latest turn first, and the cursor to go on with.

        Raises:
            InvalidInputError: ``limit`` is below 1, or the cursor is none of ours.
            StoreError, RejectedError, DeadlineExceededError: the store cannot be read.
        """
        return await self._store.page(limit=limit, cursor=cursor)

    def snapshot(self) -> MemorySnapshot:
        """How the memory is."""
        kept = self._keeper.snapshot()
        return MemorySnapshot(
            buffered=kept.buffered,
            buffered_bytes=kept.buffered_bytes,
            replayed=kept.replayed,
            lost=kept.lost,
            recent=self._memory.recent,
        )


def new_conversation_id() -> str:
    """An id for a new conversation that nobody can guess: who knows it may go on with the conversation."""
    return f"conv_{secrets.token_hex(_ID_BYTES)}"
