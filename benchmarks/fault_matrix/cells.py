"""One cell of the matrix: a fault, a protocol, a setup, and what the caller gets. All of it on a fake clock."""

from __future__ import annotations

import asyncio
import random
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.fault_matrix.lines import WRONG_REQUEST, Line
from holdfast.errors import HoldfastError, StreamInterruptedError
from holdfast.lab.simulator.calls import fingerprint_of
from holdfast.lab.simulator.fault_rules import parse_rule
from holdfast.lab.simulator.fault_table import FAULTS, Scope, Traits
from holdfast.lab.simulator.http import SimulatorHttp
from holdfast.lab.simulator.options import SimulatedModel, SimulatorOptions
from holdfast.lab.simulator.service import Simulator
from holdfast.llm.client import ModelClient
from holdfast.llm.messages import ChatRequest, Finish, Message
from holdfast.llm.prices import load_prices
from holdfast.llm.routing.options import EMBEDDING_OPTIONS, RouteOptions
from holdfast.llm.routing.targets import EmbeddingRoute, Key, ModelRoute, Provider, Routes, Target
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holdfast.lab.simulator.fault_rules import FaultRule
    from holdfast.llm.messages import Usage
    from holdfast.llm.prices import Prices

__all__ = ["NO_FAULT", "Asked", "Cell", "Outcome", "Setup", "applies", "run"]

_QUESTION = (
    "When does the library open?\n\nContext:\n[1] The library opens at nine o'clock on weekdays.\n[2] Cats sleep."
)
_TEXTS = ("The library opens at nine o'clock.", "Cats sleep.")
_DIMENSION = 64
_ASKED_FIRST = 0
"""Of two keys, the one that the client below draws first: its ``rng`` is seeded."""
NO_FAULT = Line("no fault", "slow,factor=1")
_FIRST_TOKEN, _PER_TOKEN, _PER_EMBEDDING = 0.5, 0.02, 0.1


class Asked(StrEnum):
    """What is asked, and how the answer is to come."""

    CHAT = "openai chat"
    CHAT_STREAM = "openai stream"
    MESSAGES = "anthropic"
    MESSAGES_STREAM = "anthropic stream"
    EMBEDDINGS = "embeddings"

    @property
    def streamed(self) -> bool:
        """Whether the answer comes piece by piece."""
        return self in {Asked.CHAT_STREAM, Asked.MESSAGES_STREAM}

    @property
    def anthropic(self) -> bool:
        """Whether it is asked in Anthropic's protocol."""
        return self in {Asked.MESSAGES, Asked.MESSAGES_STREAM}


class Setup(StrEnum):
    """Who is there to be asked."""

    SOLE = "sole provider"
    SECOND = "healthy second provider"
    CONTINUED = "healthy second provider, continue_streams"
    BOTH = "both providers faulty"
    KEYS = "one key of two faulty"


class Outcome(StrEnum):
    """What the caller gets."""

    ANSWER = "answer"
    SECOND = "answer by the second"
    CONTINUED = "answer, continued by the second"
    WRONG = "answer, wrong (undetectable)"
    LABELLED = "part of an answer, labelled by its finish reason"
    ERROR = "error before any token"
    INTERRUPTED = "error after a part of the answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What happened.

    Attributes:
        rule: the line's fault.
        error: the error's class, with that of its cause and its status; empty where there was none.
        wrong: what is wrong about the answer.
        first: calls that the faulty provider (or the faulty key) got.
        other: calls that the other one got.
        seconds: until the answer was whole or the error was there; nothing but the clock's time counts.
    """

    rule: str
    asked: Asked
    setup: Setup
    outcome: Outcome
    error: str = ""
    wrong: str = ""
    first: int
    other: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        return asdict(self)


class _Got(NamedTuple):
    """An answer as the caller has it, in a form that can be compared."""

    text: str
    vectors: Sequence[Sequence[float]]
    finish: Finish
    usage: Usage
    by: str


def applies(line: Line, asked: Asked) -> bool:
    """Whether the line says anything about this protocol."""
    if line.streams_only and not asked.streamed:
        return False
    if line.fault is None:
        return line.rule != WRONG_REQUEST or asked is not Asked.EMBEDDINGS
    endpoint = "embeddings" if asked is Asked.EMBEDDINGS else "messages" if asked.anthropic else "chat"
    # Anthropic has no JSON mode: there it is a sentence in the prompt
    json_mode = _in_json(line) and endpoint == "chat"
    return FAULTS[line.fault].applies_to(Traits(endpoint, asked.streamed, json_mode))


@cache
def run(line: Line, asked: Asked, setup: Setup) -> Cell:
    """Play one cell; the same one has the same result every time."""
    return asyncio.run(_play(line, asked, setup))


async def _play(line: Line, asked: Asked, setup: Setup) -> Cell:
    stage = _Stage(line, asked, setup)
    healthy = await _Stage(NO_FAULT, asked, Setup.SOLE, json_mode=_in_json(line)).ask()
    error, wrong, got = "", "", None
    try:
        got = await stage.ask()
    except HoldfastError as raised:
        error = _named(raised)
        outcome = Outcome.INTERRUPTED if isinstance(raised, StreamInterruptedError) else Outcome.ERROR
    else:
        outcome = Outcome.SECOND if got.by == "second" else Outcome.ANSWER
        if outcome is Outcome.SECOND and stage.given_by_first:
            outcome = Outcome.CONTINUED
        wrong = _difference(got, healthy, counted=outcome is not Outcome.CONTINUED)
        if wrong:
            outcome = Outcome.LABELLED if got.finish is Finish.CONTENT_FILTER else Outcome.WRONG
    first, other = stage.calls
    return Cell(
        rule=line.rule,
        asked=asked,
        setup=setup,
        outcome=outcome,
        error=error,
        wrong=wrong,
        first=first,
        other=other,
        seconds=round(stage.clock.now_ns() / 1e9, 3),
    )


class _Stage:
    """Simulated providers on a clock of their own, and a client that knows them."""

    def __init__(self, line: Line, asked: Asked, setup: Setup, *, json_mode: bool | None = None) -> None:
        self.clock = FakeClock()
        self.given_by_first = False
        self._setup = setup
        self._asked = asked
        self._request = ChatRequest(
            messages=(Message(role="user", content=_QUESTION),),
            max_tokens=200,
            json_mode=_in_json(line) if json_mode is None else json_mode,
            extra={"max_tokens": -5} if line.rule == WRONG_REQUEST else {},
        )
        keys = 2 if setup is Setup.KEYS else 1
        rules: tuple[FaultRule, ...] = () if line.fault is None else (parse_rule(line.before or line.rule),)
        if setup is Setup.KEYS:
            rules = tuple(replace(rule, key=fingerprint_of(_key("first", _ASKED_FIRST))) for rule in rules)
        self._simulators = {"first": self._simulator(rules, line.models)}
        if setup is Setup.BOTH:
            self._simulators["second"] = self._simulator(rules, line.models)
        elif setup in {Setup.SECOND, Setup.CONTINUED}:
            self._simulators["second"] = self._simulator((parse_rule(line.rule),) if line.before else ())
        ending = "" if asked.anthropic else "/v1"
        providers = {
            name: Provider(
                name=name,
                kind="anthropic" if asked.anthropic else "openai",
                base_url=f"https://{name}.test{ending}",
                error_table="anthropic" if asked.anthropic else "openai",
                keys=tuple(Key(name=f"{name}-{index}", value=_key(name, index)) for index in range(keys)),
            )
            for name in self._simulators
        }
        addresses = {provider.base_url: self._simulators[name] for name, provider in providers.items()}
        self._client = ModelClient(
            _routes(providers.values(), asked, continued=setup is Setup.CONTINUED),
            http=SimulatorHttp(addresses),
            prices=_prices(),
            clock=self.clock,
            rng=random.Random(7),
        )

    async def ask(self) -> _Got:
        """Ask once."""
        if self._asked is Asked.EMBEDDINGS:
            embedded = await self._client.embed("route", _TEXTS)
            return _Got("", embedded.vectors, Finish.STOP, embedded.usage, embedded.target.provider.name)
        if not self._asked.streamed:
            answered = await self._client.complete("route", self._request)
            whole = answered.completion
            return _Got(whole.text, (), whole.finish, whole.usage, answered.target.provider.name)
        stream = self._client.stream("route", self._request)
        async with stream:
            async for chunk in stream:
                if chunk.text and stream.target is not None and stream.target.provider.name == "first":
                    self.given_by_first = True
        whole = stream.completion
        by = "" if stream.target is None else stream.target.provider.name
        return _Got(whole.text, (), whole.finish, whole.usage, by)

    @property
    def calls(self) -> tuple[int, int]:
        """Calls to the first provider and to the second; or with its first key and with its second."""
        if self._setup is not Setup.KEYS:
            first, *others = (len(simulator.calls) for simulator in self._simulators.values())
            return first, sum(others)
        calls = list(self._simulators["first"].calls)
        faulty = sum(call.fault is not None for call in calls)
        return faulty, len(calls) - faulty

    def _simulator(self, rules: Sequence[FaultRule], models: Sequence[str] = ()) -> Simulator:
        options = SimulatorOptions(
            faults=rules,
            models=tuple(SimulatedModel(name) for name in models),
            first_token=_FIRST_TOKEN,
            per_token=_PER_TOKEN,
            per_embedding=_PER_EMBEDDING,
            first_token_sigma=0.0,
            per_token_sigma=0.0,
        )
        return Simulator(options, clock=self.clock)


def _routes(providers: Iterable[Provider], asked: Asked, *, continued: bool) -> Routes:
    targets = tuple(Target(provider=each, model="model") for each in providers)
    if asked is Asked.EMBEDDINGS:
        route = EmbeddingRoute(
            name="route",
            model_id="model",
            dimension=_DIMENSION,
            ask_dimension=True,
            targets=targets,
            options=EMBEDDING_OPTIONS,
        )
        return Routes(embeddings={"route": route})
    options = RouteOptions(continue_streams=continued)
    return Routes(models={"route": ModelRoute(name="route", targets=targets, options=options)})


def _difference(got: _Got, healthy: _Got, *, counted: bool) -> str:
    """What is wrong about an answer, told from one that was given without a fault."""
    if got.text != healthy.text:
        return "text"
    if got.vectors != healthy.vectors:
        return "vectors"
    if got.finish is not healthy.finish:
        return "reason of its end"
    return "token counts" if counted and got.usage != healthy.usage else ""


def _named(error: BaseException) -> str:
    """The classes of an error and of its cause, with the status."""
    names: list[str] = []
    each: BaseException | None = error
    while isinstance(each, Exception) and len(names) < 2:  # what a deadline has cancelled is no cause
        status = getattr(each, "status_code", None)
        names.append(type(each).__name__ + (f" {status}" if status else ""))
        each = each.__cause__
    return " from ".join(dict.fromkeys(names))


def _in_json(line: Line) -> bool:
    return line.fault is not None and FAULTS[line.fault].scope is Scope.JSON_MODE


def _key(provider: str, index: int) -> str:
    return f"sk-{provider}-{index}-simulated"


@cache
def _prices() -> Prices:
    return load_prices()
