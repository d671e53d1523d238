"""The local embedder, on the tiny model; and, where it is installed, on the real one."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.blocking import ThreadBlocking
from holdfast.errors import ConfigError, ModelUnavailableError
from holdfast.llm.local.build import build_model
from holdfast.llm.local.manifest import LocalModel, default_model_dir
from holdfast.llm.local.minilm import MiniLMEmbedder
from holdfast.testing.blocking import InlineBlocking

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from holdfast.llm.embedding import EmbedKind

P = ParamSpec("P")
T = TypeVar("T")


@pytest.fixture(scope="session")
def tiny_dir(tmp_path_factory: pytest.TempPathFactory, tiny_model: LocalModel, tiny_contents: dict[str, bytes]) -> Path:
    """The tiny model, built."""
    folder = tmp_path_factory.mktemp("tiny")
    build_model(tiny_model, tiny_contents, folder)
    return folder


def words(count: int, start: int = 0) -> str:
    return " ".join(f"w{(start + number) % 40}" for number in range(count))


@pytest.mark.parametrize(("kind", "expected"), [("query", "embed.query"), ("document", "embed.batch")])
async def test_work_runs_behind_the_blocking_port(
    tiny_dir: Path, tiny_model: LocalModel, kind: EmbedKind, expected: str
) -> None:
    """The model is loaded once, as a work of its own, and each kind of text is a kind of work."""
    blocking = InlineBlocking()
    embedder = MiniLMEmbedder(tiny_dir, blocking=blocking, model=tiny_model)
    await embedder.embed([words(3)], kind=kind)
    await embedder.embed([words(4)], kind=kind)
    assert list(blocking.kinds) == ["embed.load", expected, expected]


async def test_loading_can_be_done_ahead(tiny_dir: Path, tiny_model: LocalModel) -> None:
    """After load() the first question does not wait for the model."""
    blocking = InlineBlocking()
    embedder = MiniLMEmbedder(tiny_dir, blocking=blocking, model=tiny_model)
    await embedder.load()
    await embedder.load()
    await embedder.embed([words(3)], kind="query")
    assert list(blocking.kinds) == ["embed.load", "embed.query"]


async def test_no_text_does_not_load_the_model(tmp_path: Path) -> None:
    """An empty sequence needs no model at all."""
    blocking = InlineBlocking()
    vectors = await MiniLMEmbedder(tmp_path, blocking=blocking).embed([])
    assert vectors.shape == (0, 384)
    assert list(blocking.kinds) == []


async def test_one_string_is_not_a_sequence_of_texts(tiny_dir: Path, tiny_model: LocalModel) -> None:
    """A string in place of a list would be embedded letter by letter: it is refused."""
    embedder = MiniLMEmbedder(tiny_dir, blocking=InlineBlocking(), model=tiny_model)
    with pytest.raises(TypeError, match="not one string"):
        await embedder.embed("w1 w2")


async def test_the_tokenizers_own_limits_do_not_hold(tiny_dir: Path, tiny_model: LocalModel) -> None:
    """The tokenizer's file cuts at 6 tokens; the model reads 16, and not one more."""
    embedder = MiniLMEmbedder(tiny_dir, blocking=InlineBlocking(), model=tiny_model)
    short, longer, full, over = await embedder.embed([words(5), words(8), words(14), words(15)])
    assert short @ longer < 0.9999
    assert longer @ full < 0.9999
    assert np.array_equal(full, over)


async def test_large_requests_are_split(tiny_dir: Path, tiny_model: LocalModel) -> None:
    """Many texts are several runs on a thread, and come back in order."""
    blocking = InlineBlocking()
    embedder = MiniLMEmbedder(tiny_dir, blocking=blocking, model=tiny_model)
    texts = [words(1 + number % 9, number) for number in range(50)]
    together = await embedder.embed(texts)
    assert list(blocking.kinds).count("embed.batch") == 7
    for text, vector in zip(texts, together, strict=True):
        assert np.array_equal((await embedder.embed([text]))[0], vector)


class GatedBlocking:
    """Lets the load through and holds all other work until it is told to go on."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.both_begun = asyncio.Event()
        self.begun = 0

    async def run(self, kind: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if kind != "embed.load":
            self.begun += 1
            if self.begun == 2:
                self.both_begun.set()
            await self.gate.wait()
        return fn(*args, **kwargs)

    async def close(self) -> None:
        pass


async def test_a_cancelled_call_takes_no_further_part(tiny_dir: Path, tiny_model: LocalModel) -> None:
    """After a cancellation the runs that had not begun never begin."""
    blocking = GatedBlocking()
    embedder = MiniLMEmbedder(tiny_dir, blocking=blocking, batch_threads=2, model=tiny_model)
    task = asyncio.ensure_future(embedder.embed([words(3)] * 80))
    await blocking.both_begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    blocking.gate.set()
    await asyncio.sleep(0)
    assert blocking.begun == 2


class FailingBlocking(InlineBlocking):
    """Fails the third run of a batch."""

    async def run(self, kind: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if list(self.kinds).count("embed.batch") == 2:
            raise OSError("no memory")
        return await super().run(kind, fn, *args, **kwargs)


async def test_a_failed_run_fails_the_call(tiny_dir: Path, tiny_model: LocalModel) -> None:
    """One failing run ends the whole call with its error: never some of the vectors."""
    embedder = MiniLMEmbedder(tiny_dir, blocking=FailingBlocking(), model=tiny_model)
    with pytest.raises(OSError, match="no memory"):
        await embedder.embed([words(3)] * 80)


async def test_a_missing_model_says_what_to_run(tmp_path: Path) -> None:
    """Without a model the error names the folder and the command."""
    embedder = MiniLMEmbedder(tmp_path, blocking=InlineBlocking())
    with pytest.raises(ModelUnavailableError, match=r"not installed in .*Run `holdfast model`"):
        await embedder.load()


async def test_a_model_installed_later_is_picked_up(
    tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """A failed load is not remembered: once the model is there, the next call works."""
    embedder = MiniLMEmbedder(tmp_path, blocking=InlineBlocking(), model=tiny_model)
    with pytest.raises(ModelUnavailableError):
        await embedder.embed(["w1"])
    build_model(tiny_model, tiny_contents, tmp_path)
    assert (await embedder.embed(["w1"])).shape == (1, 32)


async def test_another_model_is_not_used(tiny_dir: Path) -> None:
    """A folder that holds another vector space is refused with both names."""
    embedder = MiniLMEmbedder(tiny_dir, blocking=InlineBlocking())
    with pytest.raises(ModelUnavailableError, match=r"holds the model local:tiny:int8:1, and local:all-MiniLM"):
        await embedder.load()


async def test_a_damaged_model_is_not_used(
    tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """One changed byte in the graph is found before it is run."""
    build_model(tiny_model, tiny_contents, tmp_path)
    graph = tmp_path / "model.int8.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    with pytest.raises(ModelUnavailableError, match=r"model\.int8\.onnx is damaged"):
        await MiniLMEmbedder(tmp_path, blocking=InlineBlocking(), model=tiny_model).load()


async def test_a_tokenizer_that_cannot_be_read_is_explained(
    tmp_path: Path, tiny_model: LocalModel, tiny_contents: dict[str, bytes]
) -> None:
    """What the installed tokenizers cannot load is an error of the model, with the reason."""
    build_model(tiny_model, {**tiny_contents, "tokenizer.json": b"{}"}, tmp_path)
    with pytest.raises(ModelUnavailableError, match="cannot be loaded by this machine's onnxruntime and tokenizers"):
        await MiniLMEmbedder(tmp_path, blocking=InlineBlocking(), model=tiny_model).load()


async def test_first_calls_at_once_load_one_model(tiny_dir: Path, tiny_model: LocalModel) -> None:
    """Many first calls in several threads end with one loaded model, and with the same vectors."""
    blocking = ThreadBlocking(max_workers=4)
    embedder = MiniLMEmbedder(tiny_dir, blocking=blocking, model=tiny_model)
    vectors = await asyncio.gather(*(embedder.embed([words(5)]) for _ in range(12)))
    assert all(np.array_equal(vectors[0], other) for other in vectors)
    await blocking.close()


async def test_a_closed_embedder_is_not_used(tiny_dir: Path, tiny_model: LocalModel) -> None:
    """Closing twice is harmless; embedding after it is a programming error."""
    embedder = MiniLMEmbedder(tiny_dir, blocking=InlineBlocking(), model=tiny_model)
    await embedder.embed(["w1"])
    await embedder.close()
    await embedder.close()
    with pytest.raises(RuntimeError, match="closed"):
        await embedder.embed(["w1"])


def test_threads_have_a_range(tmp_path: Path) -> None:
    """Less than one thread is refused by name."""
    with pytest.raises(ConfigError, match=r"batch_threads=0: must be at least 1"):
        MiniLMEmbedder(tmp_path, blocking=InlineBlocking(), batch_threads=0)


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=()), max_size=60), min_size=1, max_size=12))
def test_any_text_has_a_unit_vector(tiny_dir: Path, tiny_model: LocalModel, texts: list[str]) -> None:
    """Whatever characters a document holds, broken surrogates too, each text has a finite vector of length 1."""
    embedder = MiniLMEmbedder(tiny_dir, blocking=InlineBlocking(), model=tiny_model)
    vectors = asyncio.run(embedder.embed(texts))
    assert vectors.shape == (len(texts), 32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.fixture
def real_dir() -> Path:
    """The folder of the real model; skips where it is not installed."""
    folder = default_model_dir()
    if not (folder / "model.json").exists():
        pytest.skip(f"no model in {folder}: run `holdfast model`")
    return folder


# what the published weights give in full precision, computed once with the plain numpy network: cosine of each pair
PAIRS = [
    (
        "How do I return an error from main?",
        "The main function may return a Result, so that errors reach the shell.",
        0.6595,
    ),
    ("How do I return an error from main?", "The harbour was full of fishing boats.", -0.0063),
    (
        "A circuit breaker stops calling a service that keeps failing.",
        "Calls to a broken dependency are cut off after several failures.",
        0.4783,
    ),
    ("The cat sat on the mat.", "A kitten was resting on a rug.", 0.6236),
    ("The cat sat on the mat.", "Interest rates rose by half a point.", 0.0106),
    ("retry", "try again", 0.3577),
]


@pytest.mark.model
@pytest.mark.parametrize(("left", "right", "cosine"), PAIRS)
async def test_vectors_mean_what_the_model_means(real_dir: Path, left: str, right: str, cosine: float) -> None:
    """The cosine of two sentences is that of the published model, within what 8 bits cost."""
    embedder = MiniLMEmbedder(real_dir, blocking=InlineBlocking())
    vectors = await embedder.embed([left, right])
    assert abs(float(vectors[0] @ vectors[1]) - cosine) < 0.03


@pytest.mark.model
async def test_a_query_is_embedded_in_milliseconds(real_dir: Path) -> None:
    """A short question takes a few milliseconds once the model is loaded (bound: ten times what it takes)."""
    embedder = MiniLMEmbedder(real_dir, blocking=InlineBlocking())
    await embedder.load()
    taken = []
    for _ in range(20):
        begun = time.perf_counter()
        await embedder.embed(["How do I return an error from main?"], kind="query")
        taken.append(time.perf_counter() - begun)
    assert min(taken) < 0.02
