"""``holdfast serve``: the HTTP API and the page."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.output import note

if TYPE_CHECKING:
    from holdfast.cli.options import Options

__all__ = ["serve"]


def serve(
    context: typer.Context,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The address to listen on. [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="The port to listen on; 0 takes any free one. [default: 8000]")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR. [default: INFO]")
    ] = None,
) -> None:
    """Answer questions over HTTP, with a page to ask them on.

    Runs until Ctrl-C or SIGTERM, and finishes what is under way before it ends.
    """
    from holdfast.server.run import serve as run

    options: Options = context.obj
    run(options.settings(host=host, port=port, log_level=log_level), ready=_announce)


def _announce(address: str) -> None:
    # elsewhere stderr is a log of one JSON object a line, which has this line already
    if sys.stderr.isatty():
        note(f"Holdfast answers on {address} - open it in a browser, or POST {address}/v1/query. Ctrl-C stops it.")
