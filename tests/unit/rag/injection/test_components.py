"""Components that fail on purpose: as the real ones do, and only while a fault is on."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from holdfast.core.classify import FaultKind, classify
from holdfast.core.clock import to_ns
from holdfast.core.events import Events
from holdfast.errors import (
    DependencyError,
    ModelUnavailableError,
    StateUnavailableError,
    StoreCorruptError,
    StoreInterruptedError,
    StoreUnavailableError,
)
from holdfast.llm.embedding import Embedder
from holdfast.rag.answering.base import Answerer
from holdfast.rag.answering.extractive import ExtractiveAnswerer
from holdfast.rag.injection.components import injectable
from holdfast.rag.injection.kinds import SUPPORTED, Dependency, Kind
from holdfast.rag.injection.switchboard import Injections
from holdfast.rag.records.base import ConversationStore
from holdfast.rag.records.sqlite import SqliteRecords
from holdfast.rag.store.base import Store
from holdfast.rag.store.sqlite import SqliteStore
from holdfast.rag.types import Scope
from holdfast.state.base import CacheBackend
from holdfast.state.memory import MemoryCache
from holdfast.testing.blocking import InlineBlocking
from holdfast.testing.clock import FakeClock
from holdfast.testing.embedders import HashEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROTOCOLS: dict[Dependency, type] = {
    Dependency.STORE: Store,
    Dependency.EMBEDDER: Embedder,
    Dependency.CACHE: CacheBackend,
    Dependency.ANSWERER: Answerer,
    Dependency.RECORDS: ConversationStore,
}
CALLS: dict[Dependency, Callable[[Any], Any]] = {
    Dependency.STORE: lambda store: store.lexical("lamp", k=3, scope=Scope()),
    Dependency.EMBEDDER: lambda embedder: embedder.embed(["lamp"], kind="query"),
    Dependency.CACHE: lambda cache: cache.get("lamp"),
    Dependency.RECORDS: lambda records: records.get("conv_1"),
}
ERRORS: dict[tuple[Dependency, Kind], tuple[type[Exception], FaultKind]] = {
    (Dependency.STORE, Kind.UNAVAILABLE): (StoreUnavailableError, FaultKind.CONNECT),
    (Dependency.STORE, Kind.CONNECTION): (StoreInterruptedError, FaultKind.CONNECT),
    (Dependency.STORE, Kind.TIMEOUT): (StoreInterruptedError, FaultKind.CONNECT),
    (Dependency.STORE, Kind.AUTH): (StoreUnavailableError, FaultKind.CONNECT),
    (Dependency.STORE, Kind.MALFORMED): (StoreCorruptError, FaultKind.MALFORMED),
    (Dependency.RECORDS, Kind.UNAVAILABLE): (StoreUnavailableError, FaultKind.CONNECT),
    (Dependency.RECORDS, Kind.CONNECTION): (StoreInterruptedError, FaultKind.CONNECT),
    (Dependency.RECORDS, Kind.TIMEOUT): (StoreInterruptedError, FaultKind.CONNECT),
    (Dependency.RECORDS, Kind.AUTH): (StoreUnavailableError, FaultKind.CONNECT),
    (Dependency.RECORDS, Kind.MALFORMED): (StoreCorruptError, FaultKind.MALFORMED),
    (Dependency.CACHE, Kind.UNAVAILABLE): (StateUnavailableError, FaultKind.CONNECT),
    (Dependency.CACHE, Kind.CONNECTION): (StateUnavailableError, FaultKind.CONNECT),
    (Dependency.CACHE, Kind.TIMEOUT): (StateUnavailableError, FaultKind.CONNECT),
    (Dependency.CACHE, Kind.AUTH): (StateUnavailableError, FaultKind.AUTH),
    (Dependency.EMBEDDER, Kind.UNAVAILABLE): (ModelUnavailableError, FaultKind.CONNECT),
    (Dependency.EMBEDDER, Kind.TIMEOUT): (ModelUnavailableError, FaultKind.CONNECT),
}


class Bench:
    """Real components in front of which a fault can be put."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        blocking = InlineBlocking()
        self.injections = Injections(clock=self.clock, rng=random.Random(7), events=Events())
        self.bare: dict[Dependency, Any] = {
            Dependency.STORE: SqliteStore(folder, blocking=blocking, clock=self.clock),
            Dependency.EMBEDDER: HashEmbedder(),
            Dependency.CACHE: MemoryCache(),
            Dependency.ANSWERER: ExtractiveAnswerer(blocking=blocking),
            Dependency.RECORDS: SqliteRecords(
                folder, blocking=blocking, clock=self.clock, retention=86_400.0
            ).conversations,
        }
        self.wrapped = {role: injectable(part, role, self.injections) for role, part in self.bare.items()}

    async def open(self) -> None:
        for role in (Dependency.STORE, Dependency.RECORDS):
            await self.wrapped[role].open()

    async def close(self) -> None:
        for role in (Dependency.STORE, Dependency.RECORDS):
            await self.wrapped[role].close()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("role", PROTOCOLS)
def test_every_operation_can_fail(bench: Bench, role: Dependency) -> None:
    """Of a real component, each coroutine of its protocol but open and close is replaced, and all else is its own."""
    bare, wrapped = bench.bare[role], bench.wrapped[role]
    members = [name for name in vars(PROTOCOLS[role]) if not name.startswith("_")]
    waits = {name for name in members if _waits(getattr(type(bare), name))}
    assert waits
    for name in members:
        replaced = getattr(wrapped, name) != getattr(bare, name)
        assert replaced == (name in waits - {"open", "close"}), name
    assert wrapped.name == bare.name


def _waits(member: Any) -> bool:
    import inspect

    return inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)


@pytest.mark.parametrize(("role", "kind"), ERRORS)
async def test_a_component_fails_as_the_real_one(bench: Bench, role: Dependency, kind: Kind) -> None:
    """A fault raises the real component's error, marked as injected, and after it the component works again."""
    await bench.open()
    error, means = ERRORS[role, kind]
    bench.injections.inject(role, kind, seconds=3)
    with pytest.raises(error, match=r"^injected: .*\.$") as caught:
        await CALLS[role](bench.wrapped[role])
    assert type(caught.value) is error
    assert classify(caught.value).kind is means
    bench.injections.clear()
    assert await CALLS[role](bench.wrapped[role]) is not None or role in {Dependency.CACHE, Dependency.RECORDS}
    await bench.close()


def test_every_kind_of_a_component_is_tested(bench: Bench) -> None:
    """The table above, with slow and those that spoil results, covers all that a component can have."""
    spoil = {Kind.SLOW, Kind.EMPTY}
    for role in CALLS:
        possible = bench.injections.in_use()[role]
        raised = {kind for other, kind in ERRORS if other == role}
        left = {Kind.MALFORMED} if role in {Dependency.CACHE, Dependency.EMBEDDER} else set()
        assert possible - spoil - left == raised
        assert possible <= SUPPORTED[role]


async def test_a_hanging_component_hangs_until_the_fault_ends(bench: Bench) -> None:
    """A call that hangs fails when the fault's time is over."""
    await bench.open()
    bench.injections.inject("store", "timeout", seconds=40)
    with pytest.raises(StoreInterruptedError):
        await bench.wrapped[Dependency.STORE].ping()
    assert bench.clock.now_ns() == to_ns(40)
    await bench.close()


async def test_a_slow_component_answers_late(bench: Bench) -> None:
    """A slow fault adds its delay to a call that works, and a caller who gives up leaves nothing behind."""
    bench.injections.inject("embedder", "slow", seconds=60, delay=1.5)
    vectors = await bench.wrapped[Dependency.EMBEDDER].embed(["lamp"])
    assert vectors.shape == (1, 64)
    assert bench.clock.now_ns() == to_ns(1.5)
    task = asyncio.create_task(bench.wrapped[Dependency.EMBEDDER].embed(["lamp"]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(asyncio.all_tasks()) == 1


async def test_an_embedder_can_give_garbage(bench: Bench) -> None:
    """A malformed fault gives vectors that are no numbers, an empty one gives none."""
    embedder = bench.wrapped[Dependency.EMBEDDER]
    fault = bench.injections.inject("embedder", "malformed", seconds=60)
    assert np.isnan(await embedder.embed(["a", "b"])).all()
    bench.injections.clear(fault)
    bench.injections.inject("embedder", "empty", seconds=60)
    assert (await embedder.embed(["a", "b"])).shape == (0, 64)


@pytest.mark.parametrize("kind", [Kind.EMPTY, Kind.MALFORMED])
async def test_a_cache_can_lose_what_it_has(bench: Bench, kind: Kind) -> None:
    """While its values cannot be read they are not there, and afterwards they are."""
    cache = bench.wrapped[Dependency.CACHE]
    await cache.set("lamp", b"light", ttl=60)
    fault = bench.injections.inject("cache", kind, seconds=60)
    assert await cache.get("lamp") is None
    assert await cache.get_many(["lamp", "sofa"]) == [None, None]
    bench.injections.clear(fault)
    assert await cache.get("lamp") == b"light"


async def test_a_store_can_find_nothing(bench: Bench) -> None:
    """With an empty fault the searches give no passage, and what is no search works."""
    await bench.open()
    bench.injections.inject("store", "empty", seconds=60)
    store = bench.wrapped[Dependency.STORE]
    assert await store.lexical("lamp", k=3, scope=Scope()) == []
    assert await store.fetch(["a"]) == []
    assert (await store.status()).documents == 0
    await bench.close()


async def test_an_answerer_can_fail_whole_and_streamed(bench: Bench) -> None:
    """Both ways to ask an answerer meet its fault, a stream before its first piece."""

    class Two:
        async def stream(self, pieces: int) -> Any:
            for number in range(pieces):
                yield number

    bench.injections.inject("answerer", "unavailable", seconds=60)
    stream = injectable(Two(), Dependency.ANSWERER, bench.injections)
    with pytest.raises(DependencyError, match="injected: the answerer is not there"):
        await anext(stream.stream(2))
    bench.injections.clear()
    assert [number async for number in stream.stream(2)] == [0, 1]


def test_what_is_private_or_missing_is_not_there(bench: Bench) -> None:
    """A component in front of which a fault can be put has no attributes that the component does not show."""
    with pytest.raises(AttributeError):
        _ = bench.wrapped[Dependency.CACHE]._entries
    with pytest.raises(AttributeError):
        _ = bench.wrapped[Dependency.CACHE].nothing
