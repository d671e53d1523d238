"""A world: the production engine on a virtual clock, with everything around it simulated.

    async def main(world: World) -> dict[str, object]:
        await world.traffic(rate=20, seconds=60)
        return world.record.summary()

    ran = run_world(main, WorldOptions(seed=7, faults=FaultPlan.everywhere(0.05)))
    ran.value, ran.trace

The engine is built by ``build_engine``, as the service's is. Its doors lead to the lab: time to the virtual clock,
blocking work to :class:`~holdfast.lab.doors.blocking.ModelledBlocking`, HTTP to simulators, chance to keyed draws. The
store is SQLite on real files.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.core._options import duration, positive
from holdfast.core.clock import to_ns
from holdfast.core.events import Events
from holdfast.errors import HoldfastError
from holdfast.lab.doors.blocking import ModelledBlocking
from holdfast.lab.doors.http import InProcessHttp
from holdfast.lab.draws import Draws, request_scope
from holdfast.lab.faults.faulty import Faults
from holdfast.lab.faults.models import rules_for
from holdfast.lab.faults.plan import FaultPlan
from holdfast.lab.latency import AT_ONCE
from holdfast.lab.simulator import draws as keyed
from holdfast.lab.simulator.service import Simulator
from holdfast.lab.virtual.loop import VirtualLoop
from holdfast.lab.virtual.running import run
from holdfast.lab.world.embedder import HashedEmbedder
from holdfast.lab.world.library import copy_library, scratch_folder
from holdfast.lab.world.options import WorldOptions
from holdfast.lab.world.questions import Question, Questions
from holdfast.lab.world.record import Asked, Record, asked_of
from holdfast.lab.world.remembering import RememberingStore
from holdfast.rag.app import build_engine
from holdfast.rag.injection.kinds import Dependency
from holdfast.rag.models import configured_models
from holdfast.rag.query import Query
from holdfast.rag.settings import Settings
from holdfast.rag.store.sqlite import SqliteStore
from holdfast.sample import install_faq

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from holdfast.lab.faults.plan import Fault
    from holdfast.lab.virtual.clock import VirtualClock
    from holdfast.lab.virtual.running import Ran
    from holdfast.lab.world.program import Program
    from holdfast.rag.engine import Engine
    from holdfast.rag.models import Configured
    from holdfast.rag.types import Answer

__all__ = ["World", "run_world"]

T = TypeVar("T")

_COLLECTION = "default"
_ROLES = {Dependency.STORE: "store", Dependency.EMBEDDER: "embedder", Dependency.CACHE: "cache"}


def run_world(
    main: Callable[[World], Coroutine[Any, Any, T]],
    options: WorldOptions | None = None,
    *,
    shuffle: bool = False,
    max_seconds: float = 31 * 86_400.0,
) -> Ran[T]:
    """Open a world, run ``main(world)`` in it, and close it, without waiting.

    Args:
        main: an async function.
        options: what the world is made of.
        shuffle, max_seconds: see :func:`holdfast.lab.virtual.running.run`.

    Raises:
        ConfigError: an option is wrong.
        VirtualTimeError: the program cannot go on in virtual time.
    """
    options = options or WorldOptions()

    async def inside(clock: VirtualClock) -> T:
        async with World.open(clock, options) as world:
            return await main(world)

    return run(inside, seed=options.seed, shuffle=shuffle, max_seconds=max_seconds)


class World:
    """Use :func:`run_world`, or :meth:`open` within a virtual loop.

    Attributes:
        engine: as production builds it.
        program: what answers; the engine, unless the options say otherwise.
        clock, draws: time and chance.
        faults: what fails, and what has been hit.
        providers: the simulated providers, by name; their ``calls`` tell what they were asked.
        http, blocking: the doors.
        events: the engine's.
        record: what happened.
    """

    def __init__(self, clock: VirtualClock, options: WorldOptions, folder: Path) -> None:
        loop = asyncio.get_running_loop()
        self.options = options
        self.clock = clock
        self.draws = Draws(options.seed, trace=loop.trace if isinstance(loop, VirtualLoop) else None)
        self.events = Events()
        self.faults = Faults(FaultPlan(), clock=clock, draws=self.draws)
        settings = Settings(**{"data_dir": folder, **options.engine_settings()})  # type: ignore[arg-type]
        self.blocking = ModelledBlocking(
            clock,
            self.draws,
            latencies=options.blocking,
            max_workers=settings.max_workers,
            dedicated={"embed.batch": 2},
        )
        configured = configured_models(settings, {})
        self.providers = {} if configured is None else self._providers(configured)
        self.http = InProcessHttp(
            self._addresses(configured),
            clock=clock,
            draws=self.draws,
            round_trip=options.round_trip,
            max_connections=options.max_connections,
        )
        self._configured = configured
        self._caches: list[Any] = []
        self.engine: Engine = build_engine(
            settings,
            clock=clock,
            rng=self.draws.stream("engine"),
            blocking=self.blocking,
            events=self.events,
            http=self.http,
            environ={},
            wrap=self.wrapped,
            policies=options.policies,
        )
        self.program: Program = self.engine if options.program is None else options.program(self)
        self.record = Record(self.events, lambda: self.seconds)
        self._count = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, clock: VirtualClock, options: WorldOptions | None = None) -> AsyncIterator[World]:
        """A world within the running virtual loop, closed at the end of the block."""
        options = options or WorldOptions()
        folder = scratch_folder()
        try:
            copy_library(folder, documents=options.documents, dimension=options.dimension)
            if options.faq and options.documents is None:
                install_faq(folder, collection=_COLLECTION)
            world = cls(clock, options, folder)
            await world.engine.open()
            try:
                for fault in options.faults:  # not before: a service that hangs at its start was never up
                    world.strike(fault)
                yield world
            finally:
                await world.engine.close()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def seconds(self) -> float:
        """Since the world's beginning; the time that faults go by."""
        return self.faults.seconds

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        await self.clock.asleep_ns(to_ns(seconds))

    def strike(self, fault: Fault) -> None:
        """One fault more, with times of the world: ``begin=world.seconds`` is now.

        Raises:
            ConfigError: no component has this name, or it cannot fail in this way.
        """
        self.faults.add(fault)
        self._tell_providers(FaultPlan([fault]))

    async def flush(self) -> None:
        """The cache forgets everything: it was restarted, or somebody emptied it."""
        for cache in self._caches:
            await cache.clear()

    async def ask(
        self,
        question: str | Question,
        *,
        request: str = "",
        streamed: bool = False,
        **query: Any,  # noqa: ANN401 - fields of a query
    ) -> Asked:
        """Ask one question, and record what becomes of it. An error is an outcome, too: it is not raised.

        Args:
            question: as users write it.
            request: its id, which its draws are keyed by; by default ``"ask-1"``, ``"ask-2"``, ...
            streamed: whether the answer comes piece by piece.
            query: other fields of a ``Query``.
        """
        self._count += 1
        request = request or f"ask-{self._count}"
        text, facts = (question, ()) if isinstance(question, str) else (question.text, question.facts)
        at = self.seconds
        with request_scope(request):
            try:
                asking = Query(question=text, request_id=request, **query)
                answer, first = await self._streamed(asking) if streamed else (await self.program.ask(asking), None)
            except Exception as error:  # noqa: BLE001 - whatever it is, a user sees it, and the record tells of it
                took = self.seconds - at
                asked = Asked(request=request, question=text, at=at, seconds=took, error=type(error).__name__)
                if not isinstance(error, HoldfastError):
                    self.record.crashed(error)
            else:
                asked = asked_of(
                    answer,
                    request=request,
                    question=text,
                    at=at,
                    seconds=self.seconds - at,
                    first=None if first is None else first - at,
                    facts=facts,
                )
        self.record.add(asked)
        return asked

    async def traffic(
        self,
        rate: float,
        seconds: float,
        *,
        questions: Questions | None = None,
        name: str = "user",
        **query: Any,  # noqa: ANN401 - fields of a query
    ) -> None:
        """Users who ask whether or not anybody answers (open loop, Poisson), until the last of them has an answer.

        Arrivals and questions depend on the seed and ``name`` only.

        Args:
            rate: questions a second, above 0.
            seconds: for how long they come.
            questions: what they ask.
            name: what their requests are called: ``user-1``, ``user-2``, ...
            query: ``streamed``, and other fields of a ``Query``.
        """
        mean = 1 / positive("rate", rate)
        end_ns = self.clock.now_ns() + to_ns(duration("seconds", seconds))
        questions = questions or Questions(self.draws)
        number = 0
        async with asyncio.TaskGroup() as users:
            while True:
                number += 1
                request = f"{name}-{number}"
                gap_ns = to_ns(self.draws.exponential(mean, "users", "arrival", request))
                if self.clock.now_ns() + gap_ns >= end_ns:
                    await self.clock.asleep_ns(end_ns - self.clock.now_ns())
                    return
                await self.clock.asleep_ns(gap_ns)
                users.create_task(self.ask(questions.of(request), request=request, **query))

    async def _streamed(self, query: Query) -> tuple[Answer, float | None]:
        """The answer, and when its first text came."""
        first: float | None = None
        async with aclosing(self.program.stream(query)) as items:
            async for item in items:
                if not isinstance(item, str):
                    return item, first
                first = self.seconds if first is None else first
        raise AssertionError("the last item is the answer")

    # --- wiring ---------------------------------------------------------------------------------------------------

    def wrapped(self, role: Dependency, part: Any) -> Any:  # noqa: ANN401 - any part of an engine
        """A part of the engine, or of another program, with the world's faults in front of it."""
        name = _ROLES.get(role)
        if name is None:
            return part
        if role is Dependency.EMBEDDER:
            part = HashedEmbedder(self.blocking, dimension=self.options.dimension or 1)
        if role is Dependency.STORE and isinstance(part, SqliteStore):
            part = RememberingStore(part, blocking=self.blocking)
        if role is Dependency.CACHE:
            self._caches.append(part)
        return self.faults.around(part, part.name, latency=self.options.parts.get(name, AT_ONCE))

    def _providers(self, configured: Configured) -> dict[str, Simulator]:
        options = self.options
        simulators = {}
        for name in configured.routes.providers:
            seed = int(keyed.hex_of(12, options.seed, "provider", name), 16)
            chosen = options.providers.get(name, options.provider)
            simulators[name] = Simulator(replace(chosen, seed=seed), clock=self.clock)
        return simulators

    def _addresses(self, configured: Configured | None) -> dict[str, Simulator]:
        if configured is None:
            return {}
        return {each.base_url: self.providers[name] for name, each in configured.routes.providers.items()}

    def _tell_providers(self, plan: FaultPlan) -> None:
        """Hand the faults of models to the simulators that play them."""
        configured = self._configured
        if configured is None:
            return
        routes = configured.routes
        chats = {target for route in routes.models.values() for target in route.every_target}
        for target in sorted(chats, key=lambda each: each.name):
            for rule in rules_for(plan, f"model:{target.name}"):
                self.providers[target.provider.name].faults.add(rule)
        if configured.embeds is not None:
            embeds = routes.embeddings[configured.embeds]
            for provider in dict.fromkeys(target.provider.name for target in embeds.targets):
                for rule in rules_for(plan, f"embedder:{embeds.name}", embeddings=True):
                    self.providers[provider].faults.add(rule)
