"""Stored vectors against those that the embedder makes now."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from holdfast.errors import ConfigError, ModelUnavailableError
from holdfast.rag.evaluation import measure_drift
from holdfast.testing.embedders import HashEmbedder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.rag.conftest import MakeEngine, Parts

    from holdfast.llm.embedding import EmbedKind, Vectors
    from holdfast.rag.evaluation import Drift


class Turned(HashEmbedder):
    """The same name, other vectors: each is turned a little, or wholly."""

    def __init__(self, share: float) -> None:
        super().__init__(dimension=256)
        self._share = share

    async def embed(self, texts: Sequence[str], *, kind: EmbedKind = "document") -> Vectors:
        vectors = await super().embed(texts, kind=kind)
        turned = vectors + self._share * np.roll(vectors, 1, axis=1)
        result: Vectors = turned / np.linalg.norm(turned, axis=1, keepdims=True)
        return result


async def ingested(parts: Parts, collection: str = "default") -> Parts:
    await parts.engine.open()
    await parts.engine.ingestor.ingest_paths([parts.documents], collection=collection)
    return parts


async def drift_of(parts: Parts, embedder: Any = None, **options: Any) -> Drift:
    return await measure_drift(
        parts.engine.store,
        embedder or parts.embedder,
        rng=random.Random(1),
        blocking=parts.blocking,
        **options,
    )


async def test_vectors_that_are_as_they_were_do_not_drift(make_engine: MakeEngine) -> None:
    """The same embedder makes the same vectors: every cosine is 1, of one chunk of each document."""
    parts = await ingested(make_engine())
    drift = await drift_of(parts)
    assert (drift.documents, drift.compared, drift.drifted, drift.cut_otherwise) == (2, 2, 0, 0)
    assert drift.lowest == pytest.approx(1.0, abs=1e-6)
    assert drift.mean == pytest.approx(1.0, abs=1e-6)
    assert drift.ok
    assert (await drift_of(parts, sample=1)).compared == 1
    await parts.engine.close()


@pytest.mark.parametrize(("share", "drifted"), [(0.05, 0), (0.5, 2)])
async def test_a_changed_model_under_the_same_name_is_found(
    make_engine: MakeEngine, share: float, drifted: int
) -> None:
    """Vectors that moved a little are the same, those that moved further have drifted."""
    parts = await ingested(make_engine())
    drift = await drift_of(parts, Turned(share))
    assert drift.drifted == drifted
    assert drift.ok is not bool(drifted)
    assert drift.lowest is not None
    assert (drift.lowest >= 0.99) is drift.ok
    await parts.engine.close()


class Alien(HashEmbedder):
    """Vectors of another length than the embedder says, or than the store has."""

    def __init__(self, *, dimension: int, factor: float = 1.0) -> None:
        super().__init__(dimension=dimension)
        self._factor = factor

    @property
    def id(self) -> str:
        return HashEmbedder(dimension=256).id

    async def embed(self, texts: Sequence[str], *, kind: EmbedKind = "document") -> Vectors:
        return await super().embed(texts, kind=kind) * np.float32(self._factor)


@pytest.mark.parametrize("embedder", [Alien(dimension=64), Alien(dimension=256, factor=2.0)])
async def test_vectors_that_cannot_be_compared_have_drifted(make_engine: MakeEngine, embedder: HashEmbedder) -> None:
    """Vectors of another dimension, and such that are none, count as drifted, with a cosine of 0."""
    parts = await ingested(make_engine())
    drift = await drift_of(parts, embedder)
    assert (drift.compared, drift.drifted, drift.lowest) == (2, 2, 0.0)
    await parts.engine.close()


async def test_what_another_embedder_made_is_counted_and_not_compared(make_engine: MakeEngine) -> None:
    """Documents of another space and documents without vectors are told apart; nothing compared is no verdict."""
    parts = await ingested(make_engine())
    other = await drift_of(parts, HashEmbedder(dimension=64))
    assert (other.documents, other.other_space, other.compared, other.lowest, other.ok) == (2, 2, 0, None, True)
    await parts.engine.close()


async def test_documents_without_vectors_are_counted(make_engine: MakeEngine) -> None:
    """What was ingested without an embedder has no vectors to compare."""
    parts = await ingested(make_engine(embedder=None))
    drift = await drift_of(parts, HashEmbedder(dimension=256))
    assert (drift.without_vectors, drift.other_space, drift.compared) == (2, 0, 0)
    await parts.engine.close()


async def test_documents_that_are_cut_otherwise_now_are_counted(make_engine: MakeEngine) -> None:
    """With other sizes there are other chunks, which were never stored: they are counted, not compared."""
    from holdfast.rag.chunking import ChunkOptions

    parts = await ingested(make_engine())
    drift = await drift_of(parts, options=ChunkOptions(target_chars=50, max_chars=60, min_chars=0))
    assert (drift.cut_otherwise, drift.compared) == (2, 0)
    await parts.engine.close()


async def test_a_collection_is_looked_at_alone(make_engine: MakeEngine) -> None:
    """Only documents of the collection that was named are drawn; an empty one has none."""
    parts = await ingested(make_engine(), collection="shop")
    assert (await drift_of(parts)).documents == 0
    shop = await drift_of(parts, collection="shop")
    assert (shop.collection, shop.compared) == ("shop", 2)
    await parts.engine.close()


async def test_an_embedder_that_is_down_is_no_drift(make_engine: MakeEngine) -> None:
    """What the embedder raises is raised: it is not known then whether anything has drifted."""
    parts = await ingested(make_engine())
    parts.embedder.error = ModelUnavailableError("no model")
    with pytest.raises(ModelUnavailableError):
        await drift_of(parts)
    await parts.engine.close()


async def test_a_sample_of_nothing_is_refused(make_engine: MakeEngine) -> None:
    """The sample is at least one document."""
    parts = await ingested(make_engine())
    with pytest.raises(ConfigError, match="sample"):
        await drift_of(parts, sample=0)
    await parts.engine.close()
