"""The command ``holdfast``.

Results go to stdout; progress, notes and errors go to stderr. Exit codes: 0 done; 1 failed; 2 the command, a setting or
the input is wrong; 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what stands after ``holdfast``; None takes the process's own.

    Returns:
        the exit code.
    """
    try:
        from holdfast.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"typer", "rich"}:
            raise
        print(  # noqa: T201 - the terminal's own way to print is what is missing
            "holdfast: the command line needs packages that are not installed: pip install 'holdfast[service]'",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130
    return run(sys.argv[1:] if arguments is None else list(arguments))
