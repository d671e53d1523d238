"""The local embedder: tokenizer and graph in this process, behind the Blocking port."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from holdfast.errors import ConfigError, ModelUnavailableError
from holdfast.llm.local.build import open_graph
from holdfast.llm.local.graph import INPUT, OUTPUT
from holdfast.llm.local.installed import read_installed
from holdfast.llm.local.manifest import INSTALL_HINT, MINILM, LocalModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from holdfast.core.ports import Blocking
    from holdfast.llm.embedding import EmbedKind, Vectors
    from holdfast.llm.local.runtime import onnxruntime

__all__ = ["MiniLMEmbedder"]

_TEXTS_PER_RUN = 8
"""Texts in one run on a thread: about 0.2 s of work, after which a caller that was cancelled is noticed."""

_MAX_CHARACTERS = 32_768
"""What the tokenizer gets of one text. It keeps 256 tokens, each of at most 100 characters: more is wasted time."""


class MiniLMEmbedder:
    """Embeds with a model that runs in this process.

    A text's vector depends on nothing but the text: not on the other texts of a call, nor on how many calls run at
    once. The model is loaded by the first call, or by :meth:`load`; a failed load is tried again by the next call, so a
    service that was started without a model picks it up when it is installed.

    Args:
        model_dir: the folder that ``holdfast model`` made.
        blocking: runs the model, as ``"embed.load"``, ``"embed.query"`` and ``"embed.batch"``.
        batch_threads: how many runs one call may have under way; at least 1, 2 by default. A query of one text always
            is a single run.
        model: what must be in the folder.

    Raises:
        ConfigError: ``batch_threads`` is out of its range.
    """

    def __init__(
        self, model_dir: Path, *, blocking: Blocking, batch_threads: int = 2, model: LocalModel = MINILM
    ) -> None:
        if batch_threads < 1:
            raise ConfigError("batch_threads", batch_threads, "must be at least 1")
        self._model_dir = model_dir
        self._blocking = blocking
        self._batch_threads = batch_threads
        self._model = model
        self._loading = threading.Lock()
        self._loaded: _Loaded | None = None
        self._closed = False

    @property
    def id(self) -> str:
        """The vector space."""
        return self._model.embedder_id

    @property
    def name(self) -> str:
        """The dependency's name."""
        return "embedder:local"

    @property
    def dimension(self) -> int:
        """Numbers in one vector."""
        return self._model.dimension

    async def load(self) -> None:
        """Load the model now, if it is not loaded.

        Raises:
            ModelUnavailableError: it is not installed, damaged, or cannot be run; says what to do.
        """
        await self._ready()

    async def embed(self, texts: Sequence[str], *, kind: EmbedKind = "document") -> Vectors:
        """Embed ``texts``; see :meth:`holdfast.llm.embedding.Embedder.embed`. Both kinds get the same vectors.

        Raises:
            ModelUnavailableError: the model cannot be loaded.
            TypeError: ``texts`` is one string instead of a sequence of strings.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be a sequence of strings, not one string")
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        loaded = await self._ready()
        work = "embed.query" if kind == "query" else "embed.batch"
        parts = [texts[start : start + _TEXTS_PER_RUN] for start in range(0, len(texts), _TEXTS_PER_RUN)]
        if len(parts) == 1:
            return await self._blocking.run(work, loaded.embed, parts[0])
        return np.concatenate(await self._run_all(work, loaded, parts))

    async def close(self) -> None:
        """Let go of the model. Calls under way end as usual; a later call raises RuntimeError."""
        self._closed = True
        self._loaded = None

    async def _run_all(self, work: str, loaded: _Loaded, parts: Sequence[Sequence[str]]) -> list[Vectors]:
        results: dict[int, Vectors] = {}
        waiting = iter(enumerate(parts))

        async def take_turns() -> None:
            for number, part in waiting:
                results[number] = await self._blocking.run(work, loaded.embed, part)

        tasks = [asyncio.ensure_future(take_turns()) for _ in range(min(self._batch_threads, len(parts)))]
        try:
            await asyncio.gather(*tasks)
        finally:  # one failed, or the caller is gone: the others take no further part
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [results[number] for number in range(len(parts))]

    async def _ready(self) -> _Loaded:
        if self._closed:
            raise RuntimeError("this embedder is closed")
        if self._loaded is not None:
            return self._loaded
        return await self._blocking.run("embed.load", self._load_once)

    def _load_once(self) -> _Loaded:
        with self._loading:  # two first calls at once: the second finds the model of the first
            if self._loaded is None:
                self._loaded = _load(self._model_dir, self._model)
            return self._loaded


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A model in memory. Several threads may use it at once."""

    session: onnxruntime.InferenceSession
    tokenizer: Tokenizer

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector for each text, one text at a time (see :mod:`holdfast.llm.local.graph` for why)."""
        return np.concatenate([self._embed_one(text) for text in texts])

    def _embed_one(self, text: str) -> Vectors:
        # half of a surrogate pair, as a broken document may hold, is no text to the tokenizer
        readable = text[:_MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
        tokens = np.array([self.tokenizer.encode(readable).ids], np.int64)
        vectors: Vectors = self.session.run([OUTPUT], {INPUT: tokens})[0]
        return vectors


def _load(model_dir: Path, model: LocalModel) -> _Loaded:
    files = read_installed(model_dir, model)
    try:
        tokenizer = Tokenizer.from_buffer(files.tokenizer)
        tokenizer.enable_truncation(model.max_tokens)  # its file says 128, and to pad every text to that
        tokenizer.no_padding()
        return _Loaded(open_graph(files.graph), tokenizer)
    except Exception as error:
        raise ModelUnavailableError(
            f"The embedding model in {model_dir} cannot be loaded by this machine's onnxruntime and tokenizers: "
            f"{error}. {INSTALL_HINT}"
        ) from error
