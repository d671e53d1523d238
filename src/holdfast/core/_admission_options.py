"""The options that every limiter has."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.core._options import duration, not_negative, positive, whole
from holdfast.errors import ConfigError

__all__ = ["AdmissionOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionOptions:
    """The options that every limiter has; see :class:`~holdfast.core.rate_limiter.RateLimiter`."""

    kept_share: float = 0.2
    kept_for: int = 5
    max_wait: float = 0.0
    default_cost: float = 1

    def __post_init__(self) -> None:
        not_negative("kept_share", self.kept_share)
        if self.kept_share >= 1:
            raise ConfigError("kept_share", self.kept_share, "must be below 1: low priorities need some of it")
        whole("kept_for", self.kept_for, least=0)
        if self.kept_for > 9:
            raise ConfigError("kept_for", self.kept_for, "must be a priority, from 0 to 9")
        duration("max_wait", self.max_wait, or_zero=True)
        positive("default_cost", self.default_cost)
