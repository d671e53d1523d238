"""Every embedder that Holdfast has, against the contract of an embedder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from holdfast.core.blocking import ThreadBlocking
from holdfast.llm.local.manifest import default_model_dir
from holdfast.llm.local.minilm import MiniLMEmbedder
from holdfast.testing.embedder_conformance import EMBEDDER_CHECKS, EmbedderCheck, check_embedder
from holdfast.testing.embedders import HashEmbedder

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.llm.embedding import EmbedKind


def by_name(check: object) -> str:
    return str(getattr(check, "__name__", check))


@pytest.mark.parametrize("check", EMBEDDER_CHECKS, ids=by_name)
async def test_hash_embedder_keeps_the_contract(check: EmbedderCheck) -> None:
    """The test kit's embedder is an embedder."""
    await check(HashEmbedder(dimension=256))


@pytest.mark.model
@pytest.mark.parametrize("check", EMBEDDER_CHECKS, ids=by_name)
async def test_local_embedder_keeps_the_contract(check: EmbedderCheck) -> None:
    """The local model, run by threads as in production, is an embedder."""
    folder: Path = default_model_dir()
    if not (folder / "model.json").exists():
        pytest.skip(f"no model in {folder}: run `holdfast model`")
    blocking = ThreadBlocking(max_workers=4)
    embedder = MiniLMEmbedder(folder, blocking=blocking)
    try:
        await check(embedder)
    finally:
        await embedder.close()
        await blocking.close()


class Broken(HashEmbedder):
    """An embedder that breaks the contract in one way."""

    def __init__(self, fault: str) -> None:
        super().__init__(dimension=256)
        self._fault = fault
        self._given: dict[tuple[str, ...], np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = {}

    async def embed(
        self, texts: list[str] | tuple[str, ...] | object, *, kind: EmbedKind = "document"
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        assert isinstance(texts, (list, tuple))
        vectors = await super().embed(texts, kind=kind)
        match self._fault:
            case "long vectors":
                return vectors * 2
            case "float64":
                return vectors.astype(np.float64)
            case "sorted":
                return vectors[np.argsort([len(text) for text in texts], kind="stable")]
            case "company":
                return vectors if len(texts) < 3 else np.roll(vectors, 1, axis=1)
            case "flat":
                return vectors[0] if len(texts) else vectors
            case "shared":
                return self._given.setdefault(tuple(texts), vectors)
            case "kinds":
                return vectors if kind == "document" else np.roll(vectors, 1, axis=1)
        raise AssertionError(self._fault)


@pytest.mark.parametrize("fault", ["long vectors", "float64", "sorted", "company", "flat", "shared", "kinds"])
async def test_the_checks_find_a_broken_embedder(fault: str) -> None:
    """Each way to break the contract is found, with a sentence."""
    with pytest.raises(AssertionError, match="an embedder must keep this"):
        await check_embedder(Broken(fault))
