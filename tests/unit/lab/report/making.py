"""Outcomes as the lab makes them, with figures that tests choose."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.lab.runs.outcome import Bucket, Measures, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bucket", "outcome", "suite"]


def bucket(
    at: float,
    *,
    offered: int = 100,
    errors: int = 0,
    degraded: int = 0,
    tier: str = "full",
    open_breakers: Sequence[str] = (),
) -> Bucket:
    """Five seconds."""
    return Bucket(
        at=at,
        offered=offered,
        useful=offered - errors,
        degraded=degraded,
        errors=errors,
        attempts=offered,
        retries=0,
        tier=tier,
        open_breakers=tuple(open_breakers),
        p95=1.5,
    )


def outcome(
    configuration: str = "holdfast",
    *,
    scenario: str = "suite",
    rate: float | None = None,
    seed: int = 7,
    errors: int = 0,
    asked: int = 1000,
    quality: float = 1.0,
    timeline: Sequence[Bucket] | None = None,
    **measures: object,
) -> Outcome:
    """One run of a minute."""
    made = Measures(
        asked=asked,
        errors=errors,
        error_rate=errors / asked if asked else 0.0,
        error_causes={"failed": errors} if errors else {},
        quality=quality,
        availability=1 - errors / asked if asked else 1.0,
        goodput=(asked - errors) / 60,
        p50=0.8,
        p95=1.5,
        p99=2.0,
        calls={"store:sqlite": 2 * asked, "model:openai/gpt-4o-mini": asked},
        seconds_in_tier={"full": 60.0},
    )
    return Outcome(
        scenario=scenario,
        configuration=configuration,
        seed=seed,
        rate=rate,
        seconds=60.0,
        trace=f"{seed:02x}" * 8,
        measures=replace(made, **measures),  # type: ignore[arg-type]
        timeline=tuple([bucket(5.0 * place) for place in range(12)] if timeline is None else timeline),
    )


def suite(seeds: Sequence[int] = (7, 8, 9)) -> list[Outcome]:
    """Three configurations at four rates, with a component that helps and one that harms."""
    found = []
    for seed in seeds:
        for rate in (0.0, 0.02, 0.05, 0.2):
            lost = round(1000 * rate * 3)
            noise = seed % 3
            found += [
                outcome("holdfast", rate=rate, seed=seed, errors=round(lost / 50), quality=1 - rate / 10),
                outcome("nothing", rate=rate, seed=seed, errors=lost + noise, quality=1 - 3 * rate),
                outcome("without-retry", rate=rate, seed=seed, errors=lost // 2 + noise, quality=1 - rate - rate**2),
                outcome("without-probes", rate=rate, seed=seed, errors=0, quality=1 - rate / 10),
            ]
    return found
