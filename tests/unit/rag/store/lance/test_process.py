"""Several processes on one LanceDB table, and processes that are killed."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.rag.types import Scope
from holdfast.testing.store_samples import EMBEDDER, sample_vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.rag.store.lance import LanceStore

pytestmark = pytest.mark.process

_ROUNDS = 3


def _writer(folder: Path, name: str) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("writing_process.py")
    return subprocess.Popen([sys.executable, script, folder, name], stdout=subprocess.PIPE, text=True)


def _lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


async def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(
    tmp_path: Path, make_store: Callable[..., LanceStore], audit: Callable[[Path], dict[str, int]]
) -> None:
    """After each of several kills every document is whole, none is there twice, and what was reported is there."""
    rng = random.Random(7)
    reader = make_store(tmp_path)
    generation = 0
    chunks: dict[str, int] = {}
    for round_number in range(_ROUNDS):
        with _writer(tmp_path, f"r{round_number}-") as process:
            lines = _lines(process, rng.randrange(1, 60))
            process.kill()
            assert process.stdout is not None
            lines += [line.strip() for line in process.stdout if line.endswith("\n")]
        last = {line.split()[1]: line.split() for line in lines}
        unsure = f"r{round_number}-{len(lines) % 7}"  # the change that was under way: old or new, both are right
        chunks = audit(tmp_path)
        for document_id, line in last.items():
            document = await reader.get(document_id)
            if document_id == unsure:
                continue
            if line[0] == "deleted":
                assert document is None
            else:
                assert document is not None
                assert document.title == f"version {line[2]}"
                assert chunks[document_id] == 1 + int(line[2]) % 6
        found = await reader.generation()
        assert found > generation
        generation = found
        hits = await reader.dense(sample_vector("x"), embedder_id=EMBEDDER, k=10_000, scope=Scope())
        assert len(hits) == len({hit.chunk_id for hit in hits}) == sum(chunks.values())
        hits = await reader.lexical("apple", k=10_000, scope=Scope())
        assert len(hits) == len({hit.chunk_id for hit in hits}) == sum(chunks.values())
    await reader.maintain()
    assert audit(tmp_path) == chunks


async def test_two_processes_write_while_a_third_reads(
    tmp_path: Path, make_store: Callable[..., LanceStore], audit: Callable[[Path], dict[str, int]]
) -> None:
    """Nobody is locked out, everybody's documents are found at once, and both tidy up meanwhile."""
    reader = make_store(tmp_path)
    await reader.open()
    with _writer(tmp_path, "one") as one, _writer(tmp_path, "two") as two:
        for _ in range(6):
            for process in (one, two):
                (line,) = _lines(process, 1)
                assert line.split()[0] in {"put", "deleted"}
                assert await reader.lexical("apple", k=1_000, scope=Scope())
                assert await reader.dense(sample_vector("x"), embedder_id=EMBEDDER, k=1_000, scope=Scope())
        one.kill()
        two.kill()
    audit(tmp_path)
