"""An embedder at a provider: one space, unit vectors, bounded batches, fail-over within the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.unit.llm.world import World
from tests.unit.rag.scripted import desk

from holdfast.errors import MalformedAnswerError, NotFoundError, TargetsExhaustedError
from holdfast.lab.simulator.fault_rules import parse_rule
from holdfast.lab.simulator.http import SimulatorHttp
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.lab.simulator.service import Simulator
from holdfast.llm.embedding import Embedder
from holdfast.llm.provider_embedder import ProviderEmbedder
from holdfast.rag.types import Reason
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def embedder(world: World) -> ProviderEmbedder:
    return ProviderEmbedder(world.client, "vectors")


async def test_vectors_have_length_one_and_the_order_of_the_texts() -> None:
    """Each text has its row, of length 1, the same whatever stands beside it."""
    made = embedder(World())
    assert isinstance(made, Embedder)
    both = await made.embed(["one", "two words"])
    assert (both.shape, str(both.dtype)) == ((2, 64), "float32")
    assert np.allclose(np.linalg.norm(both, axis=1), 1.0)
    assert np.allclose(both[1], (await made.embed(["two words"], kind="query"))[0], atol=1e-6)
    await made.close()


async def test_the_space_is_named_by_model_and_dimension_and_no_provider() -> None:
    """Two providers of one model share vectors, so the id names neither."""
    made = embedder(World())
    assert (made.id, made.name, made.dimension) == ("embed-1:64", "embedder:vectors", 64)


async def test_no_text_is_no_call() -> None:
    """An empty sequence gives no rows and asks nobody; a single string is a mistake; an unknown route is an error."""
    world = World()
    assert (await embedder(world).embed([])).shape == (0, 64)
    assert world.calls("a") == 0
    with pytest.raises(TypeError, match="not one string"):
        await embedder(world).embed("text")
    with pytest.raises(NotFoundError):
        ProviderEmbedder(world.client, "nothing")


async def test_another_provider_of_the_same_model_stands_in() -> None:
    """With the first provider failing, the second one's vectors are in the same space."""
    well, failing = World(), World({"a": ["server_error"], "b": []})
    assert np.allclose(await embedder(well).embed(["x"]), await embedder(failing).embed(["x"]), atol=1e-6)
    assert failing.calls("b") == 1


class Recording:
    """A client that notes the batches and gives the vectors that it was made with."""

    def __init__(self, world: World, vector: Sequence[float]) -> None:
        self.routes = world.client.routes
        self.batches: list[Sequence[str]] = []
        self._vector = vector
        self._target = world.client.routes.embedding("vectors").targets[0]

    async def embed(self, _model: str, texts: Sequence[str], *, kind: str) -> Any:
        self.batches.append(texts)

        class Embedded:
            vectors = [self._vector] * len(texts)
            target = self._target

        return Embedded


async def test_batches_are_bounded_by_number_and_by_size() -> None:
    """A request has at most 128 texts and 100,000 characters, and texts are cut at 8,000; none is empty."""
    client: Any = Recording(World(), [1.0] * 64)
    made = ProviderEmbedder(client, "vectors")
    rows = await made.embed(["x"] * 130 + ["y" * 9_000] * 14 + ["", "\ud800"])
    assert rows.shape == (146, 64)
    assert [len(batch) for batch in client.batches] == [128, 14, 4]
    assert max(sum(map(len, batch)) for batch in client.batches) <= 100_000
    assert client.batches[-1][-2:] == [" ", "?"]
    assert max(len(text) for batch in client.batches for text in batch) == 8_000


@pytest.mark.parametrize("number", [0.0, float("inf")])
async def test_a_vector_without_a_direction_is_refused(number: float) -> None:
    """A vector whose length is 0, or not a number, cannot be compared with any other."""
    client: Any = Recording(World(), [number] * 64)
    with pytest.raises(MalformedAnswerError, match="a gave a vector without a direction"):
        await ProviderEmbedder(client, "vectors").embed(["x"])


async def test_a_provider_that_is_down_raises() -> None:
    """When nobody embeds, the caller hears of it."""
    with pytest.raises(TargetsExhaustedError):
        await embedder(World({"a": ["server_error"]})).embed(["x"])


async def test_the_service_embeds_at_a_provider_and_goes_by_words_without_it(tmp_path: Path) -> None:
    """Documents and questions are embedded by the provider; while it is down, the search goes by words, and says so."""
    clock = FakeClock()
    simulator = Simulator(SimulatorOptions(speed=0), clock=clock)
    http = SimulatorHttp({"https://api.openai.com/v1": simulator})
    settings: Any = {"embedder": "openai/text-embedding-3-small", "model": None, "cache_size": 0}
    async with desk(tmp_path, http, clock=clock, **settings) as service:
        calls = len(simulator.calls)
        assert calls > 0
        answer = await service.ask()
        assert (answer.reasons, len(simulator.calls)) == ((), calls + 1)
        await service.engine.health()
        assert len(simulator.calls) == calls + 1  # a health check costs no money
        simulator.faults.add(parse_rule("server_error"))
        answer = await service.ask()
        record = (await service.engine.store.list(collection="default", limit=1, cursor=None)).documents[0]
    assert answer.reasons == (Reason.EMBEDDER_UNAVAILABLE,)
    assert record.embedder_id == "text-embedding-3-small:1536"
