"""What can be set about a simulated provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.core import _options as check
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.lab.simulator.fault_rules import FaultRule

__all__ = ["SimulatedModel", "SimulatorOptions", "parse_model"]

_KNOWN_DIMENSIONS = {"text-embedding-3-large": 3_072}
_DIMENSION = 1_536
_VOYAGE_DIMENSION = 1_024
_VOYAGE = "voyage"
_WIDEST = 5.0


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """A model that the provider has; ``context_tokens`` is None where the simulator's default holds."""

    name: str
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """Everything that can be set; the defaults give a provider that answers everybody, at a usual speed.

    Attributes:
        models: the models; none stands for every name that is asked for.
        keys: the API keys that are taken; none takes every key, and no key.
        seed: what all draws come from: latencies, faults, ids.
        speed: what all latencies are multiplied with; 0 is no wait at all.
        first_token: seconds to the first token, the median of a log-normal distribution. Half of it passes before the
            head of a streamed response, half before its first event.
        first_token_sigma: its spread: the standard deviation of the logarithm. 0.9 puts the 99th percentile at eight
            times the median.
        per_token: seconds for each further token, the median.
        per_token_sigma: its spread.
        per_embedding: seconds for a request for embeddings, the median; its spread is that of the first token.
        requests_per_minute: for each key; None is no limit.
        tokens_per_minute: for each key; None is no limit.
        context_tokens: tokens that a prompt and its ``max_tokens`` may have together.
        dimension: numbers in a vector; None goes by the model: 3,072 for ``text-embedding-3-large``, 1,024 for
            ``voyage...``, 1,536 for others.
        faults: the rules that are switched on from the beginning.
        admin: whether ``/admin/faults`` and ``/admin/calls`` answer.
        admin_token: what they want as ``Authorization: Bearer``; None lets everybody in who reaches them.
        calls_kept: how many calls are remembered.
        body_bytes: the largest body that is taken.

    Raises:
        ConfigError: a value is out of its range.
    """

    models: Sequence[SimulatedModel] = ()
    keys: Sequence[str] = field(default=(), repr=False)
    seed: int = 0
    speed: float = 1.0
    first_token: float = 0.5
    first_token_sigma: float = 0.9
    per_token: float = 0.02
    per_token_sigma: float = 0.3
    per_embedding: float = 0.1
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    context_tokens: int = 128_000
    dimension: int | None = None
    faults: Sequence[FaultRule] = ()
    admin: bool = False
    admin_token: str | None = field(default=None, repr=False)
    calls_kept: int = 1_000
    body_bytes: int = 32 << 20

    def __post_init__(self) -> None:
        for name in ("speed", "first_token_sigma", "per_token_sigma"):
            check.not_negative(name, getattr(self, name))
        for name in ("first_token", "per_token", "per_embedding"):
            check.duration(name, getattr(self, name), or_zero=True)
        for name in ("first_token_sigma", "per_token_sigma"):
            if getattr(self, name) > _WIDEST:
                raise ConfigError(name, getattr(self, name), f"must be at most {_WIDEST:g}")
        if self.speed > 1_000:
            raise ConfigError("speed", self.speed, "must be at most 1000")
        for name in ("context_tokens", "calls_kept", "body_bytes"):
            check.whole(name, getattr(self, name), least=1)
        for name in ("requests_per_minute", "tokens_per_minute", "dimension"):
            if getattr(self, name) is not None:
                check.whole(name, getattr(self, name), least=1)
        check.whole("seed", self.seed, least=0)
        if any(not key.strip() for key in self.keys):
            raise ConfigError("keys", "***", "must be texts that are not empty")
        if self.admin_token is not None and not self.admin_token.strip():
            raise ConfigError("admin_token", "***", "must not be empty")

    @property
    def names(self) -> list[str]:
        """The models' names."""
        return [model.name for model in self.models]

    def context_of(self, name: str) -> int:
        """Tokens that fit into the context of a model."""
        own = next((model.context_tokens for model in self.models if model.name == name), None)
        return own or self.context_tokens

    def dimension_of(self, name: str) -> int:
        """Numbers in a vector of a model."""
        by_name = _VOYAGE_DIMENSION if name.startswith(_VOYAGE) else _KNOWN_DIMENSIONS.get(name, _DIMENSION)
        return self.dimension or by_name


def parse_model(text: str, *, field: str = "model") -> SimulatedModel:
    """A model written ``NAME`` or ``NAME=CONTEXT_TOKENS``.

    Raises:
        ConfigError: it is neither.
    """
    name, equals, context = text.strip().partition("=")
    if not name or (equals and not (context.isascii() and context.isdigit() and int(context[:10]) > 0)):
        raise ConfigError(field, text, "must be NAME or NAME=CONTEXT_TOKENS, e.g. gpt-sim=8000")
    return SimulatedModel(name, int(context[:10]) if equals else None)
