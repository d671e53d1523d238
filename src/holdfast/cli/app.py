"""The commands put together, and what becomes of an error."""

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast import __version__
from holdfast.cli.ask import ask
from holdfast.cli.chat.command import chat
from holdfast.cli.eval import evaluate
from holdfast.cli.ingest import ingest
from holdfast.cli.keys import keys
from holdfast.cli.lab import lab
from holdfast.cli.model import model
from holdfast.cli.options import Options
from holdfast.cli.output import complain
from holdfast.cli.search import search
from holdfast.cli.serve import serve
from holdfast.cli.simulate import simulate
from holdfast.errors import ConfigError, HoldfastError, InvalidInputError, MissingExtraError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "exit_code_of", "run"]

_HELP = """
Answers questions from your documents, with citations, and keeps answering when parts of it fail.

Everything runs on this machine: no key and no server are needed. The first three commands:

  [bold]holdfast ingest --sample[/bold]   loads a sample; `ingest FOLDER` loads yours

  [bold]holdfast ask "How do I return an item?"[/bold]   answers, with sources

  [bold]holdfast serve[/bold]   does it over HTTP, with a page to ask on
"""

_EPILOG = (
    "Settings come from holdfast.toml in this folder and from variables such as HOLDFAST_PORT and HOLDFAST_DATA_DIR. "
    "`holdfast COMMAND --help` tells more about a command."
)

app = typer.Typer(
    name="holdfast",
    help=_HELP,
    epilog=_EPILOG,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

_MAIN, _MORE = "Documents and questions", "Quality and setup"
app.command(rich_help_panel=_MAIN)(ingest)
app.command(rich_help_panel=_MAIN)(ask)
app.command(rich_help_panel=_MAIN)(chat)
app.command(rich_help_panel=_MAIN)(search)
app.command(rich_help_panel=_MAIN)(serve)
app.command(name="eval", rich_help_panel=_MORE)(evaluate)
app.add_typer(keys, name="keys", rich_help_panel=_MORE)
app.command(rich_help_panel=_MORE)(model)
app.command(rich_help_panel=_MORE)(simulate)
app.add_typer(lab, name="lab", rich_help_panel=_MORE)


@app.callback(invoke_without_command=True)
def _holdfast(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The settings file, instead of holdfast.toml in this folder.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the stack trace when something fails.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    options: Options = context.obj
    options.config, options.debug = config, debug
    if version:
        typer.echo(f"holdfast {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def exit_code_of(error: HoldfastError) -> int:
    """2 when the user can mend it in the command, the settings or the input; 1 for every other failure."""
    return 2 if isinstance(error, ConfigError | InvalidInputError | NotFoundError) else 1


def run(arguments: "Sequence[str]") -> int:
    """Run a command line and return its exit code; every error becomes a sentence."""
    options = Options()
    command = typer.main.get_command(app)
    try:
        return command(args=list(arguments), prog_name="holdfast", obj=options, standalone_mode=False) or 0
    except SystemExit as done:  # the reader of stdout has gone away
        return done.code if isinstance(done.code, int) else 1
    except Exception as error:  # noqa: BLE001 - the end of the line: a user gets a sentence, not a stack trace
        if options.debug:
            traceback.print_exc(file=sys.stderr)
        sentence, code = _sentence(error)
        complain(sentence)
        return code


def _sentence(error: Exception) -> tuple[str, int]:
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "holdfast"
        message = error.format_message()
        end = "" if message.endswith((".", "?")) else "."
        return f"{message}{end} `{path} --help` shows what there is.", error.exit_code
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] != "holdfast":
        error = MissingExtraError(f"this command ({error.name})", "service")
    if isinstance(error, HoldfastError):
        return str(error), exit_code_of(error)
    return f"this should not have happened: {type(error).__name__}: {error} (`holdfast --debug ...` shows where)", 1
