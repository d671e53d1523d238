"""The vocabulary of failures."""

import pytest

from holdfast.core.faults import WEIGHTS, Fault, FaultKind, hand_back


def test_kinds_are_called_by_their_names() -> None:
    """A kind's value, which metrics and settings show, is its name in small letters."""
    assert [kind.value for kind in FaultKind] == [kind.name.lower() for kind in FaultKind]


def test_a_failure_weighs_one_at_most() -> None:
    """A kind says nothing, half, or all: only a timeout says half."""
    assert set(WEIGHTS.values()) == {0, 0.5, 1}
    assert [kind for kind, weight in WEIGHTS.items() if weight == 0.5] == [FaultKind.TIMEOUT]


@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.OVERLOADED,
        FaultKind.TRANSIENT,
        FaultKind.CONNECT,
        FaultKind.TIMEOUT,
        FaultKind.TRUNCATED,
        FaultKind.MALFORMED,
        FaultKind.EMPTY,
    ],
)
def test_what_says_something_against_the_dependency(kind: FaultKind) -> None:
    """It is ill when it cannot do the work or spoils it."""
    assert WEIGHTS[kind] > 0


@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.THROTTLED,
        FaultKind.AUTH,
        FaultKind.QUOTA,
        FaultKind.BAD_REQUEST,
        FaultKind.CONTEXT_TOO_LONG,
        FaultKind.CONTENT_FILTERED,
        FaultKind.CANCELLED,
        FaultKind.BUG,
    ],
)
def test_what_says_nothing_against_the_dependency(kind: FaultKind) -> None:
    """It is well when it refuses what we ask, how often or with which key we ask, and when the fault is our own."""
    assert WEIGHTS[kind] == 0


def test_what_a_fault_is_taken_for() -> None:
    """Unless it says otherwise a fault is of a call that was made and may have had an effect."""
    fault = Fault(kind=FaultKind.TIMEOUT, transient=True, weight=0.5)
    assert (fault.made, fault.safe_to_replay, fault.retry_after, fault.cause) == (True, False, None, None)


@pytest.mark.parametrize("made", [True, False])
def test_what_hands_a_permit_back(made: bool) -> None:
    """It is a cancellation that counts neither way, will not pass, and by default of a call that was not made."""
    error = KeyError()
    fault = hand_back(error, made=made)
    assert fault == Fault(kind=FaultKind.CANCELLED, transient=False, weight=0.0, cause=error, made=made)
    assert not hand_back(error).made
