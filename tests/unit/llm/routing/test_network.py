"""The links of routes, which are listed once."""

from __future__ import annotations

import pytest
from tests.unit.llm.scripted import Script, Stage

from holdfast.llm.routing import network as networks
from holdfast.llm.routing.network import Network
from holdfast.llm.routing.targets import Provider, Target
from holdfast.testing.clock import FakeClock


def targets_of(count: int) -> tuple[Target, ...]:
    """So many targets, of a provider each."""
    providers = [Provider(name=f"p{index}", base_url=f"https://p{index}.test") for index in range(count)]
    return tuple(Target(provider=each, model="m") for each in providers)


@pytest.fixture
def network() -> Network:
    """A network that sends nothing."""
    return Network(http=Stage(a=Script()).http, clock=FakeClock())


def test_the_targets_of_a_route_are_listed_once(network: Network) -> None:
    """The same tuple gives the same links, another one that is equal gives equal ones, and each order is its own."""
    targets = targets_of(2)
    links = network.links(targets)
    assert network.links(targets) is links
    assert dict(network.links(targets_of(2))) == dict(links)
    assert list(network.links(targets, "cheapest")) == list(links)


def test_a_list_is_looked_at_each_time(network: Network) -> None:
    """A list may have changed since."""
    targets = list(targets_of(2))
    assert len(network.links(targets)) == 2
    targets.pop()
    assert len(network.links(targets)) == 1


def test_a_target_that_was_forgotten_has_another_link(network: Network) -> None:
    """What is forgotten does not live on in a list."""
    targets = targets_of(1)
    (before,) = network.links(targets)
    network.forget(targets[0].name)
    (after,) = network.links(targets)
    assert after is not before


def test_routes_without_end_do_not_fill_the_memory(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of lists they are forgotten, and made again with the same links."""
    monkeypatch.setattr(networks, "_MOST_LISTS", 2)
    every = [targets_of(1) for _ in range(3)]
    before = [network.links(each) for each in every]
    after = [network.links(each) for each in every]
    assert [a is b for a, b in zip(after, before, strict=True)] == [False, False, False]
    assert [dict(each) for each in after] == [dict(each) for each in before]
