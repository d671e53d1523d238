"""``holdfast search``: the passages that fit a question, without an answer."""

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.output import note, print_json, print_result, warn

if TYPE_CHECKING:
    from holdfast.cli.options import Options
    from holdfast.rag.settings import Settings
    from holdfast.rag.types import SearchResult

__all__ = ["search"]


def search(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="What to look for, in quotes.", show_default=False)],
    collection: Annotated[str | None, typer.Option(metavar="NAME", help="The collection to search.")] = None,
    top_k: Annotated[int | None, typer.Option("--top-k", "-k", metavar="N", help="How many passages, 1 to 50.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the passages as JSON, as the HTTP API gives them.")
    ] = False,
) -> None:
    """Show the passages that fit a question best, without an answer."""
    import asyncio

    from holdfast.cli.render import hit_lines, search_json

    options: Options = context.obj
    result = asyncio.run(_search(options.settings(collection=collection, top_k=top_k), question))
    if as_json:
        print_json(search_json(result))
        return
    for number, hit in enumerate(result.hits, start=1):
        for line in hit_lines(number, hit):
            print_result(line)
    if not result.hits:
        note("Nothing fits. `holdfast ingest PATH` adds documents.")
    if result.reasons:
        warn(f"This is less than it could be: {', '.join(result.reasons)}.")


async def _search(settings: "Settings", question: str) -> "SearchResult":
    from holdfast.cli.session import opened
    from holdfast.rag.query import Query

    query = Query(question=question, collection=settings.collection)
    async with opened(settings, create=False) as engine:
        return await engine.search(query)
