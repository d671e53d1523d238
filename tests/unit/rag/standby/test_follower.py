"""The copy follows the store: what is new, changed or gone there, whatever fails on the way."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rag.standby.bench import document

from holdfast.errors import ConfigError, StoreCorruptError, StoreUnavailableError
from holdfast.rag.standby.copy import DocumentCopy
from holdfast.rag.standby.follower import FollowerOptions
from holdfast.rag.types import Scope

if TYPE_CHECKING:
    from tests.unit.rag.standby.bench import Bench

GONE = StoreUnavailableError("the server is gone")


def spoiled(bench: Bench, method: str, result: Any) -> None:
    """Let a method of the store give something else until it is healed."""

    async def lie(*_args: object, **_options: object) -> Any:
        return result

    setattr(bench.store._part, method, lie)


def healed(bench: Bench, method: str) -> None:
    delattr(bench.store._part, method)


async def test_new_and_changed_documents_are_copied_and_deleted_ones_removed(bench: Bench) -> None:
    """After each turn the copy has the texts that the store has, and no others."""
    await bench.put(document("kettle"), document("toaster"))
    assert await bench.follower.turn()
    assert set(await bench.copied()) == {"kettle", "toaster"}
    await bench.put(document("kettle", "# kettle\n\nIt is new.\n"), document("oven"))
    await bench.store.delete("doc_toaster")
    assert await bench.follower.turn()
    copied = await bench.copied()
    assert set(copied) == {"kettle", "oven"}
    assert "It is new." in copied["kettle"]


async def test_chunks_have_the_ids_that_they_have_in_the_store(bench: Bench) -> None:
    """A passage is found under the same id in both, so that citations are the same."""
    await bench.put(document("kettle"), document("toaster"))
    await bench.follower.turn()
    scope = Scope()
    there = [each.chunk_id for each in await bench.store.lexical("toaster page", k=5, scope=scope)]
    assert there
    assert [each.chunk_id for each in await bench.copy.lexical("toaster page", k=5, scope=scope)] == there


async def test_an_unchanged_store_is_asked_one_cheap_thing(bench: Bench) -> None:
    """While the generation stays, a turn calls the store once."""
    await bench.put(document("kettle"))
    await bench.follower.turn()
    calls = bench.store.calls
    assert await bench.follower.turn()
    assert bench.store.calls == calls + 1


async def test_the_copy_has_threads_of_its_own(bench: Bench) -> None:
    """Whatever the copy does blocks under one kind, which no store that hangs can hold."""
    await bench.put(document("kettle"))
    await bench.follower.turn()
    bench.blocking.kinds.clear()
    await bench.copy.lexical("kettle", k=5, scope=Scope())
    await bench.follower.forget("doc_kettle", collection="default")
    assert set(bench.blocking.kinds) == {"standby"}


async def test_only_what_differs_is_read_again(bench: Bench) -> None:
    """A change of one document of many costs one document."""
    await bench.put(*(document(f"page {number}") for number in range(5)))
    await bench.follower.turn()
    await bench.put(document("page 3", "Other words.\n"))
    calls = bench.store.calls
    await bench.follower.turn()
    assert bench.store.calls == calls + 3  # the generation, a page of the list, and the document


async def test_what_breaks_off_goes_on_at_the_next_turn(bench: Bench) -> None:
    """A store that fails in the middle leaves whole documents, and the next turn reads the others only."""
    await bench.put(*(document(f"page {number}") for number in range(6)))
    read = bench.store._part.get
    left = 3

    async def failing(*args: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise GONE
        return await read(*args, **options)

    bench.store._part.get = failing
    assert not await bench.follower.turn()
    assert len(await bench.copied()) == 3
    assert "the server is gone" in bench.follower.snapshot().trouble
    bench.store._part.get = read
    calls = bench.store.calls
    assert await bench.follower.turn()
    assert len(await bench.copied()) == 6
    assert bench.store.calls == calls + 2 + 3
    assert bench.follower.snapshot().trouble == ""


async def test_a_store_that_is_down_costs_the_copy_nothing(bench: Bench) -> None:
    """What was copied stays while the store fails, and a turn raises nothing."""
    await bench.put(document("kettle"))
    await bench.follower.turn()
    bench.store.error = GONE
    assert not await bench.follower.turn()
    assert set(await bench.copied()) == {"kettle"}


async def test_a_restart_copies_nothing_anew(bench: Bench) -> None:
    """Who follows from now on finds what was copied before, and follows all of its collections."""
    await bench.put(document("kettle"), document("handbook", collection="staff"))
    bench.follower.follow("staff")
    await bench.follower.turn()
    again = bench.followed()
    calls = bench.store.calls
    assert await again.turn()
    assert bench.store.calls == calls + 3  # the generation, and a page of each collection
    assert {name: held.documents for name, held in again.held.items()} == {"default": 1, "staff": 1}


async def test_two_processes_may_share_a_copy(bench: Bench) -> None:
    """Both follow, neither fails, and each searches what the other one copied."""
    other = DocumentCopy(bench.folder / "standby", blocking=bench.blocking, clock=bench.clock)
    second = bench.followed(copy=other)
    await bench.put(*(document(f"page {number}") for number in range(5)))
    assert all(await asyncio.gather(bench.follower.turn(), second.turn()))
    await bench.store.delete("doc_page 0")
    assert await bench.follower.turn()
    assert await second.turn()
    await second.look()
    assert second.held["default"].documents == len(await bench.copied()) == 4
    await other.close()


async def test_what_has_no_room_is_left_out_and_told(bench: Bench) -> None:
    """Documents are taken in the order of the list as long as they fit, and removed when they do not any more."""
    await bench.put(document("b", "x" * 40), document("c", "x" * 50), document("d", "x" * 30))
    follower = bench.followed(characters=100)
    assert await follower.turn()
    assert set(await bench.copied()) == {"b", "c"}
    assert follower.snapshot().left_out == 1
    await bench.put(document("a", "x" * 30))
    assert await follower.turn()
    assert set(await bench.copied()) == {"a", "b", "d"}
    assert follower.snapshot().left_out == 1


async def test_a_store_that_lists_nothing_has_to_say_so_twice(bench: Bench) -> None:
    """One empty list does not empty the copy; a second one does, when the documents are not to be had either."""
    await bench.put(document("kettle"), document("toaster"))
    await bench.follower.turn()
    empty = await bench.store.list(collection="nothing")
    await bench.put(document("oven"))
    spoiled(bench, "list", empty)
    assert not await bench.follower.turn()
    assert not await bench.follower.turn()  # it lists nothing, and yet has them
    assert set(await bench.copied()) == {"kettle", "toaster"}
    healed(bench, "list")
    for name in ("kettle", "toaster", "oven"):
        await bench.store.delete(f"doc_{name}")
    await bench.follower.turn()
    await bench.follower.turn()
    assert await bench.copied() == {}


async def test_half_a_document_is_not_taken(bench: Bench) -> None:
    """A text that is not as long as the store says waits for the next turn."""
    whole = document("kettle")
    await bench.put(whole)
    half = document("kettle", whole.text[:10])
    spoiled(bench, "get", half)
    assert not await bench.follower.turn()
    assert await bench.copied() == {}
    healed(bench, "get")
    assert await bench.follower.turn()
    assert (await bench.copied())["kettle"] == whole.text


async def test_a_document_that_is_deleted_while_it_is_copied_does_not_come_back(bench: Bench) -> None:
    """Deleted means gone, though a turn had read the document just before."""
    await bench.put(document("kettle"), document("toaster"))
    read = bench.store._part.get
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow(document_id: str, **options: Any) -> Any:
        found = await read(document_id, **options)
        if document_id == "doc_kettle":
            reached.set()
            await go_on.wait()
        return found

    bench.store._part.get = slow
    turn = asyncio.create_task(bench.follower.turn())
    await reached.wait()
    await bench.store.delete("doc_kettle")
    await bench.follower.forget("doc_kettle", collection="default")
    go_on.set()
    await turn
    assert set(await bench.copied()) == {"toaster"}
    await bench.follower.turn()
    assert set(await bench.copied()) == {"toaster"}
    assert not bench.follower.is_forgotten("default", "doc_kettle")


async def test_a_document_that_the_store_could_not_delete_comes_back(bench: Bench) -> None:
    """What was forgotten while the store was down is copied again when the store still has it."""
    await bench.put(document("kettle"))
    await bench.follower.turn()
    bench.store.error = GONE
    await bench.follower.forget("doc_kettle", collection="default")
    assert await bench.copied() == {}
    await bench.follower.turn()
    bench.store.error = None
    assert await bench.follower.turn()
    assert set(await bench.copied()) == {"kettle"}


async def test_a_deletion_that_the_copy_does_not_take_is_made_up_for(bench: Bench) -> None:
    """Until the copy can be written the document counts as forgotten; the next turn removes it."""
    await bench.put(document("kettle"), document("toaster"))
    await bench.follower.turn()
    delete = bench.copy.delete

    async def full(*_args: object, **_options: object) -> bool:
        raise StoreUnavailableError("the disk is full")

    bench.copy.delete = full  # type: ignore[method-assign]
    await bench.store.delete("doc_kettle")
    with pytest.raises(StoreUnavailableError):
        await bench.follower.forget("doc_kettle", collection="default")
    assert bench.follower.is_forgotten("default", "doc_kettle")
    bench.copy.delete = delete  # type: ignore[method-assign]
    await bench.follower.turn()
    assert set(await bench.copied()) == {"toaster"}


async def test_a_damaged_copy_is_made_anew(bench: Bench) -> None:
    """A copy that cannot be read is thrown away, and is there again one turn later."""
    await bench.put(document("kettle"))
    await bench.follower.turn()

    async def damaged() -> Any:
        raise StoreCorruptError("the file is damaged")

    bench.copy.generation = damaged  # type: ignore[method-assign]
    assert not await bench.follower.turn()
    del bench.copy.generation
    assert bench.follower.held == {}
    assert await bench.follower.turn()
    assert set(await bench.copied()) == {"kettle"}


async def test_a_copy_that_was_deleted_is_made_anew(bench: Bench) -> None:
    """Somebody who empties the folder of the copy has it back at the next turn, though the store did not change."""
    await bench.put(document("kettle"))
    await bench.follower.turn()
    shutil.rmtree(bench.folder / "standby")
    assert await bench.follower.turn()
    assert set(await bench.copied()) == {"kettle"}


def test_options_out_of_range_are_refused() -> None:
    """A wrong option is an error that names it."""
    with pytest.raises(ConfigError, match="characters"):
        FollowerOptions(characters=0)
    with pytest.raises(ConfigError, match="call_seconds"):
        FollowerOptions(characters=1, call_seconds=0.0)
