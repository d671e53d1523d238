"""The matrix for people: a page of the documentation."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

from benchmarks.fault_matrix.cells import NO_FAULT, Asked, Outcome, Setup, applies, run
from benchmarks.fault_matrix.lines import FAMILIES, KEY_LINES, all_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.fault_matrix.cells import Cell
    from benchmarks.fault_matrix.lines import Line

__all__ = ["every_cell", "page"]

_SYMBOLS = {
    Outcome.ANSWER: "✓",
    Outcome.SECOND: "②",
    Outcome.CONTINUED: "⊕",
    Outcome.WRONG: "≠",
    Outcome.LABELLED: "◐",
    Outcome.ERROR: "✗",
    Outcome.INTERRUPTED: "✂",
}
_MEANINGS = {
    Outcome.ANSWER: "The whole answer, from the first provider: at once, or after its fault had passed.",
    Outcome.SECOND: "The whole answer, from the second provider. **The caller notices nothing but the time.**",
    Outcome.CONTINUED: "The whole answer, begun by the first provider and ended by the second, no word twice.",
    Outcome.WRONG: "An answer, and something in it is wrong that nobody can see.",
    Outcome.LABELLED: "A part of an answer whose finish reason, `content_filter`, says that it is one.",
    Outcome.ERROR: "An error, and not a character before it.",
    Outcome.INTERRUPTED: "A part of the answer, then `StreamInterruptedError`, which carries it. Never a silent end.",
}
_STREAMS = (Asked.CHAT_STREAM, Asked.MESSAGES_STREAM)

_TOP = """# Fault matrix

<!-- Generated: python -m benchmarks.fault_matrix --write. tests/unit/llm/test_fault_matrix.py compares it. -->

What a caller gets for every fault of the [simulator](simulator.md#faults), in each protocol, with the default options
of a route. It is played on a clock that does not wait, by the client, the protocols and the timers that run in
production. The first provider has the fault in every call. Why it is so is told in
[failing over](../explanation/failing-over.md).
"""

_KEY = """
A cell reads: what the caller gets, *calls to the faulty provider + calls to the other one*, and the seconds until the
answer was whole or the error was there.
"""

_SECOND = """
## With a healthy second provider

Every fault that can be seen, that is the provider's, and that comes before the first token is ②: nobody notices. The
time is that of one request; after the fifth failure in a row the breaker is open, and the faulty provider is not asked
any more. Where a line is not ②, the reason stands below its table.
"""

_SOLE = """
## With a sole provider

Nobody else can be asked, so that the same provider is asked again where that may help, at the pace of the retry policy,
and at most as long as the deadline allows (chats 60 s, vectors 30 s). The fault stays, so that this is the worst case;
one that passes is ✓ at the next try. The last column is what is raised, with the error behind it.
"""

_CONTINUED = """
## Streams that may be continued

With a healthy second provider and `continue_streams`. All other lines are as above.
"""

_BOTH = """
## When both providers have the fault

The limits for one question hold: six calls in all, one deadline. While one provider is asked, the other's wait passes.
"""

_KEYS = """
## One key of two

A sole provider with two keys, of which the one that is asked first has the fault. Calls are told by key.
"""


def every_cell() -> Iterator[Cell]:
    """All cells, in the order of the page."""
    for setup in (Setup.SECOND, Setup.SOLE, Setup.CONTINUED, Setup.BOTH):
        for line in all_lines():
            yield from _cells(line, setup)
    for line in KEY_LINES:
        yield from _cells(line, Setup.KEYS)


def page() -> str:
    """The page, in Markdown."""
    return "\n".join(_parts()).replace("\n\n\n", "\n\n")


def _parts() -> Iterator[str]:
    yield _TOP
    yield from _table(("", "meaning"), ((_SYMBOLS[each], _MEANINGS[each]) for each in Outcome))
    yield _KEY
    yield from _matrix([NO_FAULT], Setup.SECOND)
    yield _SECOND
    for family in FAMILIES:
        yield f"### {family.name}\n\n{fill(family.says, 120)}\n"
        yield from _matrix(family.lines, Setup.SECOND)
        yield ""
        yield from (f"- *{line.says}*: {line.visible}" for line in family.lines if line.visible)
        yield ""
    yield _SOLE
    for family in FAMILIES:
        yield f"### {family.name}, sole provider\n"
        yield from _matrix(family.lines, Setup.SOLE, errors=True)
        yield ""
    yield _CONTINUED
    yield from _matrix(list(_changed_by_continuing()), Setup.CONTINUED, columns=_STREAMS)
    yield _BOTH
    yield from _matrix([line for line in all_lines() if _fails(line)], Setup.BOTH)
    yield _KEYS
    yield from _matrix(KEY_LINES, Setup.KEYS)


def _matrix(
    lines: Sequence[Line], setup: Setup, *, columns: Sequence[Asked] = tuple(Asked), errors: bool = False
) -> Iterator[str]:
    used = [asked for asked in columns if any(applies(line, asked) for line in lines)]
    rows = []
    for line in lines:
        cells = [run(line, asked, setup) if applies(line, asked) else None for asked in used]
        row = [line.says, *("" if cell is None else _shown(cell) for cell in cells)]
        if errors:
            row.append("; ".join(dict.fromkeys(cell.error for cell in cells if cell is not None and cell.error)))
        rows.append(row)
    yield from _table(["fault", *used, *(["raised"] if errors else [])], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _shown(cell: Cell) -> str:
    seconds = f"{cell.seconds:.1f}".removesuffix(".0")
    return f"{_SYMBOLS[cell.outcome]} {cell.first}+{cell.other} {seconds} s"


def _cells(line: Line, setup: Setup) -> Iterator[Cell]:
    for asked in _STREAMS if setup is Setup.CONTINUED else Asked:
        if applies(line, asked):
            yield run(line, asked, setup)


def _changed_by_continuing() -> Iterator[Line]:
    for line in all_lines():
        if any(cell.outcome is Outcome.INTERRUPTED for cell in _cells(line, Setup.SECOND)):
            yield line


def _fails(line: Line) -> bool:
    """Whether the second provider is asked at all when the first one has the fault."""
    return any(cell.other for cell in _cells(line, Setup.SECOND))
