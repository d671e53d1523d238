"""``holdfast ask``: one question, one answer with its citations."""

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.output import note, print_json, print_piece, print_result, warn

if TYPE_CHECKING:
    from holdfast.cli.options import Options
    from holdfast.rag.settings import Settings
    from holdfast.rag.types import Answer

__all__ = ["ask"]


def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="The question, in quotes.", show_default=False)],
    collection: Annotated[str | None, typer.Option(metavar="NAME", help="The collection to ask.")] = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", "-k", metavar="N", help="How many passages the answer rests on, 1 to 50.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole answer as JSON, as the HTTP API gives it.")
    ] = False,
) -> None:
    """Ask a question and get an answer with its sources, as it is written.

    "I don't know" is an answer too: the exit code is 0.
    """
    import asyncio

    from holdfast.cli.render import answer_json, answer_note, citation_lines

    options: Options = context.obj
    settings = options.settings(collection=collection, top_k=top_k)
    answer = asyncio.run(_ask(settings, question, show=not as_json))
    if as_json:
        print_json(answer_json(answer))
        return
    print_result()  # ends the line of the answer's last piece
    for line in citation_lines(answer):
        print_result(line)
    if answer.notice:
        warn(answer.notice)
    note(answer_note(answer))


async def _ask(settings: "Settings", question: str, *, show: bool) -> "Answer":
    from contextlib import aclosing

    from holdfast.cli.session import opened
    from holdfast.rag.query import Query

    query = Query(question=question, collection=settings.collection)
    async with opened(settings, create=False) as engine:
        if not show:
            return await engine.ask(query)
        async with aclosing(engine.stream(query)) as items:
            async for item in items:
                if not isinstance(item, str):
                    return item
                print_piece(item)
    raise AssertionError("the last item is the answer")
