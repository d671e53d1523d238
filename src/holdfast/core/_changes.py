"""Other options for policies that are in use: what is wanted is checked as a whole before any of it is done.

Policies without a state (deadline, fallback, retry, timeout) are exchanged; gates and hedges take the new options
themselves, for they have calls under way and counts to keep.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.core._options import refuse_unknown
from holdfast.core.deadline import Deadline
from holdfast.core.fallback import Fallback
from holdfast.core.hedge import Hedge
from holdfast.core.policy import Reconfigurable
from holdfast.core.request_queue import RequestQueue
from holdfast.core.retry import Retry
from holdfast.core.timeout import Timeout
from holdfast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core._plan import Policy
    from holdfast.core.policy import Gate

    PolicyT = TypeVar("PolicyT", bound="Policy | Gate | RequestQueue")

__all__ = ["Change", "named", "planned"]

_STATELESS: Mapping[str, type] = {"deadline": Deadline, "fallback": Fallback, "retry": Retry, "timeout": Timeout}


def named(policies: Sequence[PolicyT]) -> dict[str, PolicyT]:
    """The policies by name, from the outside in: ``"retry"``, ``"circuit_breaker"``, ``"circuit_breaker.2"``, ..."""
    seen: Counter[str] = Counter()
    names: dict[str, PolicyT] = {}
    for policy in policies:
        seen[policy.label] += 1
        count = seen[policy.label]
        names[policy.label if count == 1 else f"{policy.label}.{count}"] = policy
    return names


@dataclass(frozen=True, slots=True)
class Change:
    """What is wanted, checked.

    Attributes:
        policies: all of the pipeline's policies, those that are exchanged by their successors.
        options: the gates and hedges that take other options, with these.
    """

    policies: tuple[Policy, ...]
    options: tuple[tuple[Reconfigurable | Hedge, Any], ...]

    def check_lines(self) -> None:
        """Refuse to let callers wait at a gate where they could not: a pipeline that is bound looks for no line there.

        Raises:
            ConfigError: a gate would begin to let callers wait.
        """
        for policy, options in self.options:
            if not isinstance(policy, RequestQueue) and _may_wait(options) and not _may_wait(policy.options):
                rule = "would let callers wait where this pipeline was made for not waiting: make another pipeline"
                raise ConfigError(policy.label, options, rule)

    def apply(self) -> None:
        """Let the gates and hedges take their options: all of them, or none when one refuses."""
        done: list[tuple[Reconfigurable | Hedge, Any]] = []
        try:
            for policy, options in self.options:
                before = policy.options
                policy.reconfigure(options)
                done.append((policy, before))
        except BaseException:
            for policy, before in reversed(done):
                policy.reconfigure(before)
            raise


def planned(
    policies: Sequence[Policy], successors: Sequence[Deadline | Fallback | Retry | Timeout], changes: Mapping[str, Any]
) -> Change:
    """What is to change in ``policies``.

    Args:
        policies: as they are.
        successors: each takes the place of the one policy of its sort.
        changes: by the policy's name, either its options as an object, or single ones by their names.

    Raises:
        ConfigError: there is no such policy, or no such option, or its value is out of its range.
    """
    after = list(policies)
    changed: set[int] = set()
    options: list[tuple[Reconfigurable | Hedge, Any]] = []
    for successor in successors:
        place = _place_of(policies, successor)
        if place in changed:
            raise ConfigError("policies", successor, "is the second of its sort: give one")
        changed.add(place)
        after[place] = successor
    names = named(policies)
    places = {name: place for place, name in enumerate(names)}
    for name, wanted in changes.items():
        if name not in names:
            raise ConfigError(name, wanted, f"is no policy here; there is {', '.join(names) or 'none'}")
        if places[name] in changed:
            raise ConfigError(name, wanted, "is exchanged already: give the policy, or single options")
        policy = names[name]
        if isinstance(policy, Deadline | Retry | Timeout):
            after[places[name]] = _with(name, policy, wanted)
        elif isinstance(policy, Reconfigurable | Hedge):
            options.append((policy, _with(name, policy.options, wanted)))
        else:
            how = ": exchange the whole policy" if isinstance(policy, Fallback) else ""
            raise ConfigError(name, wanted, f"has no options that can be changed one by one{how}")
    return Change(tuple(after), tuple(options))


def _may_wait(options: object) -> bool:
    """Whether these are the options of a gate at which callers may have to wait."""
    return bool(getattr(options, "max_waiting", getattr(options, "max_wait", True)))


def _place_of(policies: Sequence[Policy], successor: object) -> int:
    places: dict[str, list[int]] = {}
    for label, kind in _STATELESS.items():
        places[label] = [place for place, policy in enumerate(policies) if isinstance(policy, kind)]
    for label, kind in _STATELESS.items():
        if isinstance(successor, kind) and len(places[label]) == 1:
            return places[label][0]
    once = [label for label, found in places.items() if len(found) == 1]
    rule = f"must be one of the policies that this pipeline has once: {', '.join(once)}"
    raise ConfigError("policies", successor, rule)


def _with(name: str, options: Any, wanted: object) -> Any:  # noqa: ANN401  each policy has its own class of options
    """``options`` with what is ``wanted``."""
    kind = type(options)
    if type(wanted) is kind:
        return wanted
    if not is_dataclass(kind) or not isinstance(wanted, Mapping):
        raise ConfigError(name, wanted, f"must be a mapping of options to their values, or a whole {kind.__name__}")
    refuse_unknown(name, wanted, [each.name for each in fields(kind) if each.init])
    return replace(options, **wanted)
