"""Libraries that are retries: tenacity, stamina, backoff."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from benchmarks.conformance.libraries.base import PeerLibrary, PeerRetrier, PeerRetries, always_failing, load

if TYPE_CHECKING:
    from holdfast.testing.policies.adapters import Fn

__all__ = ["Backoff", "Stamina", "Tenacity"]


class _TenacityRetrier(PeerRetrier):
    def __init__(self, options: dict[str, Any]) -> None:
        self._lib = load("tenacity")
        super().__init__(self._lib.retry(**options))
        self._retrying = self._lib.AsyncRetrying(**options)

    async def loop(self, fn: Fn) -> Any:  # noqa: ANN401
        result = None
        async for attempt in self._retrying:
            with attempt:
                result = await fn()
        return result


class _TenacityRetries(PeerRetries):
    def retrier(self, *, attempts: int, delay: float = 0.001, deadline: float | None = None) -> PeerRetrier:
        lib = load("tenacity")
        stop = lib.stop_after_attempt(attempts)
        if deadline is not None:
            stop = lib.stop_any(stop, lib.stop_before_delay(deadline))
        return _TenacityRetrier({"stop": stop, "wait": lib.wait_fixed(delay), "reraise": True})

    def jittered(self, attempts: int, cap: float) -> Fn:
        lib = load("tenacity")
        wait = lib.wait_exponential_jitter(multiplier=cap / 4, max=cap, jitter=cap)
        guarded: Fn = lib.retry(stop=lib.stop_after_attempt(attempts), wait=wait)(always_failing)
        return guarded


class Tenacity(PeerLibrary):
    """tenacity: ``@retry`` and ``async for attempt in AsyncRetrying``."""

    name = "tenacity"
    usage = (
        "`@retry(stop=..., wait=...)`, one `AsyncRetrying` object for the loop form (its examples make one for each "
        "loop), `stop_before_delay` for the deadline, `wait_exponential_jitter` for backoff with jitter "
        "(`wait_random_exponential` keeps its jitter at the cap)."
    )

    def __init__(self) -> None:
        self.retry = _TenacityRetries()


class _StaminaRetrier(PeerRetrier):
    def __init__(self, options: dict[str, Any]) -> None:
        self._lib = load("stamina")
        super().__init__(self._lib.retry(**options))
        self._context = self._lib.retry_context(**options)

    async def loop(self, fn: Fn) -> Any:  # noqa: ANN401
        result = None
        async for attempt in self._context:
            with attempt:
                result = await fn()
        return result


class _StaminaRetries(PeerRetries):
    def retrier(self, *, attempts: int, delay: float = 0.001, deadline: float | None = None) -> PeerRetrier:
        return _StaminaRetrier(
            {
                "on": ConnectionError,
                "attempts": attempts,
                "timeout": deadline,
                "wait_initial": delay,
                "wait_max": delay,
                "wait_jitter": 0.0,
            }
        )

    def jittered(self, attempts: int, cap: float) -> Fn:
        guarded: Fn = load("stamina").retry(
            on=ConnectionError, attempts=attempts, timeout=None, wait_initial=cap / 4, wait_max=cap, wait_jitter=cap
        )(always_failing)
        return guarded


class Stamina(PeerLibrary):
    """stamina: ``@stamina.retry`` and ``async for attempt in stamina.retry_context``."""

    name = "stamina"
    usage = (
        "`@stamina.retry(on=ConnectionError, ...)` and one `stamina.retry_context` for the loop form (its examples "
        "make one for each loop). It documents that generators are restarted on each retry."
    )

    def __init__(self) -> None:
        self.retry = _StaminaRetries()
        load("stamina").instrumentation.set_on_retry_hooks([])


class _BackoffRetries(PeerRetries):
    def retrier(self, *, attempts: int, delay: float = 0.001, deadline: float | None = None) -> PeerRetrier:
        lib = load("backoff")
        return PeerRetrier(
            lib.on_exception(
                lib.constant, ConnectionError, max_tries=attempts, max_time=deadline, jitter=None, interval=delay
            )
        )

    def jittered(self, attempts: int, cap: float) -> Fn:
        lib = load("backoff")
        guarded: Fn = lib.on_exception(lib.expo, ConnectionError, max_tries=attempts, factor=cap / 4, max_value=cap)(
            always_failing
        )
        return guarded


class Backoff(PeerLibrary):
    """backoff: ``@backoff.on_exception``."""

    name = "backoff"
    usage = "`@backoff.on_exception(...)` with its default jitter, `max_time` for the deadline."

    def __init__(self) -> None:
        self.retry = _BackoffRetries()
        logging.getLogger("backoff").setLevel(logging.CRITICAL)
