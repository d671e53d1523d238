"""One bucket: what is in it, and what comes out of it again."""

import pytest

from holdfast.core._gcra import Gcra

S = 10**9


def bucket(burst: float = 20, kept_share: float = 0.0) -> Gcra:
    """One that lets out one a second."""
    return Gcra(60, burst, kept_share)


@pytest.mark.parametrize("now", [-100 * S, 0, 100 * S])
def test_a_new_bucket_is_empty_whatever_the_time(now: int) -> None:
    """The zero of a clock means nothing."""
    gcra = bucket(burst=2)
    assert gcra.level_ns(now) == 0
    assert gcra.wait_ns(now, 2 * S, low=False) == 0
    gcra.take(now, 2 * S)
    assert gcra.wait_ns(now, S, low=False) == S
    gcra.reset(now)
    assert gcra.level_ns(now) == 0


def test_another_rate_changes_the_time_and_not_the_amount() -> None:
    """What an open reservation may give back is the same number of costs at the new rate."""
    gcra = bucket()
    key = gcra.open(0, 10 * S, 100 * S)
    gcra.take(8 * S, 3 * S)  # with 2 of the 10 still in the bucket
    gcra.set_rate(8 * S, 30)
    assert gcra.level_ns(8 * S) == 10 * S
    assert gcra.give_back(8 * S, key, 20 * S) == 4 * S
    assert gcra.level_ns(8 * S) == 6 * S


def test_another_size_has_another_share_for_low_priorities() -> None:
    """Both the size and the kept share hold from then on."""
    gcra = bucket(burst=10, kept_share=0.5)
    gcra.take(0, 4 * S)
    assert gcra.wait_ns(0, 2 * S, low=True) == S
    gcra.resize(10, 0.2)
    assert gcra.wait_ns(0, 2 * S, low=True) == 0
    gcra.resize(5, 0.2)
    assert gcra.wait_ns(0, 2 * S, low=False) == S
    assert gcra.wait_ns(0, 2 * S, low=True) == 2 * S


def test_a_refund_takes_back_what_has_not_run_out() -> None:
    """The charges run out in their order; those after a refunded one lie that much earlier."""
    gcra = bucket()
    receipts = []
    for _ in range(3):
        gcra.take(0, 5 * S)
        receipts.append(gcra.receipt)
    gcra.refund(0, receipts[0], 5 * S)
    assert gcra.level_ns(0) == 10 * S
    gcra.refund(3 * S, receipts[1], 5 * S)
    assert gcra.level_ns(3 * S) == 5 * S
    gcra.refund(4 * S, receipts[1], 5 * S)
    assert gcra.level_ns(4 * S) == 4 * S


def test_the_smallest_charge_is_refunded() -> None:
    """To the nanosecond."""
    gcra = bucket()
    gcra.take(0, 1)
    gcra.refund(0, gcra.receipt, 1)
    assert gcra.level_ns(0) == 0


@pytest.mark.parametrize(("now", "back"), [(4 * S, 6 * S), (5 * S, 0), (6 * S, 0)])
def test_after_its_lease_a_reservation_gives_nothing_back(now: int, back: int) -> None:
    """It is taken as used as reserved, from the moment in which the lease ends."""
    gcra = bucket()
    key = gcra.open(0, 10 * S, 5 * S)
    assert gcra.give_back(now, key, 10 * S) == back
    assert gcra.level_ns(now) == 10 * S - now - back


def test_what_gives_nothing_back() -> None:
    """A reservation that is closed, a bucket that has run out, and one that was reset."""
    gcra = bucket()
    closed, old = gcra.open(0, 5 * S, 100 * S), gcra.open(0, 5 * S, 100 * S)
    gcra.close(closed)
    assert gcra.give_back(0, closed, S) == 0
    assert gcra.give_back(10 * S, old, S) == 0
    gcra.reset(10 * S)
    gcra.take(10 * S, 5 * S)
    assert gcra.give_back(10 * S, old, S) == 0
    assert gcra.level_ns(10 * S) == 5 * S
