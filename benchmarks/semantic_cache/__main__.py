"""Measure the semantic cache: hits on questions that are the same, false hits on questions that only look alike.

    .venv/bin/python -m benchmarks.semantic_cache --json benchmarks/results/semantic_cache.json

Takes the pairs in pairs.jsonl and the local embedding model (`holdfast model`), in seconds. A pair is a hit when the
cosine of its questions reaches the threshold and, with the guard, their words agree. The pairs of the set
"written_before" were written before the guard, and its lists of synonyms were made with them in view. Those of
"written_after" and "written_last" were written to break it once it was finished: the first time it was measured on
them, 0 of 50 and 2 of 32 were false hits at a cosine of 0.95 ("Who is the US president?", "Who is us president?"). It
was mended for these. Those of "written_unseen" were written after that, and nothing was mended for them: they measure
what to expect. Whoever mends the guard for one of them writes new pairs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from holdfast.core.blocking import ThreadBlocking
from holdfast.llm.local.manifest import default_model_dir
from holdfast.llm.local.minilm import MiniLMEmbedder
from holdfast.rag.caching.sameness import difference, read
from holdfast.rag.caching.semantic import DEFAULT_THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.llm.embedding import Embedder

PAIRS = Path(__file__).with_name("pairs.jsonl")
THRESHOLDS = (0.0, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions, whether they are the same one, and what was measured of them."""

    a: str
    b: str
    same: bool
    kind: str
    set: str
    cosine: float
    difference: str | None

    def found(self, threshold: float, *, guarded: bool) -> bool:
        """Whether the cache would take one for the other."""
        return self.cosine >= threshold and not (guarded and self.difference)


async def measured(embedder: Embedder) -> list[Pair]:
    """Every pair with its cosine and what the guard says."""
    rows = [json.loads(line) for line in PAIRS.read_text("utf-8").splitlines()]
    left = await embedder.embed([row["a"] for row in rows], kind="query")
    right = await embedder.embed([row["b"] for row in rows], kind="query")
    cosines = (left * right).sum(axis=1).tolist()
    return [
        Pair(**row, cosine=cosine, difference=difference(read(row["a"]), read(row["b"])))
        for row, cosine in zip(rows, cosines, strict=True)
    ]


def share(found: Sequence[bool]) -> float | None:
    """How many were found, of 1; None where there were none to find."""
    return round(sum(found) / len(found), 3) if found else None


def rates(pairs: Sequence[Pair], threshold: float, *, guarded: bool) -> dict[str, Any]:
    """Hits among the pairs that are the same, and false hits among those that are not."""
    same = [pair.found(threshold, guarded=guarded) for pair in pairs if pair.same]
    other = [pair.found(threshold, guarded=guarded) for pair in pairs if not pair.same]
    return {
        "threshold": threshold,
        "guarded": guarded,
        "same": len(same),
        "hits": sum(same),
        "hit_rate": share(same),
        "different": len(other),
        "false_hits": sum(other),
        "false_hit_rate": share(other),
    }


def report(pairs: Sequence[Pair]) -> dict[str, Any]:
    """All figures, by set, threshold and kind of pair."""
    sets = {"all": list(pairs)} | {
        name: [pair for pair in pairs if pair.set == name] for name in sorted({pair.set for pair in pairs})
    }
    unguarded = Counter(pair.kind for pair in pairs if not pair.same and pair.found(DEFAULT_THRESHOLD, guarded=False))
    return {
        "machine": {"python": platform.python_version()},
        "command": "python -m benchmarks.semantic_cache",
        "sets": {
            name: [rates(some, threshold, guarded=guarded) for guarded in (False, True) for threshold in THRESHOLDS]
            for name, some in sets.items()
        },
        "false_hits_without_guard_by_kind": dict(unguarded.most_common()),
        "false_hits": [
            {"a": pair.a, "b": pair.b, "cosine": round(pair.cosine, 3)}
            for pair in pairs
            if not pair.same and pair.found(0.0, guarded=True)
        ],
    }


def show(figures: dict[str, Any]) -> None:
    """Print the tables."""
    console = Console()
    for name, rows in figures["sets"].items():
        same, different = rows[0]["same"], rows[0]["different"]
        table = Table(title=f"{name}: {same} the same, {different} different", title_justify="left")
        for column in ("guard", "cosine from", "hits", "false hits"):
            table.add_column(column, justify="left" if column == "guard" else "right")
        for row in rows:
            table.add_row(
                "words" if row["guarded"] else "none",
                f"{row['threshold']:.2f}",
                "" if row["hit_rate"] is None else f"{row['hits']} ({row['hit_rate']:.0%})",
                "" if row["false_hit_rate"] is None else f"{row['false_hits']} ({row['false_hit_rate']:.0%})",
            )
        console.print(table)
    for pair in figures["false_hits"]:
        console.print(f"the words do not tell apart: {pair['a']} | {pair['b']} (cosine {pair['cosine']})", markup=False)


async def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    blocking = ThreadBlocking(max_workers=2)
    try:
        figures = report(await measured(MiniLMEmbedder(default_model_dir(), blocking=blocking)))
    finally:
        await blocking.close()
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    asyncio.run(main())
