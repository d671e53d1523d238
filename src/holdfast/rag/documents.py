"""Documents on disk: which files there are to ingest, and what each is called."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from holdfast.rag.identity import content_hash, document_id_for
from holdfast.rag.loaders import Problem, is_supported, supported_suffixes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["FoundFile", "Ignored", "WalkItem", "content_hash", "document_id_for", "walk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file that can be ingested.

    Attributes:
        path: where to read it.
        identity: its resolved absolute path: the same file has the same identity from whichever folder one starts.
            What :func:`document_id_for` takes.
        uri: how it is shown: ``<root folder's name>/<relative path>``, or the prefix and the relative path.
        size: bytes, when it was found.
    """

    path: Path
    identity: str
    uri: str
    size: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """How many files a walk passed over because there is no loader for them, by ending (``""``: none). Comes last."""

    by_suffix: dict[str, int] = field(default_factory=dict)


WalkItem: TypeAlias = FoundFile | Problem | Ignored


def walk(paths: Sequence[str | os.PathLike[str]], *, uri_prefix: str = "") -> Iterator[WalkItem]:
    """The files under ``paths``, folders recursively, in sorted order; blocks on the file system.

    Hidden files and folders (``.git`` and the other version control folders among them) are skipped, unless they are
    named themselves. A symbolic link is followed when its target lies inside the folder that was named, and each file
    comes once, however many paths lead to it.

    Args:
        paths: files and folders. A file that is named must have a known ending; in folders, others are counted.
        uri_prefix: what uris begin with in place of the root folder's name, e.g. ``"https://docs.example.com/"``.

    Yields:
        A :class:`FoundFile` for each file that can be ingested; a :class:`Problem` for each path that is missing, each
        folder and file that cannot be read, each named file with an unknown ending; and, last, one :class:`Ignored`
        when files were passed over.
    """
    walker = _Walker(uri_prefix)
    for path in paths:
        yield from walker.start(Path(path))
    if walker.ignored:
        yield Ignored(dict(sorted(walker.ignored.items())))


class _Walker:
    """One walk: what it has seen and what it passed over."""

    def __init__(self, uri_prefix: str) -> None:
        self.ignored: Counter[str] = Counter()
        self._prefix = uri_prefix
        self._seen: set[Path] = set()

    def start(self, named: Path) -> Iterator[WalkItem]:
        """What is at a path that the caller named."""
        shown = _printable(str(named))
        try:
            root = named.resolve(strict=True)
            is_folder = root.is_dir()
        except FileNotFoundError:
            yield Problem(shown, "There is no such file or folder. Check the path.")
            return
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links; ValueError: a NUL inside
            yield Problem(shown, f"It cannot be reached ({_cause(error)}). Check the path and its permissions.")
            return
        if is_folder:
            yield from self._folder(root)
        elif is_supported(root.name):
            yield from self._file(root, root.parent)
        else:
            known = ", ".join(supported_suffixes())
            yield Problem(shown, f"There is no loader for this ending. Convert it to one of: {known}.")

    def _folder(self, root: Path) -> Iterator[WalkItem]:
        waiting = [root]  # a stack, not recursion: folders may be nested deeper than calls may
        while waiting:
            path = waiting.pop()
            uri = self._uri(path, root)
            try:
                real = path.resolve(strict=True)
                is_folder = real.is_dir()
            except (OSError, RuntimeError) as error:
                yield Problem(uri, f"It cannot be reached ({_cause(error)}). Repair or remove it.")
                continue
            if not real.is_relative_to(root):
                yield Problem(uri, "It is a link that leads out of the folder. To ingest its target, name that itself.")
            elif is_folder:
                try:
                    waiting += self._entries(real)
                except OSError as error:
                    yield Problem(uri, f"This folder cannot be listed ({_cause(error)}). Check its permissions.")
            elif is_supported(real.name):
                yield from self._file(real, root)
            else:
                self.ignored[real.suffix.lower()] += 1

    def _entries(self, folder: Path) -> list[Path]:
        """What is in a folder, last first; nothing if it was listed before."""
        if not self._is_new(folder):
            return []
        return [path for path in sorted(folder.iterdir(), reverse=True) if not path.name.startswith(".")]

    def _file(self, real: Path, root: Path) -> Iterator[WalkItem]:
        if not self._is_new(real):
            return
        uri = self._uri(real, root)
        try:
            size = real.stat().st_size
            readable = real.is_file() and os.access(real, os.R_OK)
        except OSError as error:
            yield Problem(uri, f"It cannot be read ({_cause(error)}). Check its permissions.")
            return
        if readable:
            yield FoundFile(path=real, identity=str(real), uri=uri, size=size)
        else:
            yield Problem(uri, "It is not a regular file, or you have no right to read it. Check its permissions.")

    def _is_new(self, real: Path) -> bool:
        if real in self._seen:
            return False
        self._seen.add(real)
        return True

    def _uri(self, path: Path, root: Path) -> str:
        relative = path.relative_to(root).as_posix()
        first = self._prefix or (f"{root.name}/" if root.name else "")
        return _printable(first + ("" if relative == "." else relative))


def _printable(path: str) -> str:
    """A path whose bytes are not UTF-8 cannot be stored as text: those bytes become replacement characters."""
    return os.fsencode(path).decode("utf-8", "replace")


def _cause(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
