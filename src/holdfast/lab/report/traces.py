"""One hash for all runs: two reports with the same one are of the same events, whatever machine made them."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.lab.runs.outcome import Outcome

__all__ = ["trace_of"]

_BYTES = 16


def trace_of(runs: Iterable[Outcome]) -> str:
    """The hash of the traces of some runs, whatever order they come in; empty of none."""
    lines = sorted(f"{run.scenario}\n{run.configuration}\n{run.rate}\n{run.seed}\n{run.trace}" for run in runs)
    return (
        blake2b("\0".join(lines).encode("utf-8", "backslashreplace"), digest_size=_BYTES).hexdigest() if lines else ""
    )
