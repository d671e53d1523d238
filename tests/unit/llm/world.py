"""Two simulated providers on a fake clock, and a client that knows both: where tests of failing over play."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from holdfast.core.breaker_options import MODEL, BreakerOptions
from holdfast.core.events import Events
from holdfast.lab.simulator.fault_rules import parse_rule
from holdfast.lab.simulator.http import SimulatorHttp
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.service import Simulator
from holdfast.llm.client import ModelClient
from holdfast.llm.messages import ChatRequest, Message
from holdfast.llm.routing.options import RouteOptions
from holdfast.llm.routing.targets import EmbeddingRoute, Key, Kind, ModelRoute, Provider, Routes, Target
from holdfast.testing.clock import FakeClock
from holdfast.testing.events import EventRecorder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core.events import Event

QUESTION = (
    "When does the library open?\n\nContext:\n[1] The library opens at nine o'clock on weekdays.\n[2] Cats sleep."
)
ANSWER = "The library opens at nine o'clock on weekdays [1]."
REQUEST = ChatRequest(messages=(Message(role="user", content=QUESTION),), max_tokens=200)


class World:
    """Simulated providers by name, on one clock.

    Args:
        faults: for each provider's name, the faults that it plays, as on the simulator's command line.
        kinds: the protocol of each provider; ``"openai"`` where nothing is said.
        keys: how many keys each provider has; 1 where nothing is said.
        first_token, per_token: seconds, exactly.
        options: of the chat route.
        breaker: of every provider.
        settings: further options of the simulators.
        providers: further options of the providers.
    """

    def __init__(
        self,
        faults: dict[str, Sequence[str]] | None = None,
        *,
        kinds: dict[str, Kind] | None = None,
        keys: dict[str, int] | None = None,
        first_token: float = 0.5,
        per_token: float = 0.02,
        options: RouteOptions | None = None,
        breaker: BreakerOptions = MODEL,
        larger: Sequence[str] = (),
        filtered: Sequence[str] = (),
        settings: dict[str, dict[str, Any]] | None = None,
        providers: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        faults = {"a": (), "b": ()} if faults is None else faults
        self.clock = FakeClock()
        self.events = Events()
        self.recorder = EventRecorder(self.events)
        self.simulators: dict[str, Simulator] = {}
        self.providers: dict[str, Provider] = {}
        addresses: dict[str, Simulator] = {}
        for name, rules in faults.items():
            kind: Kind = (kinds or {}).get(name, "openai")
            own: dict[str, Any] = {
                "first_token": first_token,
                "per_token": per_token,
                "first_token_sigma": 0.0,
                "per_token_sigma": 0.0,
                "faults": [parse_rule(rule) for rule in rules],
                **(settings or {}).get(name, {}),
            }
            self.simulators[name] = Simulator(SimulatorOptions(**own), clock=self.clock)
            base = f"https://{name}.test" + ("" if kind == "anthropic" else "/v1")
            addresses[base] = self.simulators[name]
            count = (keys or {}).get(name, 1)
            self.providers[name] = Provider(
                name=name,
                kind=kind,
                base_url=base,
                keys=tuple(
                    Key(name=f"{name.upper()}_{index}", value=f"sk-{name}-{index}-secret") for index in range(count)
                ),
                breaker=breaker,
                **(providers or {}).get(name, {}),
            )
        self.http = SimulatorHttp(addresses)
        first = [name for name in faults if name not in {*larger, *filtered}]
        self.route = ModelRoute(
            name="answers",
            targets=self._targets(first),
            larger=self._targets(larger),
            filtered=self._targets(filtered),
            options=options or RouteOptions(),
        )
        vectors = (
            EmbeddingRoute(
                name="vectors",
                model_id="embed-1",
                dimension=64,
                ask_dimension=True,
                targets=tuple(
                    Target(provider=self.providers[name], model="embed-1")
                    for name in first
                    if self.providers[name].kind != "anthropic"
                ),
            )
            if any(self.providers[name].kind != "anthropic" for name in first)
            else None
        )
        self.client = ModelClient(
            Routes(models={"answers": self.route}, embeddings={} if vectors is None else {"vectors": vectors}),
            http=self.http,
            clock=self.clock,
            rng=random.Random(7),
            events=self.events,
        )

    def calls(self, name: str) -> int:
        """Requests that have reached a provider."""
        return len(self.simulators[name].calls)

    @property
    def seconds(self) -> float:
        """The time that has passed."""
        return self.clock.now_ns() / 1e9

    def told(self, kind: type[Event]) -> list[Event]:
        """The events of a kind, in order."""
        return [event for event in self.recorder.events if isinstance(event, kind)]

    def _targets(self, names: Sequence[str]) -> tuple[Target, ...]:
        return tuple(Target(provider=self.providers[name], model=f"model-{name}") for name in names)


async def text_of(world: World, request: ChatRequest = REQUEST) -> str:
    """The text of a streamed answer."""
    async with world.client.stream("answers", request) as chunks:
        return "".join([chunk.text async for chunk in chunks])
