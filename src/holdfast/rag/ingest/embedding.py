"""Embedding in bulk: what passes is waited for, what lies in a text costs that text only.

The texts of many documents go to the embedder in calls of bounded size. A call that fails in a way that passes (a rate
limit, an overload, a lost connection) is made again, after the wait that the embedder asks for, as long as the waits of
the call stay within a budget; after a rate limit the calls are paced. A call that is refused for what is in it is
halved, and only the failing half is tried again, down to the one text that is at fault.

Which of the two it is, is asked and not guessed: whenever a call fails for good, the embedder is given a text that is
certainly harmless. If that fails as well, the embedder is down, and no document is blamed for it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from holdfast.core.adaptive_rate import AdaptiveRate
from holdfast.core.clock import to_ns
from holdfast.core.faults import FaultKind
from holdfast.core.pipeline import Pipeline
from holdfast.errors import MalformedAnswerError, ModelUnavailableError
from holdfast.rag.ingest.faults import (
    AbandonedError,
    OutageError,
    Remedy,
    embedder_outage,
    kind_of,
    remedy_for,
    root_of,
    sentence_of,
)
from holdfast.rag.types import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from holdfast.core.clock import Clock
    from holdfast.llm.embedding import Embedder, Vectors
    from holdfast.rag.ingest.course import Course
    from holdfast.rag.ingest.journal import EmbeddingJournal

__all__ = ["BulkEmbedder", "Refused"]

_TEXTS_A_CALL = 128
_CHARACTERS_A_CALL = 100_000
"""No more than a provider takes in one request: a call that fails must not take down one that was paid."""

_PATIENCE_SECONDS = 120.0
"""The waits of one call, all together."""

_PATIENCE_OF_A_PART = 10.0
"""The waits of a part of a call that failed, while the embedder answers otherwise."""

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0

_HARMLESS = "warm up"

_MINUTE_NS = 60_000_000_000
_LEAST_PER_MINUTE, _MOST_PER_MINUTE = 6.0, 6_000.0


@dataclass(frozen=True, slots=True)
class Refused:
    """A text that the embedder does not embed, and why.

    Attributes:
        place: where it stands in its document, for people.
    """

    error: Exception
    place: str = ""


class _RefusedError(Exception):
    """A call cannot be made with these texts; ``__cause__`` is why."""


class BulkEmbedder:
    """An embedder for many texts.

    Args:
        embedder: makes the vectors.
        guard: the pipeline around each call.
        journal: where vectors are written down until their documents are stored; None to keep none.
        clock: for waits and the pace.
    """

    def __init__(self, embedder: Embedder, *, guard: Pipeline, journal: EmbeddingJournal | None, clock: Clock) -> None:
        self._embedder = embedder
        self._guard = guard
        self._journal = journal
        self._clock = clock
        self._calls_ns: deque[int] = deque(maxlen=1_000)
        self._pace: Pipeline | None = None

    @property
    def dimension(self) -> int:
        """Numbers in one vector."""
        return self._embedder.dimension

    async def probe(self, *, fail_fast: bool = False) -> None:
        """Return when the embedder embeds; what passes is waited for.

        Args:
            fail_fast: nothing is waited for, and its failure is raised as it is.

        Raises:
            ModelUnavailableError: the local model is not there.
            OutageError: it does not work.
        """
        waits = _Waits(_PATIENCE_SECONDS)
        while True:
            try:
                await self._call([_HARMLESS], fail_fast=fail_fast)
            except Exception as error:
                if fail_fast:
                    raise
                root = root_of(error)
                if isinstance(root, ModelUnavailableError):
                    raise root from root.__cause__
                remedy, _, retry_after = remedy_for(error, self._clock)
                delay = waits.next(retry_after) if remedy is Remedy.WAIT else None
                if delay is None:
                    raise embedder_outage(error, self._embedder.name, self._clock) from error
                await self._clock.asleep_ns(to_ns(delay))
            else:
                return

    async def embed(
        self, texts: Mapping[str, Collection[bytes]], course: Course, *, fail_fast: bool = False
    ) -> dict[str, Vectors | Refused]:
        """What became of each text.

        A text is missing from the result where all of its documents have another text that was refused.

        Args:
            texts: each with the documents that need it.
            course: asked before each call whether to go on.
            fail_fast: the first failure is raised as it is, and nothing is tried again.

        Raises:
            OutageError: the embedder does not work.
            AbandonedError: nobody wants the vectors any more.
        """
        embedder = self._embedder
        outcomes: dict[str, Vectors | Refused] = {}
        if self._journal is not None:
            known = await self._journal.find(list(texts), embedder_id=embedder.id, dimension=embedder.dimension)
            outcomes.update(known)
        missing = [text for text in texts if text not in outcomes]
        lost: set[bytes] = set()
        for some in _calls(missing):
            await self._embed_some(some, texts, outcomes, lost, course, fail_fast=fail_fast)
        return outcomes

    async def _embed_some(
        self,
        some: Sequence[str],
        texts: Mapping[str, Collection[bytes]],
        outcomes: dict[str, Vectors | Refused],
        lost: set[bytes],
        course: Course,
        *,
        fail_fast: bool,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        wanted = [text for text in some if not lost.issuperset(texts[text])]
        if not wanted:
            return
        try:
            vectors = await self._patiently(wanted, course, patience, fail_fast=fail_fast)
        except _RefusedError as refusal:
            if len(wanted) > 1:
                middle = len(wanted) // 2
                for half in (wanted[:middle], wanted[middle:]):
                    await self._embed_some(
                        half, texts, outcomes, lost, course, fail_fast=fail_fast, patience=_PATIENCE_OF_A_PART
                    )
                return
            cause = refusal.__cause__
            outcomes[wanted[0]] = Refused(cause if isinstance(cause, Exception) else refusal)
            lost.update(texts[wanted[0]])
            return
        made = dict(zip(wanted, vectors, strict=True))
        if self._journal is not None:
            owners = {text: next(iter(texts[text])) for text in made}
            await self._journal.keep(made, owners, embedder_id=self._embedder.id)
            course.did()
        outcomes.update(made)

    async def _patiently(self, texts: Sequence[str], course: Course, patience: float, *, fail_fast: bool) -> Vectors:
        waits = _Waits(patience)
        while True:
            if not await course.go_on():
                raise AbandonedError("It is not wanted any more.")
            course.doing("embed")
            try:
                vectors = await self._call(texts, fail_fast=fail_fast)
            except Exception as error:
                if fail_fast:
                    raise
                remedy, _, retry_after = remedy_for(error, self._clock)
                delay = waits.next(retry_after) if remedy is Remedy.WAIT else None
                if delay is not None:
                    course.doing("wait", f"{self._embedder.name}: {sentence_of(error)}")
                    await course.go_on()  # so that it is known what is waited for
                    await self._clock.asleep_ns(to_ns(delay))
                    continue
                if remedy is Remedy.STOP or not await self._is_well():
                    raise embedder_outage(error, self._embedder.name, self._clock) from error
                raise _RefusedError from error
            if vectors.shape != (len(texts), self._embedder.dimension):
                raise self._misfit(vectors, len(texts))
            if not bool(np.isfinite(vectors).all()):
                if not await self._is_well():
                    raise self._misfit(vectors, len(texts))
                raise _RefusedError from MalformedAnswerError("The embedder gave a vector with values that are none.")
            return vectors

    async def _call(self, texts: Sequence[str], *, fail_fast: bool) -> Vectors:
        if fail_fast:
            return await self._embedder.embed(texts, kind="document")
        return await self._guarded(texts)

    async def _guarded(self, texts: Sequence[str]) -> Vectors:
        return await self._guard.call(self._paced, texts)

    async def _paced(self, texts: Sequence[str]) -> Vectors:
        """One call to the embedder, repetitions by the guard included: whatever is sent counts for the pace."""
        self._calls_ns.append(self._clock.now_ns())
        if self._pace is not None:
            return await self._pace.call(self._embedder.embed, texts, kind="document")
        try:
            return await self._embedder.embed(texts, kind="document")
        except Exception as error:
            if kind_of(error, self._clock) is FaultKind.THROTTLED:
                self._slow_down()
            raise

    async def _is_well(self) -> bool:
        """Whether the embedder embeds what is certainly harmless."""
        try:
            vectors = await self._guarded([_HARMLESS])
        except Exception:  # noqa: BLE001 - that it failed is the answer; the failure that led here is told
            return False
        return bool(np.isfinite(vectors).all())

    def _misfit(self, vectors: Vectors, texts: int) -> OutageError:
        return OutageError(
            f"{self._embedder.name} gave vectors that cannot be used: an array of {vectors.shape} for {texts} texts of "
            f"{self._embedder.dimension} numbers each, or values that are none. Check which model it runs.",
            dependency=self._embedder.name,
            reason=Reason.EMBEDDER_UNAVAILABLE,
            kind=FaultKind.MALFORMED,
        )

    def _slow_down(self) -> None:
        """From the first rate limit on, spread the calls out, beginning with somewhat less than what was too much."""
        now = self._clock.now_ns()
        lately = sum(now - at <= _MINUTE_NS for at in self._calls_ns)
        rate = min(_MOST_PER_MINUTE, max(_LEAST_PER_MINUTE, 0.7 * lately))
        limiter = AdaptiveRate(
            requests_per_minute=rate,
            min_per_minute=_LEAST_PER_MINUTE,
            max_per_minute=_MOST_PER_MINUTE,
            increase=max(_LEAST_PER_MINUTE, rate / 10),
            burst=1,
            kept_share=0.0,
            max_wait=_PATIENCE_SECONDS,
            max_hold=_PATIENCE_SECONDS,
        )
        self._pace = Pipeline(limiter, name=f"{self._embedder.name}:pace", clock=self._clock)


class _Waits:
    """The waits between the tries of one call: as long as it is asked for, or twice the last; within a budget."""

    def __init__(self, patience: float) -> None:
        self._left = patience
        self._delay = _FIRST_WAIT

    def next(self, asked: float | None) -> float | None:
        """Seconds to wait now; None when the budget does not allow it."""
        delay = self._delay if asked is None else max(asked, _FIRST_WAIT)
        self._delay = min(2 * self._delay, _LONGEST_WAIT)
        if delay > self._left:
            return None
        self._left -= delay
        return delay


def _calls(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, in calls bounded by number and by size; each has one text at least."""
    some: list[str] = []
    size = 0
    for text in texts:
        if some and (len(some) == _TEXTS_A_CALL or size + len(text) > _CHARACTERS_A_CALL):
            yield some
            some, size = [], 0
        some.append(text)
        size += len(text)
    if some:
        yield some
