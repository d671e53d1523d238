"""What the simulator was asked, and what became of it; bounded."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, deque
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Call", "Calls", "Outcome", "fingerprint_of"]

_FINGERPRINT = re.compile(r"key-[0-9a-f]{8}")


class Outcome(StrEnum):
    """How a call ended."""

    RUNNING = "running"
    COMPLETED = "completed"
    """Everything that was to be sent was sent, which may be an error or a part of an answer."""
    CANCELLED = "cancelled"
    """The client went away before the end."""
    BROKEN = "broken"
    """A fault broke the connection."""


@dataclass(slots=True)
class Call:
    """One call.

    Attributes:
        number: 1 for the first.
        seconds: when it came, since the simulator's start.
        endpoint: see :data:`~holdfast.lab.simulator.fault_rules.ENDPOINTS`; ``"unknown"`` for another address.
        key: the fingerprint of its API key; None when it brought none.
        fault: what was played on it.
        status: the response's; None when the connection was broken before.
        prompt_tokens: tokens read.
        sent_tokens: tokens of the answer that were sent.
        took: seconds until its end.
        drawn: what its draws are keyed by: its number, or what the client says (see ``Simulator.begin``).
    """

    number: int
    seconds: float
    endpoint: str
    key: str | None
    model: str
    stream: bool
    fault: str | None = None
    status: int | None = None
    prompt_tokens: int = 0
    sent_tokens: int = 0
    outcome: Outcome = Outcome.RUNNING
    took: float | None = None
    drawn: object = None

    def as_json(self) -> dict[str, object]:
        """As the admin endpoint shows it."""
        shown = asdict(self)
        del shown["drawn"]
        return shown


class Calls:
    """The last calls, and the counts of all.

    Args:
        kept: how many calls are kept; older ones are counted only.
    """

    def __init__(self, kept: int) -> None:
        self._last: deque[Call] = deque(maxlen=kept)
        self._counts: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._last))

    def __len__(self) -> int:
        return len(self._last)

    def __getitem__(self, place: int) -> Call:
        return self._last[place]

    def begun(self, call: Call) -> None:
        """Keep a call that begins."""
        self._last.append(call)
        self._counts["calls"] += 1
        self._counts["running"] += 1

    def ended(self, call: Call) -> None:
        """Count a call that has its outcome."""
        self._counts["running"] -= 1
        self._counts[call.outcome.value] += 1
        self._counts["prompt_tokens"] += call.prompt_tokens
        self._counts["sent_tokens"] += call.sent_tokens
        self._statuses[str(call.status or "none")] += 1
        if call.fault is not None:
            self._faults[call.fault] += 1

    def counts(self) -> dict[str, object]:
        """Counts since the start, or since :meth:`clear`."""
        names = ("calls", *(outcome.value for outcome in Outcome), "prompt_tokens", "sent_tokens")
        counts: dict[str, object] = {name: self._counts[name] for name in names}
        return counts | {"statuses": dict(sorted(self._statuses.items())), "faults": dict(sorted(self._faults.items()))}

    def clear(self) -> None:
        """Forget everything but the calls that are under way."""
        running = self._counts["running"]
        for counter in (self._counts, self._statuses, self._faults):
            counter.clear()
        self._counts["running"] = running
        self._last.clear()


def fingerprint_of(key: str) -> str:
    """What stands for an API key wherever it would be seen; a fingerprint stands for itself."""
    return (
        key if _FINGERPRINT.fullmatch(key) else "key-" + hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:8]
    )
