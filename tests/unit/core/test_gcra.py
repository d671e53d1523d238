"""One bucket: what is in it, and what comes out of it again."""

import random

import pytest

from holdfast.core._gcra import Gcra, Open

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


def test_what_was_given_back_is_not_there_again() -> None:
    """To the nanosecond."""
    gcra = bucket()
    key = gcra.open(0, 5 * S, 100 * S)
    gcra.take(0, 5 * S)
    assert gcra.give_back(0, key, 5 * S - 1) == 5 * S - 1
    assert gcra.give_back(0, key, 5 * S) == 1
    assert gcra.give_back(0, key, 5 * S) == 0
    assert gcra.level_ns(0) == 5 * S


def test_a_reservation_outlives_any_number_of_others() -> None:
    """What the bucket has held since its opening is known however many were opened and closed meanwhile."""
    gcra = bucket(burst=100)
    gcra.close(gcra.open(0, 1, 100 * S))
    key = gcra.open(0, 10 * S, 100 * S)
    gcra.take(8 * S, 3 * S)  # with 2 of the 10 still in the bucket, and a nanosecond
    for _ in range(100):
        gcra.close(gcra.open(8 * S, S // 10, 100 * S))
    assert gcra.give_back(8 * S, key, 10 * S) == 2 * S + 1


def replayed(now: int, charges: list[tuple[int, int]]) -> int:
    """What a bucket holds into which these charges came, each at its time."""
    level, last = 0, 0
    for at, charge in charges:
        level, last = max(0, level - (at - last)) + charge, at
    return max(0, level - (now - last))


@pytest.mark.parametrize("seed", range(20))
def test_giving_back_leaves_the_bucket_as_if_less_had_been_charged(seed: int) -> None:
    """However many reservations are open, and in whatever order they give back, once or more often."""
    chance = random.Random(seed)
    gcra, now = bucket(burst=1000), 0
    charges: list[tuple[int, int]] = []
    opened: dict[Open, int] = {}  # the number of its charge
    for _ in range(400):
        now += chance.choice([0, 0, 1, 5, 40])
        what = chance.randrange(6)
        if what == 0:
            gcra.take(now, 10)
            charges.append((now, 10))
        elif what <= 2:
            opened[gcra.open(now, 20, 10_000)] = len(charges)
            charges.append((now, 20))
        elif opened and what == 3:
            key = chance.choice(list(opened))
            gcra.close(key)
            del opened[key]
        elif opened:
            key = chance.choice(list(opened))
            at, charge = charges[opened[key]]
            less = chance.randint(0, charge)
            before = replayed(now, charges)
            charges[opened[key]] = at, charge - less
            assert gcra.give_back(now, key, less) == before - replayed(now, charges)
        assert gcra.level_ns(now) == replayed(now, charges)


def test_what_one_reservation_gave_back_another_cannot() -> None:
    """Of the water that was in the bucket since both were opened, each drop comes out once."""
    gcra = bucket()
    first, second = gcra.open(0, 10 * S, 100 * S), gcra.open(0, 5 * S, 100 * S)
    gcra.take(12 * S, 5 * S)  # with 3 of the 15 still in the bucket
    assert gcra.give_back(12 * S, second, 5 * S) == 3 * S
    assert gcra.give_back(12 * S, first, 10 * S) == 0
    assert gcra.level_ns(12 * S) == 5 * S
