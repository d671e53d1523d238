"""The checks of an embedder find what is broken, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from holdfast.llm.embedding_checks import NEIGHBOURS, examine, faults_of
from holdfast.testing.embedders import HashEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.llm.embedding import EmbedKind, Vectors


class Changed(HashEmbedder):
    """Gives vectors that a function made worse; it gets the number of the call, from 1."""

    def __init__(self, change: Callable[[Vectors, int], Vectors]) -> None:
        super().__init__(dimension=256)
        self._change = change

    async def embed(self, texts: Sequence[str], *, kind: EmbedKind = "document") -> Vectors:
        vectors = await super().embed(texts, kind=kind)
        return self._change(vectors, len(self.calls))


def filled(vectors: Vectors, value: float) -> Vectors:
    changed = vectors.copy()
    changed[-1, 0] = value
    return changed


async def test_an_embedder_that_works_passes_every_check() -> None:
    """Each check has a finding with its figure, and all are in order; the cost is three calls."""
    embedder = HashEmbedder(dimension=256)
    findings = await examine(embedder)
    assert [finding.check for finding in findings] == ["dimension", "finite", "length", "determinism", "neighbours"]
    assert all(finding.ok for finding in findings)
    assert "12 of 12" in findings[-1].detail
    assert [(len(texts), kind) for texts, kind in embedder.calls] == [(12, "query"), (12, "query"), (24, "document")]


@pytest.mark.parametrize(
    ("change", "check", "says"),
    [
        (lambda vectors, _: vectors[:, :-1], "dimension", "(12, 255); (12, 256) is expected"),
        (lambda vectors, _: vectors[1:], "dimension", "(11, 256)"),
        (lambda vectors, _: filled(vectors, np.nan), "finite", "1 of 12 vectors"),
        (lambda vectors, _: filled(vectors, np.inf), "finite", "1 of 12 vectors"),
        (lambda vectors, _: vectors * 1.01, "length", "from 1.0100 to 1.0100"),
        (lambda vectors, _: filled(vectors, 0.5), "length", "1 is expected"),
        (lambda vectors, _: np.zeros_like(vectors), "length", "from 0.0000 to 0.0000"),
        (lambda vectors, call: np.roll(vectors, call, axis=1), "determinism", "0.99 is expected"),
        (lambda vectors, _: np.eye(*vectors.shape, dtype=np.float32), "determinism", "0.99 is expected"),
        (lambda vectors, _: np.ones_like(vectors) / 16, "neighbours", "0 of 12 questions"),
        (lambda vectors, call: vectors if call < 3 else vectors[::-1], "neighbours", "90% is expected"),
    ],
)
async def test_what_is_broken_is_found(change: Callable[[Vectors, int], Vectors], check: str, says: str) -> None:
    """Each way in which vectors can be useless fails the check that looks for it, with the figure."""
    failed = [finding for finding in await examine(Changed(change)) if not finding.ok]
    assert [finding.check for finding in failed][:1] == [check]
    assert says in failed[0].detail


def test_vectors_that_are_there_are_checked_without_a_call() -> None:
    """Good vectors have no faults, none at all are good, and each bad kind has its finding."""
    good = np.eye(3, 8, dtype=np.float32)
    assert faults_of(good, count=3, dimension=8) == ()
    assert faults_of(np.zeros((0, 8), np.float32), count=0, dimension=8) == ()
    assert [one.check for one in faults_of(good, count=4, dimension=8)] == ["dimension"]
    assert [one.check for one in faults_of(good * 3, count=3, dimension=8)] == ["length"]


def test_no_two_texts_are_the_same() -> None:
    """The neighbours are 36 different texts, so that a cache cannot make two of them one."""
    assert len({text for one in NEIGHBOURS for text in (one.question, one.near, one.far)}) == 36
