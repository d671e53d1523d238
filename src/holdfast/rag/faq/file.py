"""Reads ``faq.toml``. Everything that is wrong with it is told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.errors import ConfigError
from holdfast.llm.tables import Problem, Problems, Table, TableError, read_toml
from holdfast.rag.faq.entries import FaqEntry, collection_name

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_BYTES", "MAX_ENTRIES", "read_faq"]

MAX_BYTES = 1024 * 1024
"""The largest file that is read."""
MAX_ENTRIES = 1_000
"""The most entries that are taken: what is longer is a knowledge base, and belongs into the store."""

_TOP_KEYS = ("collection", "faq")
_ENTRY_KEYS = ("id", "questions", "answer", "keywords", "uri", "collection")
_NEEDED = ("id", "questions", "answer")


def read_faq(path: Path) -> tuple[FaqEntry, ...]:
    """The entries of a file, in its order.

    At the top, ``collection`` holds for all entries that name none. Blocks while it reads.

    Raises:
        TableError: (a ``ConfigError``) the file cannot be read, is too large, or something in it is wrong; with file,
            entry, field and rule of everything that is.
    """
    _check_size(path)
    problems = Problems(str(path))
    top = Table("", read_toml(path), problems)
    top.only(_TOP_KEYS)
    listed = top.content.get("faq", [])
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_ENTRIES:
        shown = len(listed) if isinstance(listed, list) else listed
        top.add("faq", shown, f"must be 1 to {MAX_ENTRIES:,} entries, each under a line [[faq]]")
        listed = []
    collection = top.take("collection", collection_name)
    seen: dict[str, int] = {}
    entries = [_entry(number, each, collection, seen, problems) for number, each in enumerate(listed, start=1)]
    problems.refuse()
    return tuple(entry for entry in entries if entry is not None)


def _check_size(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError:
        return  # reading it says what is wrong
    if size > MAX_BYTES:
        rule = f"the file has {size:,} bytes; at most {MAX_BYTES:,} are read"
        raise TableError(str(path), [Problem(path="file", value=None, rule=rule)])


def _entry(
    number: int,
    content: Any,  # noqa: ANN401
    collection: str | None,
    seen: dict[str, int],
    problems: Problems,
) -> FaqEntry | None:
    place = f"faq[{number}]"
    if not isinstance(content, dict):
        problems.add(place, content, "must be a table: write [[faq]] above its keys")
        return None
    name = content.get("id")
    table = Table(f"{place} ({name})" if isinstance(name, str) and name else place, content, problems)
    before = len(problems.found)
    table.only(_ENTRY_KEYS)
    for key in _NEEDED:
        if key not in table:
            table.add(key, None, "is missing")
    if isinstance(name, str) and seen.setdefault(name, number) != number:
        table.add("id", name, f"is the id of faq[{seen[name]}] already")
    if len(problems.found) > before:
        return None
    try:
        return FaqEntry(**{"collection": collection, **content})
    except ConfigError as error:
        problems.add(f"{table.path}.{error.field}", error.value, error.rule)
        return None
