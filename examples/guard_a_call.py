"""Guard a call that fails now and then, and watch what the policies do.

    python examples/guard_a_call.py

Needs nothing but `pip install holdfast`.
"""

from __future__ import annotations

import asyncio
import random

import holdfast as hf
from holdfast.core.events import Event, Events, RetryScheduled, RetrySucceeded

dice = random.Random(8)
events = Events()
guard = hf.Pipeline(
    hf.Deadline(seconds=5),
    hf.Retry(max_retries=3, initial_delay=0.01),
    hf.CircuitBreaker(failure_threshold=5, recovery_timeout=15),
    hf.Timeout(seconds=1),
    name="model:example",
    events=events,
)


@guard
async def complete(prompt: str) -> str:
    """Stands for a call of a model that refuses half of its connections."""
    if dice.random() < 0.5:
        raise ConnectionError("connection refused")
    return prompt.upper()


def tell(event: Event) -> None:
    """Print what a policy did."""
    match event:
        case RetryScheduled():
            print(f"  retry {event.retry} of {event.max_retries} in {event.delay_ns / 1e6:.0f} ms: {event.kind}")
        case RetrySucceeded():
            print(f"  worked after {event.attempts} attempts")


async def main() -> None:
    """Call it a few times."""
    print(guard.describe())
    events.listen(tell, RetryScheduled, RetrySucceeded)
    for prompt in ("one", "two", "three"):
        print(prompt, "->", await complete(prompt))


if __name__ == "__main__":
    asyncio.run(main())
