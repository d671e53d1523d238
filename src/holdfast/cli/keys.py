"""``holdfast keys``: the API keys that the service accepts."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from holdfast.cli.output import note, plain, print_json, print_result

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from holdfast.cli.options import Options
    from holdfast.rag.records.keys import ApiKey
    from holdfast.rag.records.records import Records
    from holdfast.rag.settings import Settings

__all__ = ["keys"]

T = TypeVar("T")

_DAY_SECONDS = 86_400

keys = typer.Typer(
    name="keys",
    help="Make, list and revoke the API keys that clients of the service send.",
    rich_markup_mode="rich",
    invoke_without_command=True,
)


@keys.callback(invoke_without_command=True)
def _keys(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@keys.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for, e.g. website.", show_default=False)],
    expires: Annotated[
        int | None,
        typer.Option(metavar="DAYS", min=1, max=36_500, help="Days after which it stops working. [default: never]"),
    ] = None,
) -> None:
    """Make a key and show it, once.

    From the first key on the service asks every client for one, on this machine too. A key works within a few seconds.
    """
    from holdfast.rag.records.keys import make_key

    async def add(records: "Records") -> str:
        now = datetime.now(UTC).timestamp()
        until = None if expires is None else now + expires * _DAY_SECONDS
        key, secret = make_key(name, now=now, expires_at=until)
        await records.call(records.keys.add, key)
        return secret

    print_result(_with_records(context, add))
    note("This is the only time that the key is shown: keep it where secrets are kept.")
    note("Clients send it as the header “Authorization: Bearer KEY” or “x-api-key: KEY”.")


@keys.command(name="list")
def list_keys(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the keys as JSON; times are Unix seconds.")] = False,
) -> None:
    """Show all keys: how they begin, when they were used last, and whether they work."""

    async def read(records: "Records") -> "Sequence[ApiKey]":
        return await records.call(records.keys.keys)

    found = _with_records(context, read)
    now = datetime.now(UTC).timestamp()
    if as_json:
        print_json({"keys": [_as_json(key, now) for key in found]})
    elif found:
        _print_table(found, now)
    else:
        note("There are no keys yet: `holdfast keys create NAME` makes one.")


@keys.command()
def revoke(
    context: typer.Context,
    key: Annotated[
        str, typer.Argument(metavar="NAME_OR_PREFIX", help="The key's name, or how it begins.", show_default=False)
    ],
    delete: Annotated[
        bool, typer.Option("--delete", help="Forget the key altogether, and do not only refuse it.")
    ] = False,
) -> None:
    """Refuse a key from now on.

    A service that runs stops taking it within a few seconds. A revoked key stays in the list.
    """
    from holdfast.rag.records.keys import find_key

    async def end(records: "Records") -> str:
        found = find_key(await records.call(records.keys.keys), key)
        if delete:
            await records.call(records.keys.delete, found.digest)
        else:
            await records.call(records.keys.revoke, found.digest, at=datetime.now(UTC).timestamp())
        return f"{found.name} ({found.prefix}…) is {'deleted' if delete else 'revoked'}."

    print_result(_with_records(context, end))


def _with_records(context: typer.Context, work: "Callable[[Records], Awaitable[T]]") -> T:
    import asyncio

    options: Options = context.obj
    return asyncio.run(_run(options.settings(), work))


async def _run(settings: "Settings", work: "Callable[[Records], Awaitable[T]]") -> T:
    from holdfast.errors import RetriesExhaustedError, StoreError
    from holdfast.rag.records.build import opened_records

    async with opened_records(settings) as records:
        try:
            return await work(records)
        except RetriesExhaustedError as error:
            if isinstance(error.__cause__, StoreError):
                raise error.__cause__ from error  # what failed matters, not how often it was tried
            raise


def _print_table(found: "Sequence[ApiKey]", now: float) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("name", "key", "state", "made", "last used", "expires"):
        table.add_column(heading, no_wrap=heading != "name")
    for key in found:
        state = _state(key, now)
        table.add_row(
            Text(plain(key.name)),
            f"{key.prefix}…",
            Text(state, style="green" if state == "works" else "red"),
            _date(key.created_at),
            _date(key.last_used_at, "never"),
            _date(key.expires_at, "never"),
        )
    Console().print(table)


def _state(key: "ApiKey", now: float) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "works" if key.usable(now) else "expired"


def _date(seconds: float | None, otherwise: str = "") -> str:
    return otherwise if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _as_json(key: "ApiKey", now: float) -> dict[str, object]:
    from dataclasses import asdict

    fields = asdict(key)
    del fields["digest"]
    return {**fields, "state": _state(key, now)}
