"""Which fault a call gets: the first rule that fits it and whose draw says so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from holdfast.lab.simulator.draws import Beginning, end_of, uniform
from holdfast.lab.simulator.fault_table import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from holdfast.lab.simulator.fault_rules import FaultRule
    from holdfast.lab.simulator.fault_table import Traits, Value

__all__ = ["Active", "FaultPlan", "Played"]


class Played(NamedTuple):
    """A fault that a call gets: the name of its rule's fault, the name of what is played, and its parameters."""

    rule: str
    fault: str
    parameters: Mapping[str, Value]


@dataclass(slots=True)
class Active:
    """A rule that is switched on, and how often it fitted and was played.

    Attributes:
        id: its number among all rules.
        draws: what its draws are keyed by: its endpoint, its model, and its number among the rules for these. So rules
            for another model change nothing for it.
        applies_to: whether its fault can be played on a call.
    """

    id: int
    rule: FaultRule
    draws: Beginning
    applies_to: Callable[[Traits], bool]
    fitted: int = 0
    played: int = 0

    def as_json(self) -> dict[str, object]:
        """As the admin endpoint shows it."""
        return {"id": self.id, **self.rule.as_json(), "fitted": self.fitted, "played": self.played}


class FaultPlan:
    """The rules that are switched on, in their order.

    Args:
        seed: draws are keyed by it, by the rule (see :class:`Active`) and by the call: a rule that is added or removed
            changes nothing for the others.
        rules: those to begin with.
    """

    def __init__(self, seed: int, rules: Iterable[FaultRule] = ()) -> None:
        self._seed = seed
        self._active: dict[int, Active] = {}
        self._last = 0
        self._numbers: Counter[tuple[str | None, str | None]] = Counter()
        for rule in rules:
            self.add(rule)

    def __iter__(self) -> Iterator[Active]:
        return iter(self._active.values())

    def add(self, rule: FaultRule) -> Active:
        """Switch a rule on."""
        self._last += 1
        pair = rule.endpoint, rule.model
        self._numbers[pair] += 1
        draws = Beginning(self._seed, "fault", (*pair, self._numbers[pair]))
        active = self._active[self._last] = Active(self._last, rule, draws, rule.kind.applies_to)
        return active

    def remove(self, number: int) -> bool:
        """Switch a rule off; False when there is none of this number."""
        return self._active.pop(number, None) is not None

    def clear(self) -> int:
        """Switch all off, and say how many there were."""
        count = len(self._active)
        self._active.clear()
        return count

    def choose(self, call: Traits, *, drawn: object, seconds: float, model: str, key: str | None) -> Played | None:
        """What the call gets; None is nothing.

        Args:
            drawn: what the call's draws are keyed by.
            seconds: since the simulator's start.
            key: the fingerprint of its key.
        """
        endpoint, end = call.endpoint, end_of(drawn)
        for active in self._active.values():
            rule = active.rule
            if not (
                rule.begin <= seconds < rule.end
                and (rule.endpoint is None or rule.endpoint == endpoint)
                and (rule.model is None or rule.model == model)
                and (rule.key is None or rule.key == key)
                and active.applies_to(call)
            ):
                continue
            active.fitted += 1
            if self._plays(active, end, seconds):
                active.played += 1
                return _played(rule)
        return None

    def _plays(self, active: Active, end: bytes, seconds: float) -> bool:
        rule = active.rule
        if rule.first is not None and active.fitted > rule.first:
            return False
        if rule.every is not None and active.fitted % rule.every:
            return False
        if not 0 < rule.rate < 1:
            return rule.rate >= 1  # certain: draws lie between
        if rule.group is not None:
            return uniform(self._seed, "group", rule.group, int(seconds // rule.slot)) < rule.rate
        return active.draws.uniform(end) < rule.rate


def _played(rule: FaultRule) -> Played:
    settings = rule.settings
    if "as" in settings:
        other = str(settings["as"])
        return Played(rule.fault, other, FAULTS[other].defaults)
    return Played(rule.fault, rule.fault, settings)
