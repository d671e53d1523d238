"""Plays a scenario on an engine, and says what happens as it happens."""

from __future__ import annotations

from contextlib import aclosing, suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

from holdfast.core.clock import NS_PER_SECOND, to_ns
from holdfast.errors import ConfigError, HoldfastError, NotFoundError
from holdfast.rag.injection.kinds import Kind
from holdfast.rag.injection.scenarios import EVERYTHING, Ask, Heal, Inject, Recover, scenarios
from holdfast.rag.plain import quoted_text
from holdfast.rag.query import Query
from holdfast.rag.sentences import sentence_spans
from holdfast.rag.types import Reason, Tier

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from holdfast.rag.engine import Engine
    from holdfast.rag.injection.scenarios import Scenario
    from holdfast.rag.injection.switchboard import Injection, Injections
    from holdfast.rag.types import Answer, Document

__all__ = ["Asked", "Broken", "Healed", "Moment", "Recovered", "drill", "scenario_named", "subjects"]

_PAUSE_SECONDS = 1.0
"""Between two questions while the engine recovers."""

_MOST_SUBJECTS = 20
_READ_CHARS = 4_000
_LEAST_CHARS, _MOST_CHARS = 30, 200
_FORMS = ("Is it true: {}?", "Is this still so: {}?", "Somebody told me: {}. Is that right?", "Please confirm: {}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A fault is on."""

    injection: Injection


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question was asked.

    Attributes:
        number: 1 for the first one of the drill.
        seconds: how long its answer took.
        answer: None when the question was refused.
        refused: why, as a sentence; empty when there is an answer.
        again: whether it was asked before.
        phase: ``"before"`` the first fault, ``"broken"`` while one is on, ``"recovering"`` after it.
    """

    number: int
    question: str
    seconds: float
    answer: Answer | None
    refused: str
    again: bool
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Healed:
    """The faults are off; ``hits`` calls met one."""

    hits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """Answers are as good as before, and every breaker that opened is closed.

    Attributes:
        seconds: since the faults were off; None when it took longer than the scenario waits.
        still_open: the breakers that are not closed yet.
    """

    seconds: float | None
    still_open: tuple[str, ...] = ()


Moment: TypeAlias = Broken | Asked | Healed | Recovered


def scenario_named(name: str, injections: Injections) -> Scenario:
    """The scenario of that name.

    Raises:
        NotFoundError: there is none, or it breaks nothing that is in use here.
    """
    known = scenarios()
    found = known.get(name)
    if found is None:
        raise NotFoundError("scenario", f"There is no scenario {name!r}. There are: {', '.join(known)}.")
    missing = sorted(found.needs - injections.in_use().keys())
    if missing:
        raise NotFoundError("scenario", f"{name} breaks what is not in use here: {', '.join(missing)}.")
    return found


async def subjects(engine: Engine, collection: str) -> list[str]:
    """What questions can be about in a collection: a sentence of each of its first documents.

    Raises:
        StoreError: the documents cannot be read.
    """
    found: list[str] = []
    page = await engine.store.list(collection=collection, limit=_MOST_SUBJECTS)
    for record in page.documents:
        document = await engine.store.get(record.id, collection=collection)
        if document is not None:
            found += await engine.blocking.run("answer.extract", _first_sentence, document)
    return list(dict.fromkeys(found))


def _first_sentence(document: Document) -> list[str]:
    """The first sentence that says enough to be asked about, or none."""
    beginning = document.text[:_READ_CHARS]
    for span in sentence_spans(beginning, document.mime):
        quoted = quoted_text(beginning, span, document.mime)
        printable = "".join(character if character.isprintable() else " " for character in quoted)
        sentence = " ".join(printable.split()).rstrip(".")
        if _LEAST_CHARS <= len(sentence) <= _MOST_CHARS:
            return [sentence]
    return []


async def drill(
    engine: Engine, scenario: Scenario, about: Sequence[str], *, collection: str
) -> AsyncGenerator[Moment, None]:
    """Play ``scenario``. However it ends, none of its faults is left on.

    Args:
        engine: one with ``injections``.
        about: what its questions are about, at least one sentence; see :func:`subjects`.
        collection: the collection to ask.

    Raises:
        ConfigError: the engine was built without ``fault_injection``, or there is nothing to ask about.
    """
    if engine.injections is None:
        raise ConfigError("fault_injection", value=False, rule="must be on for a drill")
    if not about:
        raise ConfigError("about", list(about), "must be at least one sentence to ask about")
    play = _Play(engine, engine.injections, about, collection)
    try:
        for step in scenario.steps:
            match step:
                case Ask():
                    for _ in range(step.count):
                        yield await play.ask(again=step.again, conversing=step.conversing)
                case Inject():
                    for injection in play.inject(step):
                        yield Broken(injection=injection)
                case Heal():
                    yield play.heal()
                case Recover():
                    async for moment in play.recover(step.seconds):
                        yield moment
    finally:
        play.heal()
        await play.forget()


class _Play:
    def __init__(self, engine: Engine, injections: Injections, about: Sequence[str], collection: str) -> None:
        self._engine = engine
        self._injections = injections
        self._clock = engine.clock
        self._collection = collection
        self._fresh = _questions(about, drill_number=engine.clock.wall_ns() // NS_PER_SECOND)
        self._asked: list[str] = []
        self._repeated = count()
        self._number = 0
        self._mine: list[Injection] = []
        self._phase = "before"
        self._best = Tier.OFFLINE
        self._reasons_before: set[Reason] = set()
        self._conversation = f"drill_{engine.clock.wall_ns():x}"
        self._conversing = False
        self._open_before = self._not_closed()
        self._healed_ns = self._clock.now_ns()

    async def ask(self, *, again: bool = False, conversing: bool = False) -> Asked:
        self._conversing |= conversing
        again = again and bool(self._asked)
        if again:
            question = self._asked[next(self._repeated) % len(self._asked)]
        else:
            question = next(self._fresh)
            if self._phase == "before":
                self._asked.append(question)
        self._number += 1
        started, answer, refused = self._clock.now_ns(), None, ""
        try:
            answer = await self._answer(question, conversing=conversing)
        except HoldfastError as error:
            refused = str(error)
        if self._phase == "before" and answer is not None:
            self._best = max(self._best, answer.tier, key=lambda tier: tier.quality)
            self._reasons_before.update(answer.reasons)
        return Asked(
            number=self._number,
            question=question,
            seconds=(self._clock.now_ns() - started) / 1e9,
            answer=answer,
            refused=refused,
            again=again,
            phase=self._phase,
        )

    async def _answer(self, question: str, *, conversing: bool) -> Answer | None:
        """As most users get it: streamed."""
        conversation = self._conversation if conversing else None
        query = Query(question=question, collection=self._collection, conversation_id=conversation)
        answer = None
        async with aclosing(self._engine.stream(query)) as items:
            async for item in items:
                answer = None if isinstance(item, str) else item
        return answer

    def inject(self, step: Inject) -> list[Injection]:
        self._phase = "broken"
        in_use = self._injections.in_use()
        names = [step.dependency] if step.dependency in in_use or not step.optional else []
        if step.dependency == EVERYTHING:  # whole roles: a provider of its own fails with its role
            names = [name for name in in_use if ":" not in name]
        made = []
        for name in names:
            possible = step.kind in in_use.get(name, ())
            kind, parameters = (step.kind, step.parameters) if possible else (Kind.UNAVAILABLE, {})
            made.append(self._injections.inject(name, kind, seconds=step.seconds, rate=step.rate, **parameters))
        self._mine += made
        return made

    def heal(self) -> Healed:
        for injection in self._mine:
            self._injections.clear(injection)
        hits = sum(injection.hits for injection in self._mine)
        self._mine.clear()
        self._healed_ns, self._phase = self._clock.now_ns(), "recovering"
        return Healed(hits=hits)

    async def recover(self, seconds: float) -> AsyncGenerator[Moment, None]:
        until_ns = self._healed_ns + to_ns(seconds)
        while True:
            asked = await self.ask(conversing=self._conversing)
            yield asked
            still_open = tuple(sorted(self._not_closed() - self._open_before))
            if asked.answer is not None and self._is_as_before(asked.answer) and not still_open:
                yield Recovered(seconds=(self._clock.now_ns() - self._healed_ns) / 1e9)
                return
            if self._clock.now_ns() >= until_ns:
                yield Recovered(seconds=None, still_open=still_open)
                return
            await self._clock.asleep_ns(to_ns(_PAUSE_SECONDS))

    async def forget(self) -> None:
        """Delete the drill's conversation. One that cannot be deleted now is removed with others that are too old."""
        if self._conversing and self._engine.conversations is not None:
            with suppress(HoldfastError):
                await self._engine.conversations.delete(self._conversation)

    def _is_as_before(self, answer: Answer) -> bool:
        return answer.tier.quality >= self._best.quality and self._reasons_before.issuperset(answer.reasons)

    def _not_closed(self) -> frozenset[str]:
        """The breakers that refuse calls. One whose time is over is none of them: it waits for somebody to call."""
        found = set()
        for name, guard in self._engine.guards().items():
            breaker = guard.snapshot().breaker
            if breaker is not None and breaker.state != "closed" and breaker.retry_after != 0:
                found.add(name)
        return frozenset(found)


def _questions(about: Sequence[str], *, drill_number: int) -> Iterator[str]:
    """Questions without end. None was asked before, in another drill neither: an answer from memory shows nothing."""
    for round_number in count(1):
        for form in _FORMS:
            for subject in about:
                yield f"{form.format(subject)} (Drill {drill_number}.{round_number})"
