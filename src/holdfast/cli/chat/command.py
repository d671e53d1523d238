"""The command itself: its options, and the session that follows from them."""

from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    from holdfast.cli.options import Options

__all__ = ["chat"]


def chat(
    context: typer.Context,
    conversation: Annotated[
        str | None, typer.Option(metavar="ID", help="Go on with this conversation.", show_default=False)
    ] = None,
    last: Annotated[bool, typer.Option("--continue", "-c", help="Go on with the last conversation.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Begin a new conversation; so it is without an option.")] = False,
    collection: Annotated[str | None, typer.Option(metavar="NAME", help="The collection to ask.")] = None,
) -> None:
    """Talk with an assistant that answers from your documents and remembers what was said.

    `help` lists the commands; `test` breaks parts of the service on purpose and shows what it does about it. Ctrl-C
    stops an answer, Ctrl-D leaves.
    """
    from holdfast.cli.chat.backstage import Backstage
    from holdfast.cli.chat.prompt import lines_of
    from holdfast.cli.chat.session import Session
    from holdfast.cli.chat.view import view_for

    if sum((conversation is not None, last, new)) > 1:
        raise InvalidInputError(
            "--conversation", "goes neither with --continue nor with --new: choose one of the three"
        )
    options: Options = context.obj
    settings = options.settings(collection=collection, fault_injection=True)
    view = view_for()
    with Backstage(settings) as backstage:
        session = Session(backstage, settings, view, lines_of(view))
        session.begin(conversation, last=last)
        session.run()
