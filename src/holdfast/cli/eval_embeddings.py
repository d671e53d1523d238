"""``holdfast eval --embeddings``: whether the embedder works, and stored vectors are still those that it makes."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import typer

from holdfast.cli.output import warn
from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.llm.embedding_checks import Finding
    from holdfast.rag.evaluation import Drift
    from holdfast.rag.settings import Settings

__all__ = ["check_embeddings"]

_SEED = 0  # the same documents in every run, so that two runs can be compared


def check_embeddings(settings: Settings) -> None:
    """Check, print, and end the command with 1 when something is not as it must be.

    Raises:
        InvalidInputError: there is no embedder to check.
        HoldfastError: the embedder or the store cannot be asked.
    """
    from rich.console import Console

    from holdfast.cli.eval_tables import print_embeddings

    findings, drift = asyncio.run(_checked(settings))
    print_embeddings(findings, drift, Console())
    if drift.drifted:
        warn(
            "Stored vectors are not those that the embedder makes now: the search by meaning is worse than it could "
            "be. Ingest the documents again into a new collection or data folder, or bring the old model back."
        )
    if drift.other_space or drift.without_vectors:
        warn(
            f"{drift.other_space + drift.without_vectors:,} of {drift.documents:,} documents are found by their words "
            "only, because another embedder made their vectors, or none did: ingest them again."
        )
    if drift.drifted or any(not finding.ok for finding in findings):
        raise typer.Exit(1)


async def _checked(settings: Settings) -> tuple[Sequence[Finding], Drift]:
    from holdfast.cli.session import opened
    from holdfast.llm.embedding_checks import examine
    from holdfast.rag.chunking import ChunkOptions
    from holdfast.rag.evaluation import measure_drift

    async with opened(settings, create=False) as engine:
        if engine.embedder is None:
            raise InvalidInputError("--embeddings", "there is no embedder to check: the setting `embedder` is none")
        findings = await examine(engine.embedder)
        drift = await measure_drift(
            engine.store,
            engine.embedder,
            collection=settings.collection,
            rng=random.Random(_SEED),  # noqa: S311 - draws a sample
            blocking=engine.blocking,
            options=ChunkOptions(target_chars=settings.chunk_chars),
        )
    return findings, drift
