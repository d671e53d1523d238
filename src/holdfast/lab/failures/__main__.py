"""``python -m holdfast.lab.failures --docs docs``: write plots and figures of the failures into the documentation.

``holdfast lab failures`` plays them to look at.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.errors import ConfigError
from holdfast.lab.failures.pages import documents
from holdfast.lab.failures.registry import failures

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_SEED = 7


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what is named, broken and fixed, and write plots and figures into the documentation. Gives the exit code."""
    known = failures()
    parser = argparse.ArgumentParser(prog="python -m holdfast.lab.failures", description=main.__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"one of {', '.join(known)}; none: all of them")
    parser.add_argument("--docs", type=Path, metavar="FOLDER", required=True, help="the documentation's folder")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"there is no failure {unknown[0]}; there are {', '.join(known)}")
    for failure in [known[name] for name in options.names or known]:
        played = failure.both(_SEED)
        try:
            files = list(documents(options.docs, failure, played.broken, played.fixed))
        except ConfigError as error:
            parser.error(str(error))
        for path, text in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
