"""Who is asked next: among the links that make sense now, the order of the list, the load, or the price decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Mapping

    from holdfast.llm.routing.link import Link
    from holdfast.llm.routing.targets import Choice

__all__ = ["pick"]

_CLEARLY = 2.0
"""How many times the load of another a target must have to be passed over."""


def pick(
    links: Mapping[Link, float],
    *,
    choose: Choice,
    now_ns: int,
    rng: random.Random,
    tokens: float = 0,
    but: Collection[Link] = (),
) -> Link | None:
    """The link to ask now, or None when there is no sense in asking any.

    - ``"ordered"``: the first target of the list that is ready; among its keys, the less loaded of two.
    - ``"balanced"``: one is drawn by weight, and a second one to compare it with ("the power of two choices",
      M. Mitzenmacher, IEEE TPDS 12(10), 2001): the second is asked when the first has at least twice its load. Nearly
      as good as asking the least loaded of all, without the herd that runs to it; and while all are alike, the weights
      are the shares.
    - ``"cheapest"``: as ordered, over the list sorted by price (the router sorts it, once).

    Args:
        links: in the order of the list, with their weights.
        tokens: about how many tokens the question costs.
        but: links that were asked already.
    """
    ready = (link for link in links if link not in but and link.is_ready(now_ns, tokens))
    if choose == "balanced":
        found = list(ready)
    else:
        first = next(ready, None)
        if first is None or len(first.target.provider.keys) == 1:
            return first
        found = [first, *(link for link in ready if link.target is first.target)]
    return _of_two({link: links[link] for link in found}, rng) if found else None


def _of_two(links: dict[Link, float], rng: random.Random) -> Link:
    """One that was drawn by weight, or another one that has less than half of its load."""
    if len(links) == 1:
        return next(iter(links))
    (one,) = rng.choices(list(links), weights=list(links.values()))
    usual = sum(links.values()) / len(links)
    one_calls = 1 + one.state.in_flight * usual / links.pop(one)
    (two,) = rng.choices(list(links), weights=list(links.values()))
    two_calls = 1 + two.state.in_flight * usual / links[two]
    # What a further call would meet: the latency, times the calls that share it. Nobody runs to a target only because
    # it is not known yet: until it has answered, it counts as quick as the other.
    one_latency, two_latency = one.state.latency.seconds, two.state.latency.seconds
    one_load = (one_latency or two_latency or 1.0) * one_calls
    two_load = (two_latency or one_latency or 1.0) * two_calls
    return two if two_load * _CLEARLY <= one_load else one
