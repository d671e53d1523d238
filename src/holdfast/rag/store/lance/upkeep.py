"""Tidying the table up: small files become large ones, what is new goes into the indexes, old versions go.

Every put makes some small files, and a search looks at each of them until they are taken together. That costs more the
larger the table is, for LanceDB writes it anew; so it is not done after so many puts alone, but takes a tenth of the
time at most. One process does it at a time, under a lock of its own, and under that of writers, who wait: a
writer that commits while LanceDB compacts would make hours of work void, and leave its files behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lancedb.index import IvfRq, IvfSq

from holdfast.errors import ConfigError
from holdfast.rag.store.lance.layout import EMPTY, vector_columns

if TYPE_CHECKING:
    from holdfast.rag.store.lance.home import Home, Snapshot

__all__ = ["Pace", "UpkeepOptions", "is_untidy", "make_vector_indexes", "tidy_up", "vectors_to_index"]

_SHARE = 10  # of the time, one part
_FILES, _ROWS = 8, 1_000  # from so many on it is worth the work
_PARTS = 16  # every time the table is tidied up an index of vectors gets one more, and each is searched
_BITS = 8  # one bit a number, in whole bytes: else a byte a number
_LATEST = 8  # times ``after_commits``: then it is done however long it takes


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepOptions:
    """When the table is tidied up.

    Attributes:
        after_commits: changes after which it is due, at least 1; default 64. It is put off while it would take more
            than a tenth of the time, up to eight times as many.
        every: seconds after which fewer changes are looked at too, above 0; default 30.
        keep_versions: seconds for which files of older versions stay, for those who still read them, above 0;
            default 60. What was deleted is on the disk for so long.
    """

    after_commits: int = 64
    every: float = 30.0
    keep_versions: float = 60.0

    def __post_init__(self) -> None:
        if self.after_commits < 1:
            raise ConfigError("after_commits", self.after_commits, "must be at least 1")
        if not self.every > 0:
            raise ConfigError("every", self.every, "must be above 0 seconds")
        if not self.keep_versions > 0:
            raise ConfigError("keep_versions", self.keep_versions, "must be above 0 seconds")


class Pace:
    """Counts changes, and says when the table is to be tidied up.

    Attributes:
        commits: changes since it was.
    """

    def __init__(self, after_commits: int) -> None:
        self._after = after_commits
        self.commits = 0
        self._last_end_ns: int | None = None
        self._last_took_ns = 0
        self._leaves_files = True  # whoever was here before may have left some

    def committed(self, now_ns: int) -> bool:
        """Count a change; whether it is time."""
        self.commits += 1
        return self.commits >= self._after and (
            self._last_end_ns is None
            or self.commits >= _LATEST * self._after
            or now_ns - self._last_end_ns >= (_SHARE - 1) * self._last_took_ns
        )

    def may_clean(self, now_ns: int, keep_ns: int) -> bool:
        """Whether the files that the last time replaced may go now: nobody wrote since, and nobody reads them."""
        if self.commits or not self._leaves_files:
            return False
        return self._last_end_ns is None or now_ns - self._last_end_ns >= keep_ns

    def done(self, began_ns: int, now_ns: int, *, changed: bool) -> None:
        """The table was tidied up, and is another version now if that ``changed`` anything."""
        self.commits = 0
        self._last_end_ns, self._last_took_ns = now_ns, now_ns - began_ns
        self._leaves_files = changed


def is_untidy(snapshot: Snapshot) -> bool:
    """Whether there are so many small files, or rows in no index, that questions are answered slower."""
    if snapshot.figures["fragment_stats"]["num_fragments"] >= _FILES:
        return True
    words = snapshot.table.index_stats("words")
    return words is not None and words.num_unindexed_rows >= _ROWS


def tidy_up(home: Home, keep_versions: float) -> bool:
    """Do it; whether there was anything to take together. Only for who holds the lock of writers.

    Nobody's unfinished files are there then but those of processes that are gone, and they go too.
    """
    table = home.writable()
    before = table.version
    if table.count_rows(f"kind = {EMPTY}"):
        table.delete(f"kind = {EMPTY}")
    table.optimize(cleanup_older_than=timedelta(seconds=keep_versions), delete_unverified=home.is_local)
    return table.version != before


def vectors_to_index(snapshot: Snapshot, threshold: int) -> list[str]:
    """The columns of vectors that have so many and no index, or one of too many parts."""
    indexes = {index.name: index for index in snapshot.table.list_indices()}
    return [
        column
        for column in vector_columns(snapshot.schema)
        if ((indexes[column].num_segments or 1) >= _PARTS if column in indexes else _has(snapshot, column, threshold))
    ]


def make_vector_indexes(home: Home, columns: list[str]) -> None:
    """Index vectors for approximate search, anew where there is an index; writers may write meanwhile."""
    table = home.writable()
    for column in columns:
        dimension = table.schema.field(column).type.list_size
        config = IvfRq(distance_type="dot") if dimension % _BITS == 0 else IvfSq(distance_type="dot")
        table.create_index(column, config=config, name=column)


def _has(snapshot: Snapshot, column: str, threshold: int) -> bool:
    return snapshot.count(f"{column} IS NOT NULL") >= threshold
