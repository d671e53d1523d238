"""What the service knows about its own health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from holdfast.core.pipeline import Pipeline
from holdfast.core.timeout import Timeout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.core.clock import Clock
    from holdfast.llm.embedding import Embedder
    from holdfast.llm.routing.link import LinkSnapshot
    from holdfast.rag.conversations.conversations import MemorySnapshot
    from holdfast.rag.guards import Guards
    from holdfast.rag.records.records import Records
    from holdfast.rag.standby.standby import Standby
    from holdfast.rag.store.base import Store
    from holdfast.rag.types import Tier

__all__ = ["Check", "Health", "HealthStatus", "check_all"]

HealthStatus: TypeAlias = Literal["ok", "degraded", "unavailable"]

_CHECK_SECONDS = 2.0
"""The time that one dependency has to answer a health check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One dependency, asked just now.

    Attributes:
        detail: a sentence: what is wrong and what to do, or how full it is.
        latency_ms: how long the check took; None where nothing was asked.
        breaker: the state of its circuit breaker; None where it has none.
        ready_in: of a model, seconds until it is asked again: 0 is now; None for ever, or where it is no model.
    """

    status: HealthStatus
    detail: str = ""
    latency_ms: float | None = None
    breaker: str | None = None
    ready_in: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """All checks, and what follows from them.

    ``status`` is ``ok`` when every check is; ``degraded`` when a question still gets something useful;
    ``unavailable`` when the engine is not open.
    """

    status: HealthStatus
    tier: Tier
    checks: Mapping[str, Check]


async def check_all(
    *,
    store: Store,
    embedder: Embedder | None,
    ask_embedder: bool,
    guards: Guards,
    links: Sequence[LinkSnapshot],
    records: Records,
    memory: MemorySnapshot | None,
    standby: Standby | None = None,
    clock: Clock,
) -> dict[str, Check]:
    """Ask the store and the embedder now, past their breakers; for the rest, look at the breakers.

    Args:
        ask_embedder: False for one that is paid for: its links are looked at like those of every model.
        links: the models.
        memory: what of conversations waits to be kept; None where nothing is remembered.
        standby: the copy of the documents, which is looked at like the breakers; None where there is none.
    """
    checks = {store.name: await _check_store(store, guards, clock)}
    if ask_embedder:
        checks[guards.query_embedder.name] = await _check_embedder(embedder, guards, clock)
    for guard in (guards.cache, guards.answerer):
        state = breaker_state(guard)
        checks[guard.name] = Check(status="degraded" if state == "open" else "ok", breaker=state)
    checks[records.name] = await _check_records(records, memory, clock)
    if standby is not None:
        checks[standby.guard.name] = _check_standby(standby)
    return checks | {f"model:{link.name}": _check_link(link) for link in links}


async def _check_records(records: Records, memory: MemorySnapshot | None, clock: Clock) -> Check:
    started = clock.now_ns()
    state = breaker_state(records.guard)
    waiting = "" if memory is None or not memory.buffered else f"{memory.buffered:,} turns of conversations wait for it"
    try:
        await _in_time(clock).call(records.ping)
    except Exception as error:  # noqa: BLE001 - a health check reports, whatever it is
        return Check(status="degraded", detail="; ".join(filter(None, (str(error), waiting))), breaker=state)
    return Check(status="ok", detail=waiting, latency_ms=(clock.now_ns() - started) / 1e6, breaker=state)


def _check_standby(standby: Standby) -> Check:
    copied, state = standby.snapshot(), breaker_state(standby.guard)
    documents = sum(held.documents for held in copied.held.values())
    said = [f"a copy of {documents:,} documents"]
    said.append("not compared yet" if copied.seconds is None else f"as they were {copied.seconds:.0f} s ago")
    if copied.left_out:
        said.append(f"{copied.left_out:,} are left out, most likely for want of room (standby_megabytes)")
    if copied.trouble:
        said.append(copied.trouble)
    well = not copied.trouble and state != "open"
    return Check(status="ok" if well else "degraded", detail="; ".join(said), breaker=state)


def _check_link(link: LinkSnapshot) -> Check:
    if not link.why:
        return Check(status="ok", detail=_so_far(link), breaker=link.state, ready_in=0.0)
    why = {
        "open": "it failed too often and is left alone",
        "asked_to_wait": "it asked to be left alone",
        "parked": f"its key {link.key} was refused, or has no money left",
    }[link.why]
    when = "until something is changed" if link.ready_in is None else f"for {link.ready_in:.0f} s more"
    return Check(status="degraded", detail=f"{why}, {when}", breaker=link.state, ready_in=link.ready_in)


def _so_far(link: LinkSnapshot) -> str:
    return f"{link.calls:,} calls, {link.failures:,} failed" if link.calls else "not called yet"


async def _check_store(store: Store, guards: Guards, clock: Clock) -> Check:
    started = clock.now_ns()
    state = breaker_state(guards.store)
    try:
        status = await _in_time(clock).call(store.status)
    except Exception as error:  # noqa: BLE001 - a health check reports, whatever it is
        return Check(status="unavailable", detail=str(error), breaker=state)
    latency_ms = (clock.now_ns() - started) / 1e6
    if not status.chunks:
        detail = "nothing has been ingested yet: run `holdfast ingest PATH`"
        return Check(status="degraded", detail=detail, latency_ms=latency_ms, breaker=state)
    detail = f"{status.documents:,} documents, {status.chunks:,} chunks"
    return Check(status="ok", detail=detail, latency_ms=latency_ms, breaker=state)


async def _check_embedder(embedder: Embedder | None, guards: Guards, clock: Clock) -> Check:
    if embedder is None:
        return Check(status="ok", detail="switched off: the search goes by words")
    started = clock.now_ns()
    state = breaker_state(guards.query_embedder)
    try:
        await _in_time(clock).call(embedder.embed, ["health"], kind="query")
    except Exception as error:  # noqa: BLE001 - a health check reports, whatever it is
        return Check(status="degraded", detail=str(error), breaker=state)
    return Check(status="ok", detail=embedder.id, latency_ms=(clock.now_ns() - started) / 1e6, breaker=state)


def _in_time(clock: Clock) -> Pipeline:
    return Pipeline(Timeout(seconds=_CHECK_SECONDS), name="health", clock=clock)


def breaker_state(guard: Pipeline) -> str | None:
    """The state of a pipeline's circuit breaker."""
    breaker = guard.snapshot().breaker
    return None if breaker is None else breaker.state
