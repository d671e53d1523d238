"""Who is asked first, by order, load or price."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.unit.llm.scripted import Script, Stage

from holdfast.llm.prices import load_prices
from holdfast.llm.routing.network import Network
from holdfast.llm.routing.picker import pick
from holdfast.llm.routing.targets import Choice, Key, Provider, Target
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.llm.routing.link import Link


def network_of(clock: FakeClock) -> Network:
    """A network that sends nothing."""
    return Network(http=Stage(a=Script()).http, clock=clock, rng=random.Random(3))


def links_to(weights: Sequence[float], network: Network, choose: Choice = "balanced") -> Mapping[Link, float]:
    """Links to targets with these weights."""
    providers = [Provider(name=f"p{index}", base_url=f"https://p{index}.test") for index in range(len(weights))]
    targets = [Target(provider=each, model="m", weight=weight) for each, weight in zip(providers, weights, strict=True)]
    return network.links(targets, choose)


def shares(links: Mapping[Link, float], draws: int = 4_000, *, choose: Choice = "balanced") -> list[float]:
    """How often each is chosen."""
    rng = random.Random(11)
    chosen = Counter(pick(links, choose=choose, now_ns=0, rng=rng) for _ in range(draws))
    return [chosen[link] / draws for link in links]


@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (1, 3), (2, 1, 1), (8, 1, 1)])
@pytest.mark.parametrize("latency", [0.0, 0.5])
def test_targets_that_are_alike_share_by_weight(weights: tuple[float, ...], latency: float) -> None:
    """As long as all are as quick, known or not, each has the share of its weight."""
    links = links_to(weights, network_of(FakeClock()))
    for link in links:
        if latency:
            link.state.latency.observe(latency)
    expected = [weight / sum(weights) for weight in weights]
    assert shares(links) == pytest.approx(expected, abs=0.03)


def test_the_shares_hold_with_calls_under_way() -> None:
    """Calls under way that are shared by weight change nothing."""
    links = links_to((3, 1), network_of(FakeClock()))
    for link, calls in zip(links, (30, 10), strict=True):
        link.state.latency.observe(0.5)
        link.state.in_flight = calls
    assert shares(links) == pytest.approx([0.75, 0.25], abs=0.03)


def test_a_slow_target_is_passed_over() -> None:
    """One that takes five times as long is asked by nobody, as long as there is another."""
    links = links_to((1, 1), network_of(FakeClock()))
    for link, latency in zip(links, (2.5, 0.5), strict=True):
        link.state.latency.observe(latency)
    assert shares(links) == [0.0, 1.0]


def test_nobody_runs_to_a_target_that_is_not_known_yet() -> None:
    """A target that has never answered gets its share, and not everything."""
    links = links_to((1, 1, 1), network_of(FakeClock()))
    first, *_ = links
    first.state.latency.observe(0.5)
    assert shares(links) == pytest.approx([1 / 3] * 3, abs=0.03)


def test_calls_under_way_spread_over_equals() -> None:
    """A hundred calls at once over ten equal targets: none has more than twice its share."""
    links = links_to((1,) * 10, network_of(FakeClock()))
    rng = random.Random(5)
    for link in links:
        link.state.latency.observe(0.5)
    for _ in range(100):
        link_ = pick(links, choose="balanced", now_ns=0, rng=rng)
        assert link_ is not None
        link_.state.in_flight += 1
    assert max(link.state.in_flight for link in links) <= 20


def test_a_target_that_fails_at_once_is_not_taken_for_a_quick_one() -> None:
    """Failures count as slow calls, however quick they are."""
    links = links_to((1, 1), network_of(FakeClock()))
    failing, healthy = links
    failing.state.latency.observe(0.5)
    healthy.state.latency.observe(0.5)
    failing.state.latency.penalize(15.0)
    assert failing.state.latency.seconds == pytest.approx(1.0)
    failing.state.latency.penalize(15.0)
    assert shares(links) == [0.0, 1.0]
    for _ in range(10):
        failing.state.latency.penalize(15.0)
    assert failing.state.latency.seconds == pytest.approx(15.0)


def test_the_cheapest_is_first_and_what_has_no_price_last() -> None:
    """The order is that of the prices; targets whose price is unknown come last, in their own order."""
    clock = FakeClock()
    network = Network(http=Stage(a=Script()).http, clock=clock, prices=load_prices())
    openai = Provider(name="openai", base_url="https://openai.test", keys=(Key(name="K", value="secret-1"),))
    names = ["unknown-1", "gpt-4o", "unknown-2", "gpt-4o-mini"]
    links = network.links([Target(provider=openai, model=each) for each in names], "cheapest")
    assert [link.target.model for link in links] == ["gpt-4o-mini", "gpt-4o", "unknown-1", "unknown-2"]
    assert shares(links, 10, choose="cheapest") == [1.0, 0.0, 0.0, 0.0]


def test_a_breaker_that_only_counts_shuts_nobody_out() -> None:
    """A shadow breaker that would be open leaves its target where it is."""
    links = links_to((1, 1), network_of(FakeClock()), "ordered")
    first, _ = links
    first.state.breaker.reconfigure(shadow=True)
    first.state.breaker.force_open()
    assert pick(links, choose="ordered", now_ns=0, rng=random.Random(1)) is first
    assert not first.on_trial
