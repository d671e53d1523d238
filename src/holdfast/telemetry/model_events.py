"""What happens on the way to a model's answer, beside what the policies say of single calls."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.core.faults import FaultKind  # noqa: TC001  type hints of events are read at run time
from holdfast.telemetry.events import ServiceEvent

__all__ = ["KeyParked", "ModelAnswered", "ModelFailedOver", "StreamBroken", "StreamContinued", "TargetHeld"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFailedOver(ServiceEvent):
    """A target failed, and another one is asked.

    Attributes:
        route: what the caller asked for.
        from_target, to_target: provider and model.
        kind: how the first one failed.
    """

    route: str
    from_target: str
    to_target: str
    kind: FaultKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswered(ServiceEvent):
    """A model's answer was given to the caller, whole, or from its first token on.

    Attributes:
        route: what the caller asked for.
        target: who answered, provider and model.
        calls: the calls that it took, this one included.
        first_token_seconds: from the request to the first real token; of an answer that is not streamed, to its end.
        streamed: whether it comes piece by piece.
    """

    route: str
    target: str
    calls: int
    first_token_seconds: float
    streamed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyParked(ServiceEvent):
    """A key is not used for a while, for it was refused, or its money is used up. Other keys of the provider are used.

    Attributes:
        provider: whose key it is.
        key: the key's name (the variable that it comes from), never the key.
        kind: ``auth`` or ``quota``.
        seconds: how long it is left alone.
    """

    provider: str
    key: str
    kind: FaultKind
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetHeld(ServiceEvent):
    """A provider asked us to wait: the target is not asked before, as long as others answer.

    Attributes:
        target: provider and model, and the key where there are several.
        seconds: how long.
    """

    target: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamContinued(ServiceEvent):
    """A stream broke after a part of it was given out, and another target writes on.

    Attributes:
        route: what the caller asked for.
        from_target, to_target: provider and model.
        characters: of text that was given out before.
    """

    route: str
    from_target: str
    to_target: str
    characters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBroken(ServiceEvent):
    """A stream broke after a part of it was given out, and the caller was told so.

    Attributes:
        route: what the caller asked for.
        target: provider and model.
        kind: how it broke.
        characters: of text that was given out before.
    """

    route: str
    target: str
    kind: FaultKind
    characters: int
