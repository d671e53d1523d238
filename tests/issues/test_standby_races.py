"""What happens to the copy of the documents while it is just being made, and when only a search finds it damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rag.standby.bench import Bench, document

from holdfast.core.pipeline import Pipeline
from holdfast.errors import StoreCorruptError, StoreUnavailableError
from holdfast.rag.narrator import Narrator
from holdfast.rag.query import Query
from holdfast.rag.standby import follower
from holdfast.rag.standby.standby import Standby
from holdfast.rag.store.repeating import Repeating

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    await made.store.open()
    yield made
    await made.close()


async def test_a_document_that_the_store_did_not_let_go_comes_back_into_the_copy(bench: Bench) -> None:
    """It was taken out during a turn because somebody deleted it, and the store failed at that: it still has it."""
    await bench.put(document("kettle"), document("toaster"))
    assert await bench.follower.turn()
    await bench.put(document("oven"))
    part = bench.store._part
    get = part.get

    async def deleted_meanwhile(*args: Any, **options: Any) -> Any:
        found = await get(*args, **options)
        await bench.follower.forget("doc_kettle", collection="default")
        return found

    part.get = deleted_meanwhile
    await bench.follower.turn()
    del part.get
    assert set(await bench.copied()) == {"toaster", "oven"}
    assert await bench.follower.turn()
    assert set(await bench.copied()) == {"kettle", "toaster", "oven"}


async def test_a_first_copy_that_breaks_off_answers_from_what_it_has(bench: Bench) -> None:
    """The store fails while the copy is made for the first time: whole documents are in it, and they are told of."""
    await bench.put(*(document(f"page {number}") for number in range(5)))
    part = bench.store._part
    get, given = part.get, 0

    async def fails_later(*args: Any, **options: Any) -> Any:
        nonlocal given
        if given == 3:
            raise StoreUnavailableError("the server is gone")
        given += 1
        return await get(*args, **options)

    part.get = fails_later
    assert not await bench.follower.turn()
    assert bench.follower.held["default"].documents == 3


async def test_a_first_copy_is_told_of_while_it_grows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page: it takes minutes where there are many documents, and the store may just hang."""
    monkeypatch.setattr(follower, "_PAGE", 2)
    await bench.put(*(document(f"page {number}") for number in range(5)))
    part = bench.store._part
    get, seen = part.get, 0

    async def looked_at(*args: Any, **options: Any) -> Any:
        nonlocal seen
        seen = sum(held.documents for held in bench.follower.held.values())
        return await get(*args, **options)

    part.get = looked_at
    assert await bench.follower.turn()
    assert seen == 4


async def test_a_copy_that_only_a_search_finds_damaged_is_made_anew(bench: Bench) -> None:
    """No turn reads all of it: whoever searches tells of it, and the next turn to which the store answers makes it."""
    await bench.put(document("kettle"))
    assert await bench.follower.turn()
    standby = Standby(
        bench.copy,
        bench.follower,
        Repeating(bench.follower.turn, every=15.0, clock=bench.clock, what="Following"),
        guard=Pipeline(name="store:standby", clock=bench.clock),
        store=bench.store,
        guards=bench.guards,
        narrator=Narrator(bench.events, bench.clock),
        clock=bench.clock,
    )
    words = Query(question="Tell me of the kettle.")

    async def broken(*_args: Any, **_options: Any) -> Any:
        raise StoreCorruptError("database disk image is malformed")

    bench.copy.lexical = broken  # type: ignore[method-assign]
    assert await standby.search(words, k=5) is None
    del bench.copy.lexical
    bench.store.error = StoreUnavailableError("the server is gone")
    assert not await bench.follower.turn()
    assert set(await bench.copied()) == {"kettle"}  # what can be read of it is more than nothing
    bench.store.error = None
    calls = bench.store.calls
    assert await bench.follower.turn()
    assert bench.store.calls > calls + 1  # it was read anew
    found = await standby.search(words, k=5)
    assert found is not None
    assert found.hits
