"""Asks a candidate again and again, and takes the time. No imports of Holdfast: every candidate is driven by this."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.failover.scenarios import ANSWER, Job, Mode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["LIMIT_SECONDS", "READY", "Candidate", "Limits", "main"]

READY = "ready"
LIMIT_SECONDS = 60.0
"""For one request: what takes longer counts as hanging."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a job: the requests when it has settled, and the seconds after which no new one is begun."""

    requests: int = 8
    seconds: float = 120.0


class Candidate(Protocol):
    """What is compared, set up for one job."""

    def ask(self) -> AsyncIterator[str]:
        """The answer to the question: whole, or piece by piece. Raises what the caller would see."""
        ...

    async def close(self) -> None:
        """Let connections go."""
        ...


def main(make: Callable[[Job], Candidate]) -> None:
    """Drive the jobs that stand in the first line of input, and print a line of JSON for each.

    It says ``ready`` first, and begins when a second line comes.
    """
    logging.disable(logging.CRITICAL)
    given = json.loads(sys.stdin.readline())
    asyncio.run(_drive(make, [Job(**each) for each in given["jobs"]], Limits(**given["limits"])))


async def _drive(make: Callable[[Job], Candidate], given: list[Job], limits: Limits) -> None:
    modes: tuple[Mode, ...] = ("whole", "stream")
    for mode in modes:
        for protocol in ("openai", "anthropic"):
            second = given[0].second
            await _warm(make, Job("warm", mode, protocol, "", primary=second, second=second))
    print(READY, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(_job(make, job, limits) for job in given))


async def _warm(make: Callable[[Job], Candidate], job: Job) -> None:
    """An answer before anything counts: what is imported or built at the first call is not the fault's time."""
    candidate = make(job)
    async for _ in candidate.ask():
        pass
    await candidate.close()


async def _job(make: Callable[[Job], Candidate], job: Job, limits: Limits) -> None:
    await asyncio.sleep(job.after)
    candidate = make(job)
    begun = time.monotonic()
    rows = [await _request(candidate, job)]
    rows += await asyncio.gather(*(_request(candidate, job) for _ in range(job.burst)))
    rows[-1]["dead_calls"] = await _calls(job)
    while len(rows) < job.settled_after + limits.requests and time.monotonic() - begun < limits.seconds:
        rows.append(await _request(candidate, job))
    with suppress(Exception):
        await candidate.close()
    print(json.dumps({**asdict(job), "settled_after": job.settled_after, "requests": rows}), flush=True)


async def _request(candidate: Candidate, job: Job) -> dict[str, Any]:
    text, error, limit = "", "", False
    begun = time.monotonic()
    timer = asyncio.timeout(LIMIT_SECONDS)
    try:
        async with timer:
            async for piece in candidate.ask():
                text += piece
    except TimeoutError as raised:
        limit, error = timer.expired(), type(raised).__name__
    except Exception as raised:  # noqa: BLE001  it is what the caller gets
        error = type(raised).__name__
    seconds = round(time.monotonic() - begun, 4)
    outcome = _outcome(text, error, limit)
    return {"seconds": seconds, "outcome": outcome, "error": error, "dead_calls": await _calls(job)}


def _outcome(text: str, error: str, limit: bool) -> str:  # noqa: FBT001
    if limit:
        return "hung"
    if error:
        return "interrupted" if text else "error"
    if text == ANSWER:
        return "answer"
    if not text:
        return "empty success"
    return "silent truncation" if len(text) < len(ANSWER) else "wrong text"


async def _calls(job: Job) -> int | None:
    """What the primary was asked so far; nobody counts at a closed port."""
    if job.rule == "closed":
        return None

    def read() -> int:
        with urllib.request.urlopen(f"{job.primary}/admin/calls?limit=0", timeout=10) as response:
            counts: dict[str, Any] = json.load(response)["counts"]
            return int(counts["calls"])

    return await asyncio.to_thread(read)
