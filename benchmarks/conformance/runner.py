"""Runs the cases on a library; imported by the process that each library has."""

from __future__ import annotations

import logging
import threading
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.testing.policies import Outcome

__all__ = ["libraries", "run"]

_LIMIT = 30.0  # seconds of real time for one case


def libraries() -> list[Any]:
    """What is tried, ours first."""
    from benchmarks.conformance.libraries import (  # noqa: PLC0415  they are importable among the peers only
        aioresilience,
        breakers,
        hyx,
        interlock,
        pyresilience,
        redress,
        retries,
    )
    from holdfast.testing.policies.ours import Holdfast  # noqa: PLC0415

    makers: list[Any] = [
        Holdfast,
        interlock.Interlock,
        breakers.PyBreaker,
        breakers.Purgatory,
        breakers.CircuitBreakerLib,
        breakers.AioBreaker,
        hyx.Hyx,
        retries.Tenacity,
        retries.Stamina,
        retries.Backoff,
        pyresilience.PyResilience,
        redress.Redress,
        aioresilience.AioResilience,
    ]
    return makers


def run(index: int, prefix: str) -> dict[str, dict[str, str]]:
    """Every case on a fresh library: the verdict and the reason by the case's id."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    make = libraries()[index]
    from holdfast.testing.policies import CASES  # noqa: PLC0415

    results: dict[str, dict[str, str]] = {}
    for case in CASES:
        if not case.id.startswith(prefix):
            continue
        outcomes: list[Outcome] = []
        thread = threading.Thread(target=lambda case=case, to=outcomes: to.append(case.run(make())), daemon=True)
        thread.start()
        thread.join(_LIMIT)
        if outcomes:
            results[case.id] = {"verdict": str(outcomes[0].verdict), "reason": outcomes[0].reason}
        else:
            results[case.id] = {"verdict": "failed", "reason": f"it did not end within {_LIMIT:g} s"}
    return results
