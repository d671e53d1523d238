"""The decision to fall back."""

from typing import Any

import pytest

from holdfast.core.fallback import FALLBACK_KINDS, Fallback
from holdfast.core.faults import WEIGHTS, Fault, FaultKind
from holdfast.errors import ConfigError


def fault(kind: FaultKind) -> Fault:
    return Fault(kind=kind, transient=False, weight=WEIGHTS[kind])


@pytest.mark.parametrize("kind", list(FaultKind))
def test_kinds_that_fall_back(kind: FaultKind) -> None:
    """Everything is fallen back on but bugs, cancellations and requests that are wrong everywhere."""
    never = {FaultKind.BUG, FaultKind.CANCELLED, FaultKind.BAD_REQUEST}
    assert Fallback(str).decide(fault(kind), None) is (kind not in never)
    assert (kind in FALLBACK_KINDS) is (kind not in never)


def test_no_time_no_fallback() -> None:
    """An alternative is not begun after the deadline."""
    policy = Fallback([str])
    assert policy.decide(fault(FaultKind.TIMEOUT), 1)
    assert not policy.decide(fault(FaultKind.TIMEOUT), 0)


def test_kinds_can_be_chosen() -> None:
    """``kinds`` replaces the default."""
    policy = Fallback(str, kinds=["auth"])  # type: ignore[list-item]  # what a settings file gives
    assert policy.decide(fault(FaultKind.AUTH), None)
    assert not policy.decide(fault(FaultKind.TIMEOUT), None)


@pytest.mark.parametrize("alternatives", [[], ["a constant"], [None]])
def test_what_is_no_alternative(alternatives: Any) -> None:
    """No alternative, or one that is no function, is refused with a sentence."""
    with pytest.raises(ConfigError, match="alternatives"):
        Fallback(alternatives)


@pytest.mark.parametrize("alternatives", [5, None, "str", b"str"])
def test_what_is_no_sequence_of_alternatives(alternatives: Any) -> None:
    """What is neither a function nor a sequence is refused, and a text is not taken for a sequence."""
    with pytest.raises(ConfigError, match="must be a function, or a sequence of functions"):
        Fallback(alternatives)


def test_one_or_several_alternatives() -> None:
    """One function and a sequence of functions are both taken, in their order."""
    assert Fallback(str).alternatives == (str,)
    assert Fallback([str, int]).alternatives == (str, int)


def test_what_it_is_called() -> None:
    """Events and errors name the policy by its label."""
    assert Fallback.label == "fallback"
