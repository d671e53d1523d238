"""Components with faults in front of them."""

from __future__ import annotations

import asyncio
import gc
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from holdfast.core.classify import classify
from holdfast.errors import ConfigError, StateUnavailableError, StoreCorruptError, StoreError, StoreUnavailableError
from holdfast.lab.draws import Draws, request_scope
from holdfast.lab.faults.faulty import Faults
from holdfast.lab.faults.plan import Fault, FaultPlan, Kind
from holdfast.lab.faults.roles import CACHE, EMBEDDER, ROLES, STORE
from holdfast.lab.latency import Latency
from holdfast.lab.virtual.running import run
from holdfast.rag.cache import CachedAnswer
from holdfast.rag.store.base import Scored
from holdfast.rag.types import Answer, Chunk, Source, StoredChunk, Tier

if TYPE_CHECKING:
    from holdfast.lab.virtual.clock import VirtualClock

SECOND = 1_000_000_000
ROWS = [Scored("a", 3.0), Scored("b", 2.0), Scored("c", 1.0), Scored("d", 0.5)]


@dataclass
class Row:
    """Stands for a chunk that was fetched."""

    name: str


class Store:
    """The part of a store that matters here."""

    name = "store:sqlite"
    opened = 0

    async def open(self) -> None:
        self.opened += 1

    async def lexical(self, question: str) -> list[Scored]:
        return list(ROWS)

    async def fetch(self, ids: list[str]) -> list[Row]:
        return [Row(each) for each in ids]

    async def put(self, document: str) -> str:
        return document

    def release_job(self, job: str) -> str:
        return job


def around(clock: VirtualClock, *faults: Fault, seed: int = 1, **options: Any) -> tuple[Store, Faults]:
    playing = Faults(FaultPlan(faults), clock=clock, draws=Draws(seed))
    return playing.around(Store(), "store:sqlite", **options), playing


def test_without_faults_it_is_the_component() -> None:
    """Calls go through, with everything else that the component has; they are counted, and may take time."""

    async def main(clock: VirtualClock) -> None:
        store, faults = around(clock, latency=Latency(0.25))
        assert await store.lexical("why") == ROWS
        assert (store.name, store.release_job("j")) == ("store:sqlite", "j")
        await store.open()
        assert (store.opened, clock.now_ns()) == (1, SECOND // 4)
        assert faults.calls == {"store:sqlite": 1}
        with pytest.raises(AttributeError):
            _ = store.nothing  # type: ignore[attr-defined]
        with pytest.raises(AttributeError):
            _ = store._private  # type: ignore[attr-defined]

    run(main)


def test_down() -> None:
    """From its beginning until before its end it refuses at once, and opening is spared."""

    async def main(clock: VirtualClock) -> list[float]:
        store, _ = around(clock, Fault(component="store", kind=Kind.DOWN, begin=2, end=4))
        refused = []
        for _ in range(6):
            await store.open()
            try:
                await store.lexical("why")
            except StoreUnavailableError:
                refused.append(clock.now_ns() / SECOND)
            await asyncio.sleep(1)
        return refused

    assert run(main).value == [2.0, 3.0]


@pytest.mark.parametrize("kind", [Kind.DOWN, Kind.ERRORS, Kind.GARBAGE])
def test_what_it_raises_is_freed_without_the_garbage_collector(kind: Kind) -> None:
    """No frame holds the error that it raises."""

    async def main(clock: VirtualClock) -> None:
        store, _ = around(clock, Fault(component="store", kind=kind))
        gc.collect()
        older = [each for each in gc.get_objects() if isinstance(each, StoreError)]  # of other tests
        gc.disable()
        try:
            for _ in range(30):
                with suppress(StoreError):
                    await store.lexical("why")
            assert len([each for each in gc.get_objects() if isinstance(each, StoreError)]) == len(older)
        finally:
            gc.enable()

    run(main)


def test_slow() -> None:
    """It works, so many seconds later."""

    async def main(clock: VirtualClock) -> int:
        store, faults = around(clock, Fault(component="store", kind=Kind.SLOW, seconds=3))
        assert await store.lexical("why") == ROWS
        assert faults.played == {("store:sqlite", "slow"): 1}
        return clock.now_ns()

    assert run(main).value == 3 * SECOND


def test_hang() -> None:
    """It says nothing until the fault ends, then the connection breaks; who gives up earlier is free earlier."""

    async def main(clock: VirtualClock) -> None:
        store, faults = around(clock, Fault(component="store", kind=Kind.HANG, end=20))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.lexical("why"), 2)
        assert clock.now_ns() == 2 * SECOND
        with pytest.raises(StoreUnavailableError):
            await store.lexical("why")
        assert clock.now_ns() // 1_000 == 20 * SECOND // 1_000
        faults.add(Fault(component="store", kind=Kind.HANG))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.lexical("why"), 100_000)

    run(main)


@pytest.mark.parametrize("name", ["store:sqlite", "embedder:local", "cache:memory"])
def test_errors_may_pass_and_garbage_is_drawn(name: str) -> None:
    """Every error of a role is drawn sooner or later, and is one that the library knows, or its embedder's own."""
    role = ROLES[name.partition(":")[0]]

    class Part:
        async def call(self) -> str:
            return "fine"

    async def main(clock: VirtualClock) -> set[str]:
        faults = Faults(FaultPlan([Fault(component=name, kind=Kind.ERRORS)]), clock=clock, draws=Draws(1))
        part = faults.around(Part(), name)
        seen = set()
        for number in range(60):
            with request_scope(f"user-{number}"), pytest.raises(Exception, match="lab: ") as failed:
                await part.call()
            assert classify(failed.value).kind.value not in {"bug", "bad_request"}
            seen.add(str(failed.value))
        return seen

    assert run(main).value == {str(make()) for make in role.errors.values()}


def test_the_rate_is_the_share() -> None:
    """A share of the calls is hit, within four standard errors; each kind of ``mixed`` comes."""
    calls, rate = 3_000, 0.2

    async def main(clock: VirtualClock) -> Faults:
        store, faults = around(clock, Fault(component="store", kind=Kind.MIXED, rate=rate, seconds=0, end=1e9))

        async def ask(number: int) -> None:
            with request_scope(f"user-{number}"):
                try:
                    async with asyncio.timeout(1):
                        await store.lexical("why")
                except (StoreError, TimeoutError):
                    pass

        await asyncio.gather(*(ask(number) for number in range(calls)))
        return faults

    faults = run(main).value
    hit = sum(faults.played.values())
    assert abs(hit / calls - rate) < 4 * math.sqrt(rate * (1 - rate) / calls)
    assert {kind for _, kind in faults.played} == {"down", "slow", "errors", "garbage", "hang"}


def test_two_configurations_meet_the_same_faults() -> None:
    """What a request meets depends on itself: neither other requests nor further attempts change it."""

    async def main(clock: VirtualClock) -> list[tuple[int, int]]:
        store, _ = around(clock, Fault(component="store", kind=Kind.DOWN, rate=0.4))
        met = []
        for number in range(100):
            with request_scope(f"user-{number}"):
                for attempt in range(attempts):
                    try:
                        await store.lexical("why")
                    except StoreUnavailableError:
                        met.append((number, attempt))
        return met

    attempts = 1
    once = run(main).value
    attempts = 3
    thrice = run(main).value
    assert [each for each in thrice if each[1] == 0] == once
    assert {attempt for _, attempt in thrice} == {0, 1, 2}


def garbage(way: str, operation: str = "lexical", *args: Any) -> Any:
    async def main(clock: VirtualClock) -> Any:
        store, _ = around(clock, Fault(component="store", kind=Kind.GARBAGE, way=way))
        return await getattr(store, operation)(*(args or ("why",)))

    return run(main).value


def test_garbage_of_a_store() -> None:
    """Results are empty, half, doubled, or of chunks that are gone; a damaged file is an error; writing is spared."""
    assert garbage("empty") == []
    assert garbage("truncated") == ROWS[:2]
    assert [each.chunk_id for each in garbage("gone")] == ["a-gone", "b-gone", "c-gone", "d-gone"]
    assert garbage("duplicate")[:3] == [ROWS[0], ROWS[0], ROWS[1]]
    assert garbage("duplicate", "fetch", ["a"]) == [Row("a"), Row("a")]
    with pytest.raises(StoreCorruptError):
        garbage("corrupt")
    assert garbage("empty", "put", "document") == "document"


def test_muddled_passages() -> None:
    """The right passages come with the texts of others."""
    chunks = [
        StoredChunk(
            chunk=Chunk(id=name, document_id="d", ordinal=0, start=0, end=1, heading="", text=name), title="t", uri=""
        )
        for name in "abc"
    ]
    muddled = STORE.garbage["muddled"]["fetch"](chunks)
    assert [(each.chunk.id, each.chunk.text) for each in muddled] == [("a", "b"), ("b", "c"), ("c", "a")]


def test_garbage_of_an_embedder() -> None:
    """Vectors are missing, of another dimension, no numbers, or without a direction."""
    vectors = np.eye(4, 64, dtype=np.float32)
    spoilt = {way: operations["embed"](vectors) for way, operations in EMBEDDER.garbage.items()}
    assert spoilt["empty"].shape == (0, 64)
    assert spoilt["wrong_dimension"].shape == (4, 8)
    assert np.isnan(spoilt["not_a_number"]).all()
    assert not spoilt["zero"].any()


def test_garbage_of_a_cache() -> None:
    """Bytes and answers are lost, cut, blank or scrambled; what was not there stays not there."""
    answer = Answer(text="thirty days", source=Source.LIVE, tier=Tier.FULL)
    entry = CachedAnswer(answer=answer, generation=1, stored_ns=0)
    spoilt = {way: (each["get"](b"abcd"), each["get"](entry), each["get"](None)) for way, each in CACHE.garbage.items()}
    assert {way: each[0] for way, each in spoilt.items()} == {
        "empty": None, "truncated": b"ab", "flipped": b"\x9e\x9d\x9c\x9b", "blank": b"",
    }  # fmt: skip
    texts = {way: each[1] and each[1].answer.text for way, each in spoilt.items()}
    assert texts == {"empty": None, "truncated": "thirt", "flipped": None, "blank": ""}
    assert [each[2] for each in spoilt.values()] == [None] * 4
    assert CACHE.garbage["truncated"]["get_many"]([b"ab", None]) == [b"a", None]


def test_a_cache_fails_as_its_backends_do() -> None:
    """The errors are those of ``CacheBackend``, with a cause that tells what happened."""
    down = CACHE.down()
    assert isinstance(down, StateUnavailableError)
    assert isinstance(down.__cause__, ConnectionRefusedError)
    assert {type(make().__cause__) for make in CACHE.errors.values()} == {ConnectionResetError, TimeoutError}


def test_ways_are_checked() -> None:
    """A way that a component does not have is refused, when it is built and when a fault is added."""

    async def main(clock: VirtualClock) -> None:
        with pytest.raises(ConfigError, match="must be one of empty, truncated"):
            around(clock, Fault(component="store", kind=Kind.GARBAGE, way="gremlins"))
        with pytest.raises(ConfigError, match="is nothing that down has"):
            around(clock, Fault(component="store", kind=Kind.DOWN, way="empty"))
        _, faults = around(clock)
        with pytest.raises(ConfigError, match="must be one of interrupted, locked"):
            faults.add(Fault(component="store", kind=Kind.ERRORS, way="gremlins"))
        faults.add(Fault(component="cache", kind=Kind.ERRORS, way="reset"))
        assert len(faults.plan) == 1

    run(main)


def test_every_role_can_do_everything() -> None:
    """Each has errors and garbage, and none of them spoils what it spares."""
    for role in (STORE, EMBEDDER, CACHE):
        assert len(role.errors) >= 2
        assert len(role.garbage) >= 4
        assert not {operation for each in role.garbage.values() for operation in each} & role.spared
