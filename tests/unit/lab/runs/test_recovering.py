"""Mean time to repair, recovery and availability from the buckets of a run."""

from __future__ import annotations

import pytest

from holdfast.lab.runs.outcome import Bucket
from holdfast.lab.runs.recovering import Recovered, good, recovered, share_good


def buckets(marks: str, *, offered: int = 100) -> list[Bucket]:
    """A bucket for each letter: a dot is good, an x bad."""
    return [
        Bucket(
            at=5.0 * place,
            offered=offered,
            useful=offered if mark == "." else 0,
            degraded=0,
            errors=0 if mark == "." else offered,
            attempts=0,
            retries=0,
            tier="full",
            open_breakers=(),
            p95=0.0,
        )
        for place, mark in enumerate(marks)
    ]


def of(marks: str, *spans: tuple[float, float]) -> Recovered:
    return recovered(buckets(marks), spans, slo=0.99, seconds=5.0 * len(marks))


def test_a_bucket_is_good_when_its_errors_are_within_the_objective() -> None:
    """Exactly the objective is good, and so is a bucket in which nobody asked."""
    (bucket,) = buckets(".")
    one = [Bucket(**{**{name: getattr(bucket, name) for name in bucket.__slots__}, "errors": n}) for n in (1, 2)]
    assert [good(each, 0.99) for each in one] == [True, False]
    assert [good(each, 0.98) for each in one] == [True, True]
    assert good(buckets("x", offered=0)[0], 1.0)
    assert share_good([bucket, *one], 0.99) == pytest.approx(2 / 3)
    assert share_good([], 0.99) == 1


@pytest.mark.parametrize(
    ("marks", "span", "mttr", "recovery", "lost"),
    [
        ("..........", (10, 20), (0.0,), (0.0,), 0),  # nobody noticed
        ("..xx......", (10, 20), (10.0,), (0.0,), 0),  # good again as soon as the fault is gone
        ("..xxxx....", (10, 20), (20.0,), (10.0,), 0),
        ("..xx..x...", (10, 20), (25.0,), (15.0,), 0),  # two good ones are not enough
        ("..x...x...", (10, 40), (5.0,), (0.0,), 0),  # good again while the fault is on, see below
        ("....x.....", (10, 20), (15.0,), (5.0,), 0),  # it shows late
        ("..xxxxxxxx", (10, 20), (40.0,), (30.0,), 1),  # never
        ("..xx......", (10, 50), (10.0,), (), 0),  # on to the end of the run: there is no recovery from it
        ("..xx....", (12, 20), (8.0,), (0.0,), 0),  # from the onset within a bucket
    ],
)
def test_the_times_of_an_outage(
    marks: str, span: tuple[float, float], mttr: tuple[float, ...], recovery: tuple[float, ...], lost: int
) -> None:
    """From its beginning, and from its end, to the first of three good buckets in a row."""
    found = of(marks, span)
    assert (found.mttr, found.recovery, found.unrecovered) == (mttr, recovery, lost)


def test_each_outage_is_looked_at_up_to_the_next_one() -> None:
    """What the second one breaks is not the first one's; what has not recovered by then counts up to there."""
    found = of("..xx....xxxx....", (10, 20), (40, 60))
    assert (found.mttr, found.recovery, found.unrecovered) == ((10.0, 20.0), (0.0, 0.0), 0)
    found = of("..xxxxxxxxxx....", (10, 20), (40, 60))
    assert (found.mttr, found.recovery, found.unrecovered) == ((30.0, 20.0), (20.0, 0.0), 1)


def test_what_is_bad_long_after_an_outage_is_not_its_doing() -> None:
    """An outage that was over at 20 s, or that nobody noticed, is not blamed for a bad bucket at 130 s."""
    later = "." * 22 + "x..."
    found = of("..xx" + later, (10.0, 20.0))
    assert (found.mttr, found.recovery, found.unrecovered) == ((10.0,), (0.0,), 0)
    found = of("...." + later, (10.0, 20.0))
    assert (found.mttr, found.recovery, found.unrecovered) == ((0.0,), (0.0,), 0)


def test_what_an_outage_leaves_behind_is_its_doing() -> None:
    """A bad bucket within fifteen seconds after its end still belongs to it."""
    found = of("......x...", (10.0, 20.0))
    assert (found.mttr, found.recovery) == ((25.0,), (15.0,))
