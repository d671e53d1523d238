"""Queue memory exhaustion, in real time: 200 requests a second in, 50 out.

    python examples/failures/queue_memory.py          # ten seconds

Each request holds 5 KB while it waits. Users' questions are 40 of the 200, a batch the others. Broken and fixed run
beside each other. What one sees, and why: docs/explanation/failures/queue-memory.md. Needs `pip install holdfast`.
"""

from __future__ import annotations

import asyncio
import time

import holdfast as hf
from holdfast.errors import QueueFullError, ShedError

SECONDS = 8.0
RATE = 200
WORKERS, WORK_SECONDS = 10, 0.2  # 50 a second
BYTES = 5 * 1024
UNBOUNDED = 10**12


async def request(queue: hf.RequestQueue, priority: int, waits: list[float]) -> None:
    """One request, with all that it holds in memory while it waits."""
    body, came = bytearray(BYTES), time.monotonic()
    try:
        async with queue.admit(priority=priority, size=len(body)):
            if priority > 5:
                waits.append(time.monotonic() - came)
            await asyncio.sleep(WORK_SECONDS)
    except (QueueFullError, ShedError):
        return  # told at once, and with the time after which to come back


async def overload(queue: hf.RequestQueue, *, priorities: bool) -> tuple[float, float]:
    """The MB that those who waited held at the end, and the seconds that the last questions had waited."""
    waits: list[float] = []
    tasks: set[asyncio.Task[None]] = set()
    began, number = time.monotonic(), 0
    while (now := time.monotonic() - began) < SECONDS:
        while number < now * RATE:
            number += 1
            task = asyncio.create_task(request(queue, 8 if priorities and number % 5 == 0 else 2, waits))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.sleep(0.02)
    state = queue.snapshot()
    queue.close()
    await asyncio.gather(*tasks)
    last = max(waits[-20:]) if waits else state.longest_wait or 0.0
    return state.waiting_bytes / 2**20, last


async def main() -> None:
    """Both at once."""
    broken = hf.RequestQueue(
        max_concurrent=WORKERS, requests_per_minute=None, max_size=UNBOUNDED, max_bytes=UNBOUNDED, max_wait=None
    )
    fixed = hf.RequestQueue(max_concurrent=WORKERS, requests_per_minute=None, max_size=500)
    (grown, waited), (held, soon) = await asyncio.gather(
        overload(broken, priorities=False), overload(fixed, priorities=True)
    )
    print(f"broken: {grown:.1f} MB wait after {SECONDS:g} s, and grow; whoever came last waited {waited:.1f} s")
    print(f"fixed: {held:.1f} MB wait, and no more; the last questions waited {soon:.2f} s")
    if held > 500 * BYTES / 2**20 or grown < 1.5 * held or soon > waited / 2:
        raise SystemExit("that is not what should be seen: growth without the fix, a bound with it")
    print("memory is bounded, and questions are answered at once")


if __name__ == "__main__":
    asyncio.run(main())
