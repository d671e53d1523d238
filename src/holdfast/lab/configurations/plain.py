"""A question-answering program without a service around it: cache, vector, search, model, one after the other.

It uses the parts that the engine uses, so that the same question meets the same faults and an answer is as good. What
is not there is what comes back when something fails: the error goes to the user.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.core.classify import classify
from holdfast.core.faults import FaultKind
from holdfast.core.pipeline import Pipeline
from holdfast.core.timeout import Timeout
from holdfast.errors import DependencyError, HoldfastError
from holdfast.lab.configurations.calls import Bare
from holdfast.lab.configurations.plain_models import plain_answerers
from holdfast.rag.answering.base import AnswerRequest, Draft
from holdfast.rag.answering.terms import question_words
from holdfast.rag.cache import CachedAnswer, cache_key
from holdfast.rag.caching.answers import BackedAnswerCache
from holdfast.rag.injection.kinds import Dependency
from holdfast.rag.retrieval import RERANK_POOL, fuse, rerank
from holdfast.rag.types import Answer, Hit, Reason, Source, Tier, Usage
from holdfast.state.memory import MemoryCache

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from holdfast.lab.configurations.calls import Calls
    from holdfast.lab.configurations.plain_models import PlainAnswerer
    from holdfast.lab.world.world import World
    from holdfast.rag.query import Query
    from holdfast.rag.store.base import Scored

__all__ = ["PlainProgram"]

_CANDIDATES = 50
_ANSWER_BYTES = 16_384
_A_GENERATION = 0
"""It does not ask whether the documents have changed: an answer is good for its time to live."""


class PlainProgram:
    """Answers questions, and fails with what it depends on.

    The only time limits are those of a provider's own client (600 s) and that of the gateway in front of the program:
    the engine's ``request_timeout``.

    Args:
        world: whose parts it uses.
        calls: what stands around each call; nothing by default.
        models: how many of the configured models it knows, 1 or more; the next one is asked when one fails.
        spares_cache: whether a cache that fails is a cache that knows nothing; else its failure is the user's.
    """

    def __init__(
        self, world: World, *, calls: Calls | None = None, models: int = 1, spares_cache: bool = False
    ) -> None:
        engine, settings = world.engine, world.engine.settings
        self._calls = calls or Bare()
        self._spares_cache = spares_cache
        self._clock = world.clock
        self._store = engine.store
        self._embedder = engine.embedder
        self._settings = settings
        self._models = plain_answerers(world, most=models)
        self._gateway = Pipeline(
            Timeout(seconds=settings.request_timeout), name="gateway", clock=world.clock, events=world.events
        )
        self._cache: BackedAnswerCache | None = None
        if settings.cache_size:
            memory = MemoryCache(
                max_entries=settings.cache_size, max_bytes=settings.cache_size * _ANSWER_BYTES, clock=world.clock
            )
            self._cache = BackedAnswerCache(world.wrapped(Dependency.CACHE, memory), ttl=settings.cache_ttl)

    async def ask(self, query: Query, /) -> Answer:
        """The answer.

        Raises:
            HoldfastError: something failed.
        """
        answer: Answer | None = None
        async with aclosing(self._answered(query, streamed=False)) as items:
            async for item in items:
                answer = item if isinstance(item, Answer) else answer
        if answer is None:
            raise AssertionError("the last item is the answer")
        return answer

    def stream(self, query: Query, /) -> AsyncGenerator[str | Answer, None]:
        """The answer piece by piece, and then the whole.

        Raises:
            HoldfastError: something failed; also after the first pieces, which nobody can take back.
        """
        return self._answered(query, streamed=True)

    async def _answered(self, query: Query, *, streamed: bool) -> AsyncGenerator[str | Answer, None]:
        try:
            async with aclosing(self._gateway.call(self._steps, query, streamed=streamed)) as items:
                async for item in items:
                    yield item
        except HoldfastError:
            raise
        except Exception as error:
            if classify(error, clock=self._clock).kind is FaultKind.BUG:
                raise
            raise DependencyError(f"The question failed: {type(error).__name__}: {error}") from error

    # --- the steps ----------------------------------------------------------------------------------------------------

    async def _steps(self, query: Query, *, streamed: bool) -> AsyncGenerator[str | Answer, None]:
        top_k = query.top_k if query.top_k is not None else self._settings.top_k
        key = cache_key(query, top_k=top_k)
        known = await self._known(key)
        if known is not None:
            answer = replace(known, source=Source.CACHE, usage=Usage(), cost_usd=0.0, request_id=query.request_id)
            if streamed:
                yield answer.text
            yield answer
            return
        request = await self._found(query, top_k)
        for place, model in enumerate(self._models):
            given = False
            try:
                async with aclosing(self._written(model, request, streamed=streamed)) as items:
                    async for item in items:
                        given = True
                        if isinstance(item, str):
                            yield item
                            continue
                        answer = _labelled(item, query, second=place > 0)
                        await self._keep(key, answer)
                        yield answer
            except Exception:
                if given or place == len(self._models) - 1:
                    raise
            else:
                return

    async def _found(self, query: Query, k: int) -> AnswerRequest:
        """Everything that is found for a question, by vectors and by words."""
        call, store, embedder = self._calls.call, self._store, self._embedder
        vector = None
        if embedder is not None:
            vectors = await call(embedder.name, embedder.embed, [query.question], kind="query")
            if len(vectors) != 1:
                raise DependencyError(f"{embedder.name} gave {len(vectors)} vectors for one question.")
            vector = vectors[0]  # nobody looks at its numbers: the store refuses a vector that is none of its space
        by_words = await call(store.name, store.lexical, query.question, k=_CANDIDATES, scope=query.scope)
        frequencies, count = await call(
            store.name, store.document_frequency, question_words(query.question), collection=query.collection
        )
        by_vectors: Sequence[Scored] = ()
        if vector is not None and embedder is not None:
            by_vectors = await call(
                store.name, store.dense, vector, embedder_id=embedder.id, k=_CANDIDATES, scope=query.scope
            )
        fused = fuse(by_words, by_vectors, k=max(k, RERANK_POOL))
        chunks = await call(
            store.name,
            store.fetch,
            [one.chunk_id for one in fused],
            collection=query.collection,
            sentence_vectors=True,
        )
        stored = {one.chunk.id: one for one in chunks}
        hits = [
            Hit(stored=stored[one.chunk_id], score=one.score, lexical=one.lexical, cosine=one.cosine)
            for one in fused
            if one.chunk_id in stored
        ]
        return AnswerRequest(
            question=query.question,
            hits=rerank(hits, vector, k=k),
            query_vector=vector,
            document_frequency=frequencies,
            chunk_count=count,
        )

    async def _written(
        self, model: PlainAnswerer, request: AnswerRequest, *, streamed: bool
    ) -> AsyncGenerator[str | Draft, None]:
        if not streamed:
            yield await self._calls.call(model.name, model.answer, request)
            return
        # Whoever repeats a stream repeats its beginning: what was given out cannot be taken back.
        first, rest = await self._calls.call(model.name, model.begin, request)
        async with aclosing(rest):
            yield first
            async for item in rest:
                yield item

    # --- the cache ----------------------------------------------------------------------------------------------------

    async def _known(self, key: str) -> Answer | None:
        if self._cache is None:
            return None
        try:
            entry = await self._calls.call(self._cache.name, self._cache.get, key)
        except Exception:
            if self._spares_cache:
                return None
            raise
        return None if entry is None else entry.answer

    async def _keep(self, key: str, answer: Answer) -> None:
        if self._cache is None or not answer.answered:
            return
        entry = CachedAnswer(
            answer=replace(answer, request_id=""), generation=_A_GENERATION, stored_ns=self._clock.wall_ns()
        )
        try:
            await self._calls.call(self._cache.name, self._cache.put, key, entry)
        except Exception:
            if not self._spares_cache:
                raise


def _labelled(draft: Draft, query: Query, *, second: bool) -> Answer:
    return Answer(
        text=draft.text,
        citations=draft.citations,
        source=Source.OTHER_PROVIDER if second else draft.source,
        tier=Tier.DEGRADED if second else Tier.FULL,
        degraded=second,
        reasons=(Reason.PRIMARY_MODEL_UNAVAILABLE,) if second else (),
        answered=draft.answered,
        confidence=round(draft.confidence, 4),
        model=draft.model,
        usage=draft.usage,
        cost_usd=draft.cost_usd,
        request_id=query.request_id,
    )
