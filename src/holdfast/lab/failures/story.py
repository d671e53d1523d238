"""What a failure looked like: figures, curves, and the lines that one would have seen in the log."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from holdfast.lab.virtual.running import NEW_YEAR_2026

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Figure", "LogLine", "Series", "Story", "per_second"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a story: what it counts, its value, and its unit (``s``, ``MB``, ``%``; empty for a count)."""

    about: str
    value: float
    unit: str = ""

    def text(self) -> str:
        """The value as it is read: ``7.05 s``."""
        digits = 0 if float(self.value).is_integer() else 1 if abs(self.value) >= 10 else 2 if self.value >= 0.1 else 3
        number = f"{self.value:,.{digits}f}"
        return f"{number}{'' if self.unit in {'', '%'} else ' '}{self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A curve over the seconds of a story; each value holds until the next point.

    Attributes:
        name: what it shows; the curves of one name in the two stories of a failure are drawn side by side.
        points: seconds and values, in order.
        ticks: names for values, where numbers mean nothing, e.g. the tiers.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    ticks: Mapping[float, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of the log.

    Attributes:
        at: seconds of the story.
        level: ``info``, ``warning`` or ``error``.
        message: what happened.
        fields: what the line says besides.
    """

    at: float
    level: str
    message: str
    fields: Mapping[str, Any]

    def text(self) -> str:
        """As the service writes it: one JSON object."""
        when = datetime.fromtimestamp(NEW_YEAR_2026 + self.at, tz=UTC)
        stamp = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"timestamp": stamp, "level": self.level, "message": self.message, **self.fields})


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One failure, played once.

    Attributes:
        failure: its name.
        fixed: whether it was played with the fix.
        seed: what its draws came from.
        seconds: virtual time that passed.
        figures: by name; both stories of a failure have the same.
        timeline: the curves.
        log: the first lines that one would have seen at level INFO.
        logged: how often each message was there in all.
        trace: the hash of everything that happened; equal for equal seeds.
    """

    failure: str
    fixed: bool
    seed: int
    seconds: float
    figures: Mapping[str, Figure]
    timeline: tuple[Series, ...]
    log: tuple[LogLine, ...]
    logged: Mapping[str, int]
    trace: str

    def __getitem__(self, figure: str) -> float:
        """The value of a figure."""
        return self.figures[figure].value

    def as_json(self) -> dict[str, object]:
        """As data; the lines of the log as the service writes them."""
        return {
            "failure": self.failure,
            "fixed": self.fixed,
            "seed": self.seed,
            "seconds": self.seconds,
            "trace": self.trace,
            "figures": {name: asdict(figure) for name, figure in self.figures.items()},
            "timeline": [
                {"name": each.name, "points": each.points, "ticks": {str(at): name for at, name in each.ticks.items()}}
                for each in self.timeline
            ],
            "log": [json.loads(line.text()) for line in self.log],
            "logged": dict(self.logged),
        }


def per_second(name: str, times: Iterable[float], *, until: float, width: float = 1.0) -> Series:
    """How often something happened, as a rate: each point is the mean of the ``width`` seconds that begin there."""
    counts = Counter(int(at / width) for at in times)
    steps = round(until / width)
    return Series(name=name, points=tuple((step * width, counts[step] / width) for step in range(steps)))
