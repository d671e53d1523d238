"""What a world is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from holdfast.core._options import flag, options_by_name, whole
from holdfast.lab.faults.plan import FaultPlan
from holdfast.lab.latency import AT_ONCE, Latency
from holdfast.lab.simulator.options import SimulatorOptions
from holdfast.rag.policies import ALL, Policies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from holdfast.lab.world.program import Program
    from holdfast.lab.world.world import World

__all__ = ["USUAL_BLOCKING", "WorldOptions"]

USUAL_BLOCKING: Mapping[str, Latency] = MappingProxyType(
    {
        "store.read": Latency(0.002, 0.5),
        "store.write": Latency(0.005, 0.5),
        "store.index": Latency(0.02, 0.5),
        "embed.query": Latency(0.003, 0.3),
        "embed.batch": Latency(0.05, 0.3),
        "answer": Latency(0.003, 0.5),
    }
)
"""What blocking work takes, in the order of what it takes on an ordinary machine."""

_MODELS = "openai/gpt-4o-mini, anthropic/claude-haiku-4-5"


@options_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class WorldOptions:
    """Everything that can be set about a world.

    Attributes:
        seed: what all draws come from, 0 or more.
        settings: of the engine, by name, over what a world needs: two models, the sample's documents.
        faults: what fails.
        documents: a folder of documents; None: the sample's articles.
        faq: whether the sample's answers to common questions are there, where its articles are.
        dimension: of the local embedder's vectors; None leaves it out, and the search goes by words. With an embedder
            in ``settings`` that is a provider's, the documents have no vectors of it unless the program ingests them.
        provider: every simulated provider. Its seed is replaced by one for each provider, made from ``seed``.
        providers: single providers, by name, instead of ``provider``.
        blocking: what blocking work takes, by kind, see ``ModelledBlocking``.
        parts: what a call to ``"store"``, ``"embedder"`` or ``"cache"`` takes besides: a network's way.
        round_trip: what the way to a provider and back takes.
        max_connections: connections to providers at once, 1 or more.
        policies: which of the engine's policies work, and by which numbers.
        program: makes what answers in the engine's place, from the same parts; None: the engine answers.

    Raises:
        ConfigError: a value is out of its range.
    """

    seed: int = 0
    settings: Mapping[str, object] = field(default_factory=dict)
    faults: FaultPlan = field(default_factory=FaultPlan)
    documents: Path | None = None
    faq: bool = True
    dimension: int | None = 128
    provider: SimulatorOptions = field(
        default_factory=lambda: SimulatorOptions(
            first_token=0.4, first_token_sigma=0.6, per_token=0.01, per_token_sigma=0.0
        )
    )
    providers: Mapping[str, SimulatorOptions] = field(default_factory=dict)
    blocking: Mapping[str, Latency] = field(default_factory=lambda: USUAL_BLOCKING)
    parts: Mapping[str, Latency] = field(default_factory=dict)
    round_trip: Latency = AT_ONCE
    max_connections: int = 1_000
    policies: Policies = ALL
    program: Callable[[World], Program] | None = None

    def __post_init__(self) -> None:
        whole("seed", self.seed, least=0)
        flag("faq", self.faq)
        if self.dimension is not None:
            whole("dimension", self.dimension, least=1)
        whole("max_connections", self.max_connections, least=1)

    def engine_settings(self) -> dict[str, object]:
        """The settings of the engine, the world's own included."""
        return {
            "model": _MODELS,
            "embedder": "none" if self.dimension is None else "local",
            "openai_api_key": "sk-lab-openai",
            "anthropic_api_key": "sk-lab-anthropic",
            "voyage_api_key": "lab-voyage",
            **self.settings,
        }
