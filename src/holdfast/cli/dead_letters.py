"""``holdfast ingest --failures`` and ``--discard``: what could not be ingested so far."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from holdfast.cli.output import note, print_json, print_result
from holdfast.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.rag.settings import Settings
    from holdfast.rag.store.dead_letters import DeadLetter

__all__ = ["discard_failures", "list_failures"]

_PAGE = 500


def list_failures(settings: Settings, *, as_json: bool) -> None:
    """Print the dead letters of the collection, each with its id, what it is, and why."""
    import asyncio

    letters = asyncio.run(_letters(settings))
    if as_json:
        print_json({"failures": [_fields(each) for each in letters]})
        return
    print_result(f"{len(letters):,} failures in the collection {settings.collection}.")
    for each in letters:
        last = datetime.fromtimestamp(each.last_at, UTC)
        tries = "1 try" if each.tries == 1 else f"{each.tries:,} tries"
        print_result(f"{each.id}  {each.uri}")
        print_result(f"    {each.kind} ({tries}, last {last:%Y-%m-%d %H:%M} UTC): {each.reason}")
    if any(each.retryable for each in letters):
        note("`holdfast ingest --retry` tries all again, `--retry ID` one; `--discard ID` throws one away.")


def discard_failures(settings: Settings, ids: Sequence[str]) -> None:
    """Throw dead letters away.

    Raises:
        NotFoundError: none of them is there.
    """
    import asyncio

    removed = asyncio.run(_remove(settings, ids))
    if not removed:
        raise NotFoundError("id", f"There is no failure {', '.join(ids)}: `holdfast ingest --failures` lists them.")
    print_result(f"{removed:,} of {len(ids):,} thrown away.")


async def _letters(settings: Settings) -> list[DeadLetter]:
    from holdfast.cli.session import opened

    async with opened(settings, create=False) as engine:
        letters: list[DeadLetter] = []
        cursor: str | None = None
        while True:
            page = await engine.jobs.dead_letters(collection=settings.collection, limit=_PAGE, cursor=cursor)
            letters += page.letters
            cursor = page.next_cursor
            if cursor is None:
                return letters


async def _remove(settings: Settings, ids: Sequence[str]) -> int:
    from holdfast.cli.session import opened

    async with opened(settings, create=False) as engine:
        return await engine.jobs.remove_dead_letters(ids)


def _fields(letter: DeadLetter) -> dict[str, object]:
    fields = asdict(letter)
    del fields["item"]
    return {"id": letter.id, **fields, "retryable": letter.retryable}
